"""The training step on a GPU: Qwen2.5-7B's architecture at random weights, prompts of the paper's lengths.

    python -m experiments.bench.gpu [way ...]      # rows go into runs/bench/results.json beside those of `make bench`

Each way to read the prompts is timed in turns with rows padded to the 5,121 tokens of the authors' code. Operations are
those that real tokens need: 2 N a token before the first soft token, which takes no gradient, 4 N after it
(`dep.models.backbones.cost`). It needs torch, transformers, Lightning and rich, and uses flash-attn and bitsandbytes
where they are installed.
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
from experiments.bench.table import command, keep, show
from experiments.bench.untrained import plain_losses, soft_prompt

SEVEN = BackboneConfig(name_or_path="Qwen/Qwen2.5-7B-Instruct")
WIDTH, ROW, EPOCH = 1024, 5121, 3996
"""Of bge-m3's vectors; tokens of the authors' rows; the paper's training examples."""
_INPUT, _OUTPUT, _HISTORY = 2048, 2048, 8
_ITEM, _FIELDS, _TEXT = 300, 260, 390
"""Mean tokens of the target item, of a past review's other fields (its item's description among them), of a review."""


@dataclass(frozen=True)
class Way:
    """How the LLM reads a step's prompts."""

    micro_batch: int
    attention: str = "sdpa"
    compiled: bool = False
    needs: str = ""
    """A package without which it is left out."""


WAYS = {
    "padded, 1": Way(1),
    "padded, 4": Way(4),
    "packed by FlexAttention, 8": Way(8, "flex_attention"),
    "packed by flash-attn, 8": Way(8, "flash_attention_2", needs="flash_attn"),
    "padded, 4, compiled": Way(4, compiled=True),  # last: layers stay compiled
}


def prompts(tokenizer: PreTrainedTokenizerBase, count: int, shrink: int = 1) -> list[Prompt]:
    """Prompts of the paper's lengths with random words: as many past reviews as fit, each with both soft tokens.

    Args:
        tokenizer: knows the slot tokens; words are the ids before them.
        count: how many.
        shrink: divides every length, for a test.
    """
    draw = torch.Generator().manual_seed(0)
    vocabulary = tokenizer.get_vocab()
    words = min(vocabulary[token] for token in SLOT_TOKENS.values())
    his, diff = (vocabulary[SLOT_TOKENS[branch]] for branch in ("his", "diff"))

    def text(mean: float, most: int) -> list[int]:
        """Lengths as of reviews: log-normal."""
        length = mean / shrink * float(torch.exp(0.7 * torch.randn((), generator=draw) - 0.7**2 / 2))
        return torch.randint(3, words, (max(4, min(int(length), most // shrink)),), generator=draw).tolist()

    made = []
    for number in range(count):
        ids, kept = text(_ITEM, _INPUT // 2), 0
        for _ in range(_HISTORY):
            block = [*text(_FIELDS, _INPUT), *text(_TEXT, _OUTPUT), his, diff]
            if len(ids) + len(block) > _INPUT // shrink:
                break
            ids, kept = [*ids, *block], kept + 1
        ids += text(20, 100)
        branches: list[Branch] = ["his", "diff"] if kept else []
        vectors = {branch: list(torch.randn(kept, WIDTH, generator=draw) / WIDTH**0.5) for branch in branches}
        places = {branch: list(range(kept)) for branch in branches}
        made.append(Prompt(f"random/{number}", ids, text(_TEXT, _OUTPUT), vectors, places, kept))
    return made


def random_model(shape: PretrainedConfig, device: str, dtype: torch.dtype) -> PreTrainedModel:
    """A frozen model of an architecture, its weights drawn where it stands."""
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(shape, dtype=dtype, attn_implementation="sdpa")
    use_gqa_attention(model)
    return model.requires_grad_(False).eval()


def step_of(module: PersonalizationModule, batches: Sequence[Batch], losses: Callable[[Batch], Tensor]) -> list[Tensor]:
    """Forward and backward of an optimizer step's micro batches: mean loss, and the gradients."""
    module.zero_grad()
    total = torch.zeros((), device=module.device)
    for batch in batches:
        with torch.autocast(module.device.type, torch.bfloat16, enabled=module.backbone.dtype == torch.bfloat16):
            loss = losses(batch) * len(batch.keys)
        loss.backward()
        total += loss.detach()
    return [total, *(p.grad.clone() for p in module.soft_prompt.parameters() if p.grad is not None)]


def case(
    name: str, way: Way, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, asked: Sequence[Prompt], row: int
) -> tuple[Case, float]:
    """A step over `asked`, and the operations that it needs.

    Args:
        name: of the way.
        way: how ours reads them.
        model: from `random_model`.
        tokenizer: with the special tokens.
        asked: from `prompts`.
        row: tokens that the alternative pads to, one prompt at a time.
    """
    model.set_attn_implementation(way.attention)
    use_gqa_attention(model)
    if way.compiled:
        for layer in decoder_layers(model):
            layer.compile(dynamic=True)
    # L_gen alone is compared: the compressor's losses are means over a micro batch, which is another one for each
    module = PersonalizationModule(
        model, soft_prompt(_HISTORY, model, tokenizer, WIDTH).to(model.device), TrainConfig(lambda_=0.0)
    )
    rows = sorted(asked, key=lambda p: len(p.ids) + len(p.target))
    batches, singles = (
        [Collator(0)(rows[at : at + size]).to(model.device) for at in range(0, len(rows), size)]
        for size in (way.micro_batch, 1)
    )
    half = model.dtype != torch.float32

    def same(ours: list[Tensor], theirs: list[Tensor]) -> bool:
        pairs = [(a.flatten().double(), b.flatten().double()) for a, b in zip(ours, theirs, strict=True)]
        return all(bool((a - b).norm() <= (0.1 if half else 1e-3) * b.norm()) for a, b in pairs)

    made = Case(
        f"GPU training step: {name}", f"{len(asked)} prompts of the paper's lengths, {way.micro_batch} at a time",
        f"one at a time, padded to {row:,} tokens, logits everywhere, slots written one by one",
        lambda: step_of(module, batches, lambda batch: module.losses(batch)["total"]),
        lambda: step_of(module, singles, lambda batch: plain_losses(module, batch, row)),
        same, len(asked), "examples/s", 4,
    )  # fmt: skip
    return made, sum(needed(module, batch) for batch in batches)


def needed(module: PersonalizationModule, batch: Batch) -> float:
    """Operations that a batch's real tokens need: none backward before the first soft token, where it is set apart."""
    shape = module.backbone.config
    still = 0 if module.packs else prefix_span(batch, module.soft_prompt.injected_ids).still
    spared = training_flops(shape, still, 0) - reading_flops(shape, still, 0)
    lengths_B = batch.attention_mask.sum(1).tolist()
    targets_B = (batch.labels != IGNORE).sum(1).tolist()
    return sum(
        training_flops(shape, length, target) - spared for length, target in zip(lengths_B, targets_B, strict=True)
    )


def derived(row: Row, operations: float, peak: float) -> list[Row]:
    """What follows from a timed step: the share of the device's peak (where it is known), and the time of an epoch."""
    _, _, name = row.name.partition(": ")
    examples = float(row.what.split()[0])
    reached = operations / examples * row.ours
    minutes = EPOCH / row.ours / 60

    def stated(
        title: str, what: str, against: str, ours: float, limit: float, ratio: float, unit: str, goal: float
    ) -> Row:
        return Row(f"{title}: {name}", what, against, ours, limit, ratio, ratio, ratio, unit, row.device, goal)

    made = [stated("GPU epoch", f"{EPOCH:,} examples at that pace", "8 minutes", minutes, 8, 8 / minutes, "minutes", 1)]
    if peak:
        share = reached / peak
        what = "operations that real tokens need, a second"
        made.append(
            stated("GPU utilisation", what, "the peak that its makers state", reached / 1e12, peak / 1e12, share,
                   "TFLOP/s", 0.45)
        )  # fmt: skip
    return made


def memory(name: str, limit: float, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, device: str) -> Row:
    """The most that a step holds on the longest example there can be, through a model that makes activations again."""
    module = PersonalizationModule(
        model, soft_prompt(_HISTORY, model, tokenizer, WIDTH).to(model.device), TrainConfig()
    )
    longest = max(prompts(tokenizer, 64), key=lambda p: len(p.ids))
    longest = replace(longest, target=(longest.target * _OUTPUT)[:_OUTPUT])
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    step_of(module, [Collator(0)([longest]).to(model.device)], lambda batch: module.losses(batch)["total"])
    found = torch.cuda.max_memory_allocated() / 1e9
    example = f"a step on one example of {len(longest.ids) + _OUTPUT:,} tokens, weights among it"
    what = f"{example}, backbone.activation_checkpointing=true"
    ratio = limit / found
    return Row(f"GPU memory, {name}", what, f"{limit:g} GB", found, limit, ratio, ratio, ratio, "GB", device, 1)


def in_nf4(model: PreTrainedModel) -> PreTrainedModel:
    """The same with its layers' matrices in bitsandbytes' four bits, one after the other."""
    from bitsandbytes.nn.modules import Linear4bit, Params4bit

    for layer in decoder_layers(model):
        for name, linear in [pair for pair in layer.named_modules() if isinstance(pair[1], torch.nn.Linear)]:
            four = Linear4bit(
                linear.in_features, linear.out_features, linear.bias is not None, torch.bfloat16, quant_type="nf4",
                device="meta",
            )  # fmt: skip
            four.weight = Params4bit(linear.weight.data.cpu(), requires_grad=False, quant_type="nf4")
            four.bias = linear.bias
            inside, _, own = name.rpartition(".")
            setattr(layer.get_submodule(inside), own, four.to(model.device))
    return model


def main(names: Sequence[str], console: Console, folder: Path = Path("runs/bench"), examples: int = 16) -> list[Row]:
    """Measure the named ways, or all, then the memory.

    Raises:
        ValueError: there is no GPU, or a name that there is no way of.
    """
    if not torch.cuda.is_available():
        raise ValueError("bench.gpu: expected a CUDA device, found none; `make bench` is for processors")
    unknown = [name for name in names if name not in WAYS]
    if unknown:
        raise ValueError(f"bench.gpu: expected ways among {', '.join(WAYS)}, found {unknown[0]!r}")
    import transformers

    device = f"{torch.cuda.get_device_name()}, torch {torch.__version__}, transformers {transformers.__version__}"
    _, tokenizer = load(BackboneConfig())
    model = random_model(architecture(SEVEN), "cuda", torch.bfloat16)
    asked = prompts(tokenizer, examples)
    rows: list[Row] = []
    for name in names or WAYS:
        if WAYS[name].needs and not find_spec(WAYS[name].needs):
            console.print(f"{name}: left out, as {WAYS[name].needs} is not installed")
            continue
        made, operations = case(name, WAYS[name], model, tokenizer, asked, ROW)
        with stage(made.name, made.repeats + 1) as advance:
            timed = measure(made, device, advance)
        rows += [timed, *derived(timed, operations, peak_flops())]
        keep(rows, folder)
    del model
    model = random_model(architecture(SEVEN), "cuda", torch.bfloat16)
    checkpoint_activations(model)
    rows.append(memory("bf16", 24, model, tokenizer, device))
    if find_spec("bitsandbytes"):
        rows.append(memory("NF4", 12, in_nf4(model), tokenizer, device))
    keep(rows, folder)
    show(rows, folder, console)
    return rows


if __name__ == "__main__":
    sys.exit(command(lambda: main(sys.argv[1:], Console(soft_wrap=False)), __doc__))
