"""Contrastive decoding against hand cases and a loop of full forwards, for LoRA and for soft tokens."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from dep.inference.capabilities import capabilities
from dep.inference.contrast import contrast
from dep.inference.generator import Generate
from dep.inference.settings import GenerateConfig
from dep.models.adapters.lora import LoRAAdapter, LowRankUpdates
from dep.models.settings import LoRAConfig, SoftPromptConfig
from dep.models.soft_prompt import SoftPrompt
from dep.types import SLOT_TOKENS, Prompt
from dep.utils.errors import DepError

USER = torch.tensor([[0.40, 0.30, 0.20, 0.06, 0.04]])
BASE = torch.tensor([[0.40, 0.15, 0.10, 0.05, 0.30]])


def test_the_contrast_of_five_tokens_by_hand() -> None:
    mixed = contrast(USER.log() + 3.0, BASE.log() - 1.0, alpha=1.0, floor=0.2)[0].exp()
    # p * p / q: 0.16/0.40, 0.09/0.15, 0.04/0.10; 0.06 and 0.04 are below 0.2 * 0.40
    assert mixed.tolist() == pytest.approx([0.4, 0.6, 0.4, 0.0, 0.0])
    half = contrast(USER.log(), BASE.log(), alpha=0.5, floor=0.12)[0].exp()
    assert half.tolist() == pytest.approx([0.4, 0.3 * 2**0.5, 0.2 * 2**0.5, 0.06 * 1.2**0.5, 0.0])


def test_without_alpha_and_floor_it_is_the_user_s_distribution_and_a_floor_of_one_leaves_the_likeliest() -> None:
    assert torch.allclose(contrast(USER.log(), BASE.log(), 0.0, 0.0).exp(), USER)
    assert contrast(USER.log(), BASE.log(), 2.0, 1.0).isfinite().tolist() == [[True, False, False, False, False]]


def test_a_token_that_is_never_chosen_stays_out_whatever_the_other_model_thinks() -> None:
    never = USER.log().index_fill(1, torch.tensor([0]), -torch.inf)
    mixed = contrast(never, BASE.log().index_fill(1, torch.tensor([0]), -torch.inf), 1.0, 0.0)
    assert mixed[0, 0] == -torch.inf
    assert mixed[0, 1:].isfinite().all()
    assert not mixed.isnan().any()


def random_updates(model, seed: int) -> LowRankUpdates:
    updates = LowRankUpdates(model, LoRAConfig(rank=2))
    for at, factor in enumerate(updates.parameters()):
        torch.nn.init.normal_(factor, std=0.3, generator=torch.Generator().manual_seed(seed + at))
    return updates


@pytest.fixture
def bare(prompts, tokenizer) -> list[Prompt]:
    """The prompts without the slot tokens."""
    slots = {tokenizer.get_vocab()[token] for token in SLOT_TOKENS.values()}
    return [Prompt(p.key, [at for at in p.ids if at not in slots], []) for p in prompts]


@pytest.fixture
def build(make_lit, tokenizer):
    lit = make_lit()
    last = list(lit.soft_prompt.adapter.projector.parameters())[-2]
    torch.nn.init.normal_(last, std=0.5, generator=torch.Generator().manual_seed(0))  # soft tokens that matter

    def make(adapter: str, **config) -> Generate:
        soft = lit.soft_prompt
        if adapter == "lora":
            own = LoRAAdapter(random_updates(lit.backbone, 5))
            soft = SoftPrompt(SoftPromptConfig(adapter="lora", branches=[]), own, soft.slot_ids)
        settings = GenerateConfig(**{"max_new_tokens": 6, "progress": False, "contrast": 1.0, **config})
        return Generate(settings, lit.backbone, tokenizer, soft)

    return make


@pytest.fixture
def left(collate):
    """Return a left-padding collator that also takes prompts without vectors."""

    def build(prompts):
        vectors = {branch: [] for branch in ("his", "diff")}
        full = [Prompt(p.key, p.ids, [], p.vectors or vectors, p.positions or vectors) for p in prompts]
        batch = partial(collate, side="left", answers=False)(full)
        if not any(p.vectors.get(branch) for p in prompts for branch in vectors):
            batch.vectors, batch.present, batch.slot_index = {}, {}, {}
        return batch

    return build


@pytest.mark.parametrize("adapter", ["lora", "dep"])
def test_contrasted_texts_follow_a_loop_of_full_forwards(build, prompts, bare, left, tokenizer, adapter) -> None:
    ours = build(adapter, greedy=True, contrast_floor=0.01)
    own = bare if adapter == "lora" else prompts
    texts, model = dict(ours(own, left, bare)), ours.backbone
    plain = dict(build(adapter, greedy=True, contrast=0.0)(own, left))
    assert texts != plain, "the contrast changes texts"
    embed = model.get_input_embeddings()
    for prompt, base in zip(own, bare, strict=True):
        batch, ids = left([prompt]), list[int]()
        for _ in range(6):
            written = embed(torch.tensor([ids], dtype=torch.long))
            own_embeds = torch.cat([ours.soft_prompt(batch, embed).inputs_embeds, written], 1)
            base_embeds = torch.cat([embed(torch.tensor([base.ids])), written], 1)
            with ours.soft_prompt.attached(model, batch):
                user = model(inputs_embeds=own_embeds, use_cache=False).logits[:, -1]
            other = model(inputs_embeds=base_embeds, use_cache=False).logits[:, -1]
            user[:, ours.suppressed] = other[:, ours.suppressed] = -torch.inf
            p, q = user.softmax(-1)[0], other.softmax(-1)[0]
            token = int(torch.where(p >= 0.01 * p.max(), p * p / q, 0.0).nan_to_num(0.0).argmax())
            if token in ours.stop:
                break
            ids.append(token)
        assert texts[prompt.key] == tokenizer.decode(ids, skip_special_tokens=True).strip()


@pytest.mark.parametrize("adapter", ["lora", "dep"])
def test_a_contrasted_text_depends_neither_on_its_batch_nor_on_the_way_of_reading(
    build, prompts, bare, left, monkeypatch, adapter
) -> None:
    own = bare if adapter == "lora" else prompts
    settings = {"temperature": 1.5, "max_new_tokens": 12, "contrast_floor": 0.01}
    ours = build(adapter, batch_size=1, **settings)
    ours.stop = list(range(0, ours.backbone.config.vocab_size, 5))
    alone = dict(ours(own, left, bare))
    together = build(adapter, batch_size=5, **settings)
    together.stop = ours.stop
    assert dict(together(own[::-1], left, bare)) == alone
    assert len({len(text) for text in alone.values()}) > 1, "texts end apart"
    for slower in ({"decoding": "reread"}, {"padding": False}):
        changed = capabilities(ours.backbone)._replace(**slower)
        monkeypatch.setattr("dep.inference.generator.capabilities", lambda model: changed)  # noqa: B023
        assert dict(together(own, left, bare)) == alone


def test_the_reference_of_a_user_s_lora_keeps_the_lora_below_it(build, bare, left) -> None:
    ours = build("lora", greedy=True)
    adapter, model = ours.soft_prompt.adapter, ours.backbone
    ids = torch.tensor([bare[0].ids])
    with adapter.updates.attached(model):
        task = model(ids).logits
    plain = model(ids).logits
    with adapter.reference(model):
        assert torch.equal(model(ids).logits, plain)
    with adapter.of_user(random_updates(model, 50)):
        with adapter.reference(model):
            assert torch.equal(model(ids).logits, task)
        with adapter.attached(model, left([bare[0]])):
            assert not torch.allclose(model(ids).logits, task, atol=1e-2)
    with adapter.attached(model, left([bare[0]])):
        assert torch.equal(model(ids).logits, task)


def test_an_adapter_that_treats_rows_apart_is_refused(build) -> None:
    class Apart(LoRAAdapter):
        rows_alike = False

    ours = build("lora")
    soft = SoftPrompt(ours.soft_prompt.config, Apart(ours.soft_prompt.adapter.updates), ours.soft_prompt.slot_ids)
    with pytest.raises(DepError, match=r"generate.contrast=1: expected an adapter that treats all rows.*contrast=0"):
        Generate(ours.config, ours.backbone, ours.tokenizer, soft)
