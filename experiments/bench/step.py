"""Benchmarks a training step against the step of the public code.

The alternative pads rows to the length limit, computes logits at every position and writes slots one by one.
"""

from __future__ import annotations

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dep.data.collate import Collator
from dep.data.prompts.builder import PromptBuilder
from dep.data.prompts.settings import PromptConfig
from dep.models.backbones.load import load
from dep.models.settings import BackboneConfig
from dep.training.module import PersonalizationModule
from dep.training.settings import TrainConfig
from experiments.bench.measure import Case
from experiments.bench.untrained import loss_and_gradients, nearly_equal, plain_losses, soft_prompt
from experiments.bench.world import WIDTH, backbone, requests

ROW = 1152
"""Length limit of a row: 1,024 tokens of prompt and 128 of review."""


def case(examples: int = 4, history: int = 3) -> Case:
    """Benchmark a step on `examples` prompts with a vocabulary of a large model's size."""
    return _case("training step", "5.5 M parameters, 152 k words", *backbone(), examples, history)


def demo(examples: int = 8, history: int = 2) -> Case:
    """Benchmark a step of `make demo`: its backbone, prompts and micro batch."""
    return _case("training step of the demo", "the built-in backbone", *load(BackboneConfig()), examples, history)


def _case(
    name: str, what: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, examples: int, history: int
) -> Case:
    """Build the benchmark, whose result is the loss and the gradients."""
    builder = PromptBuilder(tokenizer, PromptConfig(history=history, max_input_tokens=1024), ["his", "diff"])
    batch = Collator(0)([builder.build(request) for request in requests(history)[:examples]])
    soft = soft_prompt(history, model, tokenizer, WIDTH)
    module = PersonalizationModule(model, soft, TrainConfig())

    return Case(
        name, f"{examples} prompts, K = {history}, {what}",
        f"rows padded to {ROW} tokens, logits everywhere, slots written one by one",
        lambda: loss_and_gradients(module, module.losses(batch)["total"]),
        lambda: loss_and_gradients(module, plain_losses(module, batch, ROW)),
        nearly_equal, examples, "examples/s", 5,
    )  # fmt: skip
