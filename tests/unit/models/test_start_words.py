"""Soft tokens that start from words: before training the LLM reads plain text, and training moves them away."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from dep.data.collate import Collator
from dep.data.prompts.builder import PromptBuilder
from dep.data.prompts.settings import PromptConfig
from dep.models.compressors.settings import NoCompressorConfig, SparseAutoencoderConfig
from dep.models.projector import Projector
from dep.models.settings import ProjectorConfig, SoftPromptConfig
from dep.models.soft_prompt import SoftPrompt, build_soft_prompt
from dep.models.start_words import MARKS, PHRASES
from dep.training.module import PersonalizationModule
from dep.training.settings import TrainConfig
from dep.types import BOUNDARY_TOKENS, SLOT_TOKENS, Item, Prompt, Request, Review, Slot, UserHistory
from dep.utils.errors import DepError

E = 4
BRANCHES = ("his", "diff")


@pytest.fixture
def build(model, tokenizer) -> Any:
    def make(tokens: int = 3, compressor: Any = None, start: Any = "words", **config: Any) -> SoftPrompt:
        return build_soft_prompt(
            SoftPromptConfig(slots=2, **config), compressor or SparseAutoencoderConfig(latent=5),
            ProjectorConfig(hidden=7, tokens=tokens, start=start), width=E, model=model, tokenizer=tokenizer, longest=9,
        )  # fmt: skip

    return make


def slot(number: int, diff: bool = True) -> Slot:
    vectors = torch.randn(2, E, generator=torch.Generator().manual_seed(number))
    review = Review("u", f"i{number}", "It was good.", 4.0, "Fine", 0)
    return Slot(review, Item(f"i{number}", "An item"), vectors[0], vectors[1] if diff else None)


@pytest.fixture
def asked(tokenizer) -> list[Prompt]:
    """Prompts with uneven numbers of slots, three tokens a vector."""
    tokenizer.chat_template = "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}</s>{% endfor %}"
    item = Item("t", "The tower")
    slots = [[slot(1), slot(2, diff=False)], [slot(3)], [slot(4, diff=False), slot(5)]]
    builder = PromptBuilder(tokenizer, PromptConfig(), BRANCHES, tokens=3)
    return [builder.build(Request(f"toy/{k}", "toy", "u", item, 4.0, "Fine", "I read it.", tuple(some)))
            for k, some in enumerate(slots)]  # fmt: skip


def as_text(prompt: Prompt, tokenizer: Any, boundaries: bool = False) -> Prompt:
    """The prompt with the words of each branch as ordinary tokens in the place of its slots."""
    ids, seen = list(prompt.ids), dict.fromkeys(BRANCHES, 0)
    slot_ids = {tokenizer.convert_tokens_to_ids(SLOT_TOKENS[branch]): branch for branch in BRANCHES}
    marks = {tokenizer.convert_tokens_to_ids(token): tokenizer.encode(MARKS[token])[-1] for token in BOUNDARY_TOKENS}
    for at, token in enumerate(ids):
        if (branch := slot_ids.get(token)) is not None:
            phrase = tokenizer.encode(PHRASES[branch], add_special_tokens=False)
            ids[at] = phrase[seen[branch] % 3 % len(phrase)]
            seen[branch] += 1
        elif boundaries:
            ids[at] = marks.get(token, token)
    assert seen == {branch: 3 * len(prompt.vectors.get(branch, [])) for branch in BRANCHES}
    return Prompt(prompt.key, ids, prompt.target)


@pytest.mark.parametrize("adapter", ["dep", "constant"])
@pytest.mark.parametrize("boundary_start", ["mean", "words"])
def test_the_untrained_likelihood_is_that_of_the_words_as_plain_text(
    build, model, tokenizer, asked, adapter: str, boundary_start: str
) -> None:
    soft = build(adapter=adapter, boundary_start=boundary_start)
    words = PersonalizationModule(model, soft, TrainConfig())
    plain = PersonalizationModule(model, build(start="random", branches=[]), TrainConfig())
    text = [as_text(prompt, tokenizer, boundary_start == "words") for prompt in asked]
    ours, theirs = (one.example_nll(Collator(0)(some))[0] for one, some in ((words, asked), (plain, text)))
    assert torch.allclose(ours, theirs, atol=1e-5)
    assert not torch.allclose(theirs, plain.example_nll(Collator(0)([replace(p, vectors={}) for p in text[::-1]]))[0])


@pytest.mark.parametrize("adapter", ["dep", "constant"])
def test_the_first_gradient_moves_the_soft_tokens_of_words(build, model, asked, adapter: str) -> None:
    module = PersonalizationModule(model, build(adapter=adapter), TrainConfig())
    batch = Collator(0)(asked)
    before = module.embed(batch).inputs_embeds.detach()
    module.example_nll(batch)[0].sum().backward()
    with torch.no_grad():
        for p in module.soft_prompt.parameters():
            p -= 0.1 * p.grad if p.grad is not None else 0.0
    moved = (module.embed(batch).inputs_embeds - before).abs().amax(-1) > 1e-6
    assert torch.equal(moved, torch.isin(batch.ids, torch.tensor(list(module.soft_prompt.slot_ids.values()))))


@pytest.mark.parametrize("adapter", ["pplug", "user_llm"])
def test_soft_tokens_of_a_whole_history_start_as_words_in_turn(build, model, tokenizer, adapter: str) -> None:
    soft = build(adapter=adapter, branches=["user"], compressor=NoCompressorConfig())
    tokens = 2 if adapter == "pplug" else 6
    history = UserHistory(torch.randn(6, E), torch.randn(6, E), torch.ones(6), torch.ones(6), 0, torch.randn(E))
    slot_id = tokenizer.convert_tokens_to_ids(SLOT_TOKENS["user"])
    prompt = Prompt("toy/0", [7, *[slot_id] * tokens, 8], [9], user_history=history, user_tokens=tokens)
    out = soft(Collator(0)([prompt]), model.get_input_embeddings()).inputs_embeds
    phrase = tokenizer.encode(PHRASES["user"], add_special_tokens=False)
    words = torch.tensor([phrase[k % len(phrase)] for k in range(tokens)])
    assert torch.equal(out[0, 1 : 1 + tokens], model.get_input_embeddings()(words))


def test_boundary_words_are_written_without_being_trained(build, model) -> None:
    module = PersonalizationModule(model, build(boundary_start="words"), TrainConfig())
    assert not module.soft_prompt.boundary_rows.requires_grad
    trained = PersonalizationModule(model, build(boundary_start="words", boundary_trainable=True), TrainConfig())
    assert trained.soft_prompt.boundary_rows.requires_grad
    assert torch.equal(trained.soft_prompt.boundary_rows, module.soft_prompt.boundary_rows)


def test_an_adapter_that_passes_no_words_on_is_refused() -> None:
    with pytest.raises(DepError, match=r"projector.start=words: expected words of \['diff'\]"):
        Projector(ProjectorConfig(start="words"), 3, 4, BRANCHES, 1.0, {"his": torch.zeros(1, 4)})
