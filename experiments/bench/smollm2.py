"""Benchmarks on SmolLM2-135M-Instruct, against the plain Hugging Face loop, on the reviews of the English world.

The plain loop pads whole prompts, reads them forward and backward without a kept beginning, and computes logits at the
target positions. In all benchmarks soft tokens stand late in the prompt, and the beginnings of prompts are kept on disk
(`backbone.keep_prefixes`): from the second epoch on, a training step computes only what follows them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dep.data.collate import Collator
from dep.data.prompts.builder import PromptBuilder
from dep.data.prompts.settings import PromptConfig
from dep.inference.generator import Generate
from dep.inference.prefix_store import PrefixStore
from dep.inference.settings import GenerateConfig
from dep.models.backbones.load import load
from dep.models.settings import BackboneConfig
from dep.models.soft_prompt import SoftPrompt
from dep.training.module import PersonalizationModule
from dep.training.settings import TrainConfig
from dep.types import IGNORE, Batch, Branch, Prompt, Request
from experiments.bench.measure import Case
from experiments.bench.products import Products
from experiments.bench.untrained import loss_and_gradients, nearly_equal, soft_prompt
from experiments.bench.world import WIDTH, english_requests

HISTORY = 4
TARGET = 64
"""Largest number of tokens of a review in training and likelihood."""
NEW = 32
"""Tokens that generation writes."""


@dataclass(frozen=True)
class Setup:
    """The backbone with an untrained soft prompt, and prompts of one kind."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    prompts: list[Prompt]
    soft: SoftPrompt
    folder: tempfile.TemporaryDirectory[str]
    """Folder of the kept beginnings; it is deleted with this object."""

    def module(self, prefixes: PrefixStore | None) -> PersonalizationModule:
        """Build the training module with a store of kept beginnings."""
        return PersonalizationModule(self.model, self.soft, TrainConfig(), prefixes=prefixes)

    def store(self) -> PrefixStore:
        """Open the store of kept beginnings."""
        return PrefixStore(Path(self.folder.name), 20e9)


@cache
def _backbone() -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    return load(BackboneConfig(name_or_path="smollm2"))


def _setup(count: int, text: bool, branches: Sequence[Branch] = ("his", "diff"), kind: str = "dep") -> Setup:
    model, tokenizer = _backbone()
    config = PromptConfig(
        history=HISTORY, text=text, guidance=False, slots="late", max_input_tokens=2048, max_target_tokens=TARGET
    )
    builder = PromptBuilder(tokenizer, config, branches, keeps_prefixes=True)
    prompts = [builder.build(request) for request in _typical(count)]
    soft = soft_prompt(HISTORY, model, tokenizer, WIDTH, kind, list(branches))
    return Setup(model, tokenizer, prompts, soft, tempfile.TemporaryDirectory(prefix="dep-bench-"))


def _typical(count: int) -> list[Request]:
    """Requests whose past reviews have about the middle length."""
    ranked = sorted(english_requests(HISTORY), key=lambda request: sum(len(s.review.text) for s in request.slots))
    return ranked[(len(ranked) - count) // 2 :][:count]


def step(text: bool) -> Case:
    """Benchmark a training step from the second epoch on, with or without the texts of past reviews."""
    setup = _setup(4, text)
    batch, module = Collator(0)(setup.prompts), setup.module(setup.store())
    tokens = sum(len(p.ids) for p in setup.prompts) // len(setup.prompts)

    def gradients(nll_B: Tensor, tokens_B: Tensor) -> list[Tensor]:
        return loss_and_gradients(module, (nll_B / tokens_B).mean())

    return Case(
        "SmolLM2 step" + ("" if text else ", no text"),
        f"{len(setup.prompts)} prompts of {tokens} tokens, K = {HISTORY}, second epoch on",
        "whole padded prompts, logits at targets",
        lambda: gradients(*module.example_nll(batch)), lambda: gradients(*_plain_nll(module, batch)),
        nearly_equal, len(setup.prompts), "examples/s",
        5 if text else 3, repeats=2,
    )  # fmt: skip


def likelihood() -> Case:
    """Benchmark the likelihood of four arms on one set of requests; the beginnings are computed in the timed part."""
    both: tuple[Branch, ...] = ("his", "diff")
    arms = [_setup(4, True, (), "dep"), *(_setup(4, True, both, kind) for kind in ("dep", "constant", "dep"))]
    batches = [Collator(0)(arm.prompts) for arm in arms]
    batches[3].vectors = {branch: vectors.roll(1, 0) for branch, vectors in batches[3].vectors.items()}

    @torch.no_grad()
    def ours() -> list[Tensor]:
        with tempfile.TemporaryDirectory(prefix="dep-bench-") as folder:
            store = PrefixStore(Path(folder), 20e9)
            return [arm.module(store).example_nll(batch)[0] for arm, batch in zip(arms, batches, strict=True)]

    @torch.no_grad()
    def plain() -> list[Tensor]:
        return [_plain_nll(arm.module(None), batch)[0] for arm, batch in zip(arms, batches, strict=True)]

    return Case(
        "SmolLM2 likelihood", "RAG, DEP, constant prompt and another user's vectors on 4 requests",
        "each arm: whole padded prompts, logits at targets", ours, plain, nearly_equal, 4 * len(arms), "examples/s", 2,
        repeats=2,
    )  # fmt: skip


def generation(count: int = 64, part: int = 4) -> Case:
    """Benchmark greedy generation; the measurement of the likelihood, which runs first, has kept the beginnings."""
    setup = _setup(count, False)
    store = setup.store()
    collate = Collator(0, side="left", answers=False)
    for start in range(0, count, 8):
        store.prefixes(setup.model, collate(setup.prompts[start : start + 8]))
    config = GenerateConfig(greedy=True, max_new_tokens=NEW, batch_size=count, progress=False)
    write = Generate(config, setup.model, setup.tokenizer, setup.soft, store)

    @torch.no_grad()
    def one_by_one() -> dict[str, str]:
        texts: dict[str, str] = {}
        generate: Any = setup.model.generate
        for prompt in setup.prompts[:part]:
            batch = collate([prompt])
            embeds = setup.soft(batch, setup.model.get_input_embeddings()).inputs_embeds
            with _plain_attention(setup.model):
                ids = generate(
                    inputs_embeds=embeds, attention_mask=batch.attention_mask, suppress_tokens=write.suppressed,
                    do_sample=False, max_new_tokens=NEW, pad_token_id=setup.tokenizer.pad_token_id,
                )  # fmt: skip
            texts[prompt.key] = str(setup.tokenizer.decode(ids[0], skip_special_tokens=True)).strip()
        return texts

    return Case(
        "SmolLM2 generation", f"{count} requests without text, greedy, {NEW} tokens, beginnings kept by the likelihood",
        "`generate` request by request",
        lambda: dict(write(setup.prompts, collate)), one_by_one,
        lambda ours, theirs: all(ours[key] == text for key, text in theirs.items()),
        count, "requests/s", 5, part=part / count, repeats=2,
    )  # fmt: skip


def kept_step() -> Callable[[], None]:
    """Return a function that computes the gradients of four prompts with text; its first call keeps the beginnings."""
    setup = _setup(4, True)
    batch, module = Collator(0)(setup.prompts), setup.module(setup.store())

    def step() -> None:
        module.zero_grad()
        nll_B, _ = module.example_nll(batch)
        nll_B.sum().backward()

    return step


def share() -> Case:
    """Benchmark a step against its own matrix products alone: the ratio is the share of their rate that it reaches."""
    ours = kept_step()
    ours()  # the first call computes the beginnings
    with Products() as products:
        ours()
    return Case(
        "SmolLM2 share of peak", "matrix products of the step", "the same products alone",
        ours, products.replay(), lambda *_: products.gflop > 0, products.gflop, "GFLOP/s", 0.75,
    )  # fmt: skip


def _plain_nll(module: PersonalizationModule, batch: Batch) -> tuple[Tensor, Tensor]:
    """Compute the likelihoods of a batch by one pass over whole padded prompts, with logits at the targets."""
    embeds_BTD = module.embed(batch).inputs_embeds
    predicts_BT = torch.zeros_like(batch.labels, dtype=torch.bool)
    predicts_BT[:, :-1] = batch.labels[:, 1:] != IGNORE
    with _plain_attention(module.backbone):
        hidden_BTD = module.backbone.base_model(
            inputs_embeds=embeds_BTD, attention_mask=batch.attention_mask, use_cache=False
        ).last_hidden_state
    logits_MV = module.backbone.get_output_embeddings()(hidden_BTD[predicts_BT])
    nll_M = cross_entropy(logits_MV, batch.labels[:, 1:][predicts_BT[:, :-1]], reduction="none")
    rows_M = predicts_BT.nonzero()[:, 0]
    return nll_M.new_zeros(len(batch.keys)).index_add(0, rows_M, nll_M), predicts_BT.sum(1)


@contextmanager
def _plain_attention(model: PreTrainedModel) -> Iterator[None]:
    """Use transformers' own attention in place of the package's."""
    own = model.config._attn_implementation
    model.config._attn_implementation = "sdpa"
    try:
        yield
    finally:
        model.config._attn_implementation = own
