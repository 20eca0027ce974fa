"""Benchmarks the training step on a GPU: Qwen2.5-7B with random weights, and prompts of the paper's lengths.

    python -m experiments.bench.gpu [way ...]      # adds rows to runs/bench/results.json, like `make bench`

Each way to read the prompts is timed in turns with rows padded to the 5,121 tokens of the authors' code. The operations
counted are those that real tokens need: 2 N a token before the first soft token, where no gradient is computed, and 4 N
after it (`dep.models.backbones.cost`). The benchmark needs torch, transformers, Lightning and rich. It uses flash-attn
and bitsandbytes if they are installed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from dep.data.collate import Collator
from dep.inference.prefix_cache import prefix_span
from dep.models.backbones.activation_checkpointing import checkpoint_activations
from dep.models.backbones.cost import architecture, reading_flops, training_flops
from dep.models.backbones.gqa_attention import use_gqa_attention
from dep.models.backbones.layers import decoder_layers
from dep.models.backbones.load import load
from dep.models.settings import BackboneConfig
from dep.training.module import PersonalizationModule
from dep.training.settings import TrainConfig
from dep.training.throughput import peak_flops
from dep.types import IGNORE, SLOT_TOKENS, Batch, Branch, Prompt
from dep.utils.progress import stage
from experiments.bench.measure import Case, Row, measure
from experiments.bench.table import command, merge, show
from experiments.bench.untrained import plain_losses, soft_prompt

QWEN_7B = BackboneConfig(name_or_path="Qwen/Qwen2.5-7B-Instruct")
WIDTH, ROW, EPOCH = 1024, 5121, 3996
"""Width of bge-m3's vectors, length of a padded prompt in the authors' code, and the paper's number of training
examples."""
_INPUT, _OUTPUT, _HISTORY = 2048, 2048, 8
"""The paper's limits for the tokens of a prompt, the tokens of a review, and the number of past reviews."""
_ITEM, _FIELDS, _TEXT = 300, 260, 390
"""Mean tokens of the target's item, of a past review's fields other than its text, and of a review's text."""


@dataclass(frozen=True)
class Way:
    """How the LLM reads a step's prompts."""

    micro_batch: int
    attention: str = "sdpa"
    compiled: bool = False
    needs: str = ""
    """The package that this way needs, without which the way is skipped; empty if it needs none."""


WAYS = {
    "padded, 1": Way(1),
    "padded, 4": Way(4),
    "packed by FlexAttention, 8": Way(8, "flex_attention"),
    "packed by flash-attn, 8": Way(8, "flash_attention_2", needs="flash_attn"),
    "padded, 4, compiled": Way(4, compiled=True),  # last, because the layers stay compiled
}


def prompts(tokenizer: PreTrainedTokenizerBase, count: int, shrink: int = 1) -> list[Prompt]:
    """Make prompts of the paper's lengths with random words: as many past reviews as fit, each with both soft tokens.

    Args:
        tokenizer: has the slot tokens; the ids below them are words.
        count: number of prompts.
        shrink: divisor of every length, for tests.
    """
    draw = torch.Generator().manual_seed(0)
    vocabulary = tokenizer.get_vocab()
    words = min(vocabulary[token] for token in SLOT_TOKENS.values())
    his, diff = (vocabulary[SLOT_TOKENS[branch]] for branch in ("his", "diff"))

    def text(mean: float, most: int) -> list[int]:
        """Draw random ids with a log-normal length, like the lengths of reviews."""
        length = mean / shrink * float(torch.exp(0.7 * torch.randn((), generator=draw) - 0.7**2 / 2))
        return torch.randint(3, words, (max(4, min(int(length), most // shrink)),), generator=draw).tolist()

    result = []
    for number in range(count):
        ids, reviews = text(_ITEM, _INPUT // 2), 0
        for _ in range(_HISTORY):
            block = [*text(_FIELDS, _INPUT), *text(_TEXT, _OUTPUT), his, diff]
            if len(ids) + len(block) > _INPUT // shrink:
                break
            ids, reviews = [*ids, *block], reviews + 1
        ids += text(20, 100)
        branches: list[Branch] = ["his", "diff"] if reviews else []
        vectors = {branch: list(torch.randn(reviews, WIDTH, generator=draw) / WIDTH**0.5) for branch in branches}
        places = {branch: list(range(reviews)) for branch in branches}
        result.append(Prompt(f"random/{number}", ids, text(_TEXT, _OUTPUT), vectors, places, reviews))
    return result


def random_model(shape: PretrainedConfig, device: str, dtype: torch.dtype) -> PreTrainedModel:
    """Build a frozen model of an architecture with random weights, drawn on the device itself."""
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(shape, dtype=dtype, attn_implementation="sdpa")
    use_gqa_attention(model)
    return model.requires_grad_(False).eval()


def step_of(module: PersonalizationModule, batches: Sequence[Batch], losses: Callable[[Batch], Tensor]) -> list[Tensor]:
    """Run forward and backward of an optimizer step's micro batches; return the summed loss and the gradients."""
    module.zero_grad()
    total = torch.zeros((), device=module.device)
    for batch in batches:
        with torch.autocast(module.device.type, torch.bfloat16, enabled=module.backbone.dtype == torch.bfloat16):
            loss = losses(batch) * len(batch.keys)
        loss.backward()
        total += loss.detach()
    return [total, *(p.grad.clone() for p in module.soft_prompt.parameters() if p.grad is not None)]


def case(
    name: str, way: Way, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, sample: Sequence[Prompt], row: int
) -> tuple[Case, float]:
    """Return the benchmark of a step over `sample`, and the operations that the step needs.

    Args:
        name: name of the way.
        way: how our step reads the prompts.
        model: from `random_model`.
        tokenizer: tokenizer with the special tokens.
        sample: from `prompts`.
        row: tokens to which the alternative pads each prompt, which it reads one at a time.
    """
    model.set_attn_implementation(way.attention)
    use_gqa_attention(model)
    if way.compiled:
        for layer in decoder_layers(model):
            layer.compile(dynamic=True)
    # Only L_gen is compared: the compressor's losses are means over a micro batch, and the two ways' batches differ
    module = PersonalizationModule(
        model, soft_prompt(_HISTORY, model, tokenizer, WIDTH).to(model.device), TrainConfig(lambda_=0.0)
    )
    rows = sorted(sample, key=lambda p: len(p.ids) + len(p.target))
    batches, singles = (
        [Collator(0)(rows[at : at + size]).to(model.device) for at in range(0, len(rows), size)]
        for size in (way.micro_batch, 1)
    )
    half = model.dtype != torch.float32

    def same(ours: list[Tensor], theirs: list[Tensor]) -> bool:
        pairs = [(a.flatten().double(), b.flatten().double()) for a, b in zip(ours, theirs, strict=True)]
        return all(bool((a - b).norm() <= (0.1 if half else 1e-3) * b.norm()) for a, b in pairs)

    benchmark = Case(
        f"GPU training step: {name}", f"{len(sample)} prompts of the paper's lengths, {way.micro_batch} at a time",
        f"one at a time, padded to {row:,} tokens, logits everywhere, slots written one by one",
        lambda: step_of(module, batches, lambda batch: module.losses(batch)["total"]),
        lambda: step_of(module, singles, lambda batch: plain_losses(module, batch, row)),
        same, len(sample), "examples/s", 4,
    )  # fmt: skip
    return benchmark, sum(needed(module, batch) for batch in batches)


def needed(module: PersonalizationModule, batch: Batch) -> float:
    """Return the operations that a batch's real tokens need.

    Tokens before the first soft token need no backward pass if the prefix is read separately.
    """
    shape = module.backbone.config
    still = 0 if module.packs else prefix_span(batch, module.soft_prompt.injected_ids).still
    saved = training_flops(shape, still, 0) - reading_flops(shape, still, 0)
    lengths_B = batch.attention_mask.sum(1).tolist()
    targets_B = (batch.labels != IGNORE).sum(1).tolist()
    return sum(
        training_flops(shape, length, target) - saved for length, target in zip(lengths_B, targets_B, strict=True)
    )


def derived(row: Row, operations: float, peak: float) -> list[Row]:
    """Derive rows from a timed step: the time of an epoch, and the share of the device's peak if the peak is known."""
    _, _, name = row.name.partition(": ")
    examples = float(row.what.split()[0])
    rate = operations / examples * row.ours
    minutes = EPOCH / row.ours / 60

    def derived_row(
        title: str, what: str, against: str, ours: float, limit: float, ratio: float, unit: str, goal: float
    ) -> Row:
        return Row(f"{title}: {name}", what, against, ours, limit, ratio, ratio, ratio, unit, row.device, goal)

    rows = [
        derived_row(
            "GPU epoch", f"{EPOCH:,} examples at that speed", "8 minutes", minutes, 8, 8 / minutes, "minutes", 1
        )
    ]
    if peak:
        share = rate / peak
        what = "operations per second that real tokens need"
        rows.append(
            derived_row("GPU utilisation", what, "the peak in the device's data sheet", rate / 1e12, peak / 1e12, share,
                        "TFLOP/s", 0.45)
        )  # fmt: skip
    return rows


def memory(name: str, limit: float, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, device: str) -> Row:
    """Measure the peak memory of a step on the longest possible example, with activation checkpointing."""
    module = PersonalizationModule(
        model, soft_prompt(_HISTORY, model, tokenizer, WIDTH).to(model.device), TrainConfig()
    )
    longest = max(prompts(tokenizer, 64), key=lambda p: len(p.ids))
    longest = replace(longest, target=(longest.target * _OUTPUT)[:_OUTPUT])
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    step_of(module, [Collator(0)([longest]).to(model.device)], lambda batch: module.losses(batch)["total"])
    used = torch.cuda.max_memory_allocated() / 1e9
    example = f"a step on one example of {len(longest.ids) + _OUTPUT:,} tokens, including the weights"
    what = f"{example}, backbone.activation_checkpointing=true"
    ratio = limit / used
    return Row(f"GPU memory, {name}", what, f"{limit:g} GB", used, limit, ratio, ratio, ratio, "GB", device, 1)


def in_nf4(model: PreTrainedModel) -> PreTrainedModel:
    """Replace the matrices of the model's layers by bitsandbytes' 4-bit ones, one at a time."""
    from bitsandbytes.nn.modules import Linear4bit, Params4bit

    for layer in decoder_layers(model):
        for name, linear in [pair for pair in layer.named_modules() if isinstance(pair[1], torch.nn.Linear)]:
            quantized = Linear4bit(
                linear.in_features, linear.out_features, linear.bias is not None, torch.bfloat16, quant_type="nf4",
                device="meta",
            )  # fmt: skip
            quantized.weight = Params4bit(linear.weight.data.cpu(), requires_grad=False, quant_type="nf4")
            quantized.bias = linear.bias
            parent, _, attribute = name.rpartition(".")
            setattr(layer.get_submodule(parent), attribute, quantized.to(model.device))
    return model


def main(names: Sequence[str], console: Console, folder: Path = Path("runs/bench"), examples: int = 16) -> list[Row]:
    """Time the named ways, or all, then measure the memory.

    Raises:
        ValueError: there is no GPU, or a name is unknown.
    """
    if not torch.cuda.is_available():
        raise ValueError("bench.gpu: expected a CUDA device, found none; `make bench` is for processors")
    unknown = [name for name in names if name not in WAYS]
    if unknown:
        raise ValueError(f"bench.gpu: expected ways among {', '.join(WAYS)}, found {unknown[0]!r}")
    import transformers

    device = f"{torch.cuda.get_device_name()}, torch {torch.__version__}, transformers {transformers.__version__}"
    _, tokenizer = load(BackboneConfig())
    model = random_model(architecture(QWEN_7B), "cuda", torch.bfloat16)
    sample = prompts(tokenizer, examples)
    rows: list[Row] = []
    for name in names or WAYS:
        if WAYS[name].needs and not find_spec(WAYS[name].needs):
            console.print(f"{name}: skipped, because {WAYS[name].needs} is not installed")
            continue
        benchmark, operations = case(name, WAYS[name], model, tokenizer, sample, ROW)
        with stage(benchmark.name, benchmark.repeats + 1) as advance:
            timed = measure(benchmark, device, advance)
        rows += [timed, *derived(timed, operations, peak_flops())]
        merge(rows, folder)
    del model
    model = random_model(architecture(QWEN_7B), "cuda", torch.bfloat16)
    checkpoint_activations(model)
    rows.append(memory("bf16", 24, model, tokenizer, device))
    if find_spec("bitsandbytes"):
        rows.append(memory("NF4", 12, in_nf4(model), tokenizer, device))
    merge(rows, folder)
    show(rows, folder, console)
    return rows


if __name__ == "__main__":
    sys.exit(command(lambda: main(sys.argv[1:], Console(soft_wrap=False)), __doc__))
