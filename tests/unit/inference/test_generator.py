"""Generation: a text depends only on seed and key."""

from __future__ import annotations

import collections
from functools import partial

import pytest
import torch
from transformers import Qwen3Config

from dep.inference.capabilities import architecture_capabilities, capabilities
from dep.inference.generator import Generate, RequestSampler, decoded, nucleus_draw
from dep.inference.settings import GenerateConfig
from dep.inference.trials import Capabilities
from dep.types import SPECIAL_TOKENS


@pytest.fixture
def build(make_lit, tokenizer):
    lit = make_lit()

    def make(**config) -> Generate:
        settings = GenerateConfig(**{"max_new_tokens": 6, "progress": False, **config})
        return Generate(settings, lit.backbone, tokenizer, lit.soft_prompt)

    return make


@pytest.fixture
def left(collate):
    return partial(collate, side="left", answers=False)


def test_texts_depend_neither_on_batch_size_nor_on_order_nor_on_earlier_batches(build, prompts, left) -> None:
    expected = dict(build(batch_size=1)(prompts, left))
    assert set(expected) == {p.key for p in prompts}
    assert len(set(expected.values())) > 1
    for size in (2, 5):
        torch.manual_seed(size)
        assert dict(build(batch_size=size)(prompts[::-1], left)) == expected
    assert dict(build()(prompts[2:], left)) == {p.key: expected[p.key] for p in prompts[2:]}


@pytest.mark.parametrize("seed", range(4))
def test_rows_that_end_early_are_dropped_without_changing_the_others(build, prompts, left, monkeypatch, seed) -> None:
    dropped: list[int] = []
    keep = RequestSampler.keep
    monkeypatch.setattr(RequestSampler, "keep", lambda self, rows: (dropped.append(len(rows)), keep(self, rows))[1])
    ours = build(seed=seed, max_new_tokens=12, temperature=2.0)
    ours.stop = list(range(0, ours.backbone.config.vocab_size, 5))
    texts = dict(ours(prompts, left))
    assert dropped == sorted(dropped, reverse=True)
    assert dropped
    for mode in ("generate", "reread"):
        slower = capabilities(ours.backbone)._replace(decoding=mode)
        monkeypatch.setattr("dep.inference.generator.capabilities", lambda model: slower)  # noqa: B023
        assert dict(ours(prompts, left)) == texts


def test_rows_of_unequal_length_are_written_apart_where_padding_is_not_exact(build, prompts, left, monkeypatch) -> None:
    ours = build(greedy=True)
    texts, lengths = dict(ours(prompts, left)), []
    apart = capabilities(ours.backbone)._replace(padding=False)
    monkeypatch.setattr("dep.inference.generator.capabilities", lambda model: apart)

    def counting(group):
        lengths.append({len(prompt.ids) for prompt in group})
        return left(group)

    assert dict(ours(prompts, counting)) == texts
    assert all(len(own) == 1 for own in lengths)
    assert len(lengths) == len({len(prompt.ids) for prompt in prompts})


def test_an_architecture_is_tried_in_full_precision_whatever_the_trainer_uses(monkeypatch) -> None:
    monkeypatch.setattr("dep.inference.capabilities._known", {})
    config = Qwen3Config()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        known = architecture_capabilities(config)
    assert known == Capabilities(decoding="cache", padding=True, prefix=True, kept_prefixes=True, packing=True)


def test_another_seed_draws_other_texts(build, prompts, left) -> None:
    assert dict(build(seed=1)(prompts, left)) != dict(build(seed=2)(prompts, left))


@pytest.mark.parametrize("config", [{"greedy": True}, {"temperature": 0.0}])
def test_greedy_decoding_agrees_with_a_loop_of_full_forwards(build, prompts, left, tokenizer, config) -> None:
    generate = build(**config)
    texts = dict(generate(prompts, left))
    model = generate.backbone
    for prompt in prompts:
        embeds = generate.soft_prompt(left([prompt]), model.get_input_embeddings()).inputs_embeds
        ids: list[int] = []
        for _ in range(6):
            logits = model(inputs_embeds=embeds, use_cache=False).logits[0, -1]
            logits[generate.suppressed] = -torch.inf
            token = int(logits.argmax())
            if token == tokenizer.eos_token_id:
                break
            ids.append(token)
            embeds = torch.cat([embeds, model.get_input_embeddings()(torch.tensor([[token]]))], 1)
        assert texts[prompt.key] == tokenizer.decode(ids, skip_special_tokens=True).strip()


def test_draws_follow_the_renormalised_nucleus() -> None:
    logits = torch.tensor([2.0, 0.0, 1.0, -1.0])
    p = (logits / 0.8).softmax(-1)  # 0.720, 0.059, 0.206, 0.017
    config = GenerateConfig(temperature=0.8, top_p=0.9, seed=3)
    keys = [f"toy/{i}" for i in range(4000)]
    chosen = RequestSampler(config, keys, [])(torch.zeros(4000, 0), logits.expand(4000, 4)).argmax(-1).tolist()
    counts = collections.Counter(chosen)
    assert set(counts) == {0, 2}
    assert counts[0] / 4000 == pytest.approx(float(p[0] / (p[0] + p[2])), abs=0.02)


def test_the_nucleus_is_the_smallest_set_with_its_mass() -> None:
    logits = torch.tensor([[0.5, 0.3, 0.2]]).log()
    grid = torch.linspace(0, 0.999, 200, dtype=torch.float64)[:, None]
    for top_p, expected in ((0.4, {0}), (0.6, {0, 1}), (0.85, {0, 1, 2}), (1.0, {0, 1, 2})):
        assert set(nucleus_draw(logits.expand(200, 3), top_p, grid).flatten().tolist()) == expected


def test_a_number_that_rounds_up_to_the_total_mass_draws_the_likeliest_token() -> None:
    logits = torch.tensor([[1.0, 3.0, 2.0]])
    assert nucleus_draw(logits, 1.0, torch.ones(1, 1, dtype=torch.float64)).item() == 1


def test_a_request_s_stream_continues_from_step_to_step() -> None:
    sampler = RequestSampler(GenerateConfig(top_p=1.0, temperature=1.0), ["toy/1"], [])
    drawn = [int(sampler(torch.zeros(1, t), torch.zeros(1, 1000)).argmax()) for t in range(5)]
    assert len(set(drawn)) == 5


def test_special_tokens_are_never_drawn(build, model, tokenizer, left, prompts) -> None:
    generate = build(max_new_tokens=3)
    ids = tokenizer.convert_tokens_to_ids(list(SPECIAL_TOKENS))
    assert set(ids) <= set(generate.suppressed)
    scores = torch.full((1, len(tokenizer)), -10.0)
    scores[0, ids] = 100.0
    sampler = RequestSampler(generate.config, ["toy/0"], generate.suppressed)
    assert int(sampler(torch.zeros(1, 0), scores).argmax()) not in ids


def test_the_model_s_own_decoding_settings_have_no_effect(build, prompts, left) -> None:
    generate = build(greedy=True)
    expected = dict(generate(prompts, left))
    generate.backbone.generation_config.repetition_penalty = 50.0
    generate.backbone.generation_config.no_repeat_ngram_size = 1
    assert dict(generate(prompts, left)) == expected


def test_text_ends_at_the_closing_token(tokenizer) -> None:
    words = tokenizer.encode("the music is great", add_special_tokens=False)
    assert decoded(tokenizer, [*words, 1, *words], [1]) == "the music is great"


def test_padding_on_the_right_is_refused(build, prompts, collate) -> None:
    with pytest.raises(ValueError, match="padded on the left"):
        list(build()(prompts, partial(collate, side="right", answers=False)))


def test_texts_of_a_finished_batch_are_yielded_before_the_next_batch_starts(build, prompts, left) -> None:
    asked = []

    def counting(group):
        asked.append(len(group))
        return left(group)

    texts = build(batch_size=2)(prompts, counting)
    first = next(texts)
    assert asked == [2]
    assert first[0] == max(prompts, key=lambda p: len(p.ids)).key
