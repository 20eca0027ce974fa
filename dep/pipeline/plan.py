"""`--plan`: the jobs of a run, what is already there, and what the rest will cost, before anything is loaded or made.

Token counts come from the prepared data where they are there or can be made at once, else from the paper's Table 4.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from transformers import AutoModelForCausalLM

from dep.config.schema import RunConfig, build
from dep.data.prompts.builder import PromptBuilder
from dep.models.adapters.base import AdapterParts
from dep.models.backbones.cost import CARDS, Card, Cost, Load, architecture, fitted, parameters, training_flops
from dep.models.soft_prompt import build_adapter
from dep.pipeline.arm import Arm
from dep.pipeline.builders import build_data
from dep.pipeline.keys import adapter_key
from dep.pipeline.resources import Resources
from dep.pipeline.scheduler import parallel_arms
from dep.pipeline.store import ArmStore

SAMPLE = 48
"""Test examples whose prompts are measured."""
_TABLE4 = {"train": 3996, "val": 512, "test": 3996}
"""Examples of the paper's data (Table 4; 317 + 1,925 + 1,754 test)."""
_TARGET, _BLOCK, _ITEM = 390, 260, 300
"""Tokens there: a review (1,609 characters, about 4.1 a token), the other fields of a past review, the target item."""
_CATEGORIES = 3
"""Of the paper's data and of the built-in world."""
_SMALL = 200_000_000
"""A backbone of fewer parameters is timed here instead of estimated for a card."""


@dataclass(frozen=True)
class Job:
    """One arm at one seed, and what is already there of it."""

    arm: Arm
    train: str
    """`-` (nothing to train), `done`, `cached`, `with <arm>` (trained there), `after <arm>` (goes on from what is
    trained there) or `to do`, what it goes on from included."""
    generate: str
    """`done`, `cached` or `to do`."""


def jobs(arms: Sequence[Arm]) -> list[Job]:
    """Every arm with its state, in the order given."""
    trainers: dict[str, str] = {}
    found = []
    for arm in arms:
        train = "-"
        if arm.method.trains:
            trainer = trainers.setdefault(adapter_key(arm), arm.name)
            train = (
                "done" if ArmStore(arm).finished("train")
                else "cached" if ArmStore(arm).adapter_is_cached
                else f"with {trainer}" if trainer != arm.name
                else _after(arm, trainers)
            )  # fmt: skip
        generate = (
            "done"
            if ArmStore(arm).finished("generate")
            else "cached"
            if ArmStore(arm).is_cached("generate")
            else "to do"
        )
        found.append(Job(arm, train, generate))
    return found


def _after(arm: Arm, trainers: dict[str, str]) -> str:
    """`to do`, or `after <arm>` where the warm start is trained by another arm of the run, or already cached."""
    if arm.warm_start is None:
        return "to do"
    trainer = trainers.setdefault(adapter_key(arm.warm_start), arm.name)
    if trainer != arm.name:
        return f"after {trainer}"
    return f"after {arm.warm_start.name}" if ArmStore(arm.warm_start).adapter_is_cached else "to do"


def show(resources: Resources, run: RunConfig, configs: Mapping[str, RunConfig], console: Console) -> None:
    """Print the plan as a table and its totals. Reviews that are not here are planned for as the paper's."""
    sized, source = sizes(resources)
    fingerprint = "" if sized is None else resources.fingerprint
    planned = jobs([Arm(name, config, seed, fingerprint) for name, config in configs.items() for seed in run.seeds])
    workers = parallel_arms(run)
    cards = _cards(resources)
    table = Table(
        title=f"{len(planned)} job{'s' * (len(planned) > 1)} of {resources.config.name}",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    for name in ("arm", "seeds", "adapter", "reviews"):
        table.add_column(name, no_wrap=name == "arm", overflow="fold")
    for card in cards:
        table.add_column(card.name, justify="right", no_wrap=True)
    total = dict.fromkeys((card.name for card in cards), 0.0)
    longest = dict(total)
    notes: dict[str, list[str]] = {}
    for name in dict.fromkeys(job.arm.name for job in planned):
        mine = [job for job in planned if job.arm.name == name]
        row = [name, _seeds(mine), _counted([job.train for job in mine]), _counted([job.generate for job in mine])]
        load, backbone = load_of(resources, mine[0].arm, sized), mine[0].arm.config.backbone
        trained = trained_parameters(mine[0].arm) if any(_trains(job) for job in mine) else 0
        before = mine[0].arm.warm_start
        earlier = load_of(resources, before, sized) if before and any(job.train == "to do" for job in mine) else None
        for card in cards:
            smaller, cost = fitted(backbone, load, card, trained)
            first_s = fitted(backbone, earlier, card, trained)[1].train_s if earlier else 0.0
            each = [
                cost.train_s * _trains(job)
                + first_s * (job.train == "to do")
                + cost.generate_s * (job.generate == "to do")
                for job in mine
            ]
            seconds = sum(each)
            total[card.name] += seconds
            longest[card.name] = max(longest[card.name], *each)
            row.append(f"{duration(seconds)}, {_memory(cost, card)}" if seconds else "0")
            for note in _notes(card, load, smaller) if seconds else ():
                notes.setdefault(note, []).append(name)
        table.add_row(*row)
    console.print(table)
    for card in cards:
        side = f" with {workers} in parallel" if min(workers, len(planned)) > 1 and len(cards) == 1 else ""
        seconds = max(total[card.name] / workers, longest[card.name]) if side else total[card.name]
        console.print(f"{card.name}: {duration(seconds)}{side}", highlight=False)
    for note, names in notes.items():
        console.print(f"{', '.join(names)}: {note}", highlight=False)
    console.print(source)
    if cards == CARDS:
        console.print(
            "Estimates, not measurements: parameters and kept activations counted from the architecture; "
            + "; ".join(
                f"{c.name} at {c.reached:.0%} of {c.flops / 1e12:.0f} TFLOP/s and {c.decoding:.0%} of "
                f"{c.bandwidth / 1e12:.1f} TB/s"
                for c in cards
            )
        )


def sizes(resources: Resources) -> tuple[dict[str, int] | None, str]:
    """Examples by split, or None where the reviews are not here; and where the counts are from, in words."""
    try:
        prepared = resources.prepared(resources.config)
    except (FileNotFoundError, ValueError) as error:
        return None, f"Examples and lengths as in the paper's Table 4, for the reviews are not here: {error}"
    counts = dict.fromkeys(("train", "val", "test"), 0)
    for example in prepared.examples:
        counts[example.split] = counts.get(example.split, 0) + 1
    return counts, f"Examples: {', '.join(f'{n} {split}' for split, n in counts.items())}."


def load_of(resources: Resources, arm: Arm, sized: dict[str, int] | None) -> Load:
    """The work of an arm, in tokens; as the paper's where `sized` is None."""
    config, (prompt, soft) = arm.config, arm.configured
    if sized is None:
        counts, target = _TABLE4, float(_TARGET)
        block = _BLOCK + (_TARGET if prompt.text else 0) + 12 * len(soft.branches)
        mean = min(prompt.max_input_tokens, _ITEM + block * prompt.history)
        longest = min(prompt.max_input_tokens, mean * 2) + min(prompt.max_target_tokens, 5 * _TARGET)
    else:
        counts = sized
        lengths = _lengths(resources, arm)
        mean, target = (sum(column) / len(column) for column in zip(*lengths, strict=True))
        longest = max(map(sum, lengths))
    epochs = arm.settings.epochs
    return Load(
        counts["train"] * epochs, counts["val"] * epochs, counts["test"], mean, target, longest,
        config.train.micro_batch, config.generate.batch_size, config.generate.max_new_tokens,
        config.train.monitor == "val_meteor",
        arm.method.calls(prompt.history) if config.profile.writer == "backbone" else 0, config.profile.max_new_tokens,
    )  # fmt: skip


def _lengths(resources: Resources, arm: Arm) -> list[tuple[int, int]]:
    """Tokens of prompt and target of some test examples; vectors are not needed to count their slots."""
    data, (prompt, _) = build_data(resources, arm), arm.configured
    _, tokenizer = resources.backbone(arm.config)
    data.builder = PromptBuilder(
        tokenizer, replace(prompt, reads_user_history=False, user_tokens=0), data.builder.branches
    )
    branches, data.cache = data.builder.branches, None
    user_tokens = prompt.user_tokens if prompt.user_tokens >= 0 else prompt.max_user_history
    slots = sum(len(data.builder.slot_ids(branch)) for branch in branches)
    requests = data.requests("test")
    prompts = data.prompts(requests[: min(SAMPLE, len(requests))])
    return [
        (len(prompts[at].ids) + slots * prompt.history + user_tokens, len(prompts[at].target))
        for at in range(len(prompts))
    ]


def trained_parameters(arm: Arm) -> int:
    """Parameters of the adapter, low-rank updates of the LLM among them."""
    if not arm.method.trains:
        return 0
    config, (prompt, soft) = arm.config, arm.configured
    shape = architecture(config.backbone)
    try:
        width = build(config, "embedder").dim
    except (OSError, ValueError):
        width = 1024  # bge-m3's
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(shape)
        parts = AdapterParts(soft, config.compressor, config.projector, width, model, 1.0, None, _CATEGORIES)
        adapter = build_adapter(replace(parts, longest=prompt.max_user_history))
    own = sum(p.numel() for name, p in adapter.named_parameters() if adapter.is_trained(name)) if adapter else 0
    rows = 2 * len(soft.branches) * shape.hidden_size if soft.boundary_trainable else 0
    return own + rows


def _cards(resources: Resources) -> tuple[Card, ...]:
    shape = architecture(resources.config.backbone)
    if parameters(shape)[0] > _SMALL:
        return CARDS
    return (_here(resources, shape),)


@torch.no_grad()
def _here(resources: Resources, shape: Any) -> Card:
    """This machine, as fast as the backbone is found to run on one arm's threads."""
    torch.set_num_threads(resources.config.threads or torch.get_num_threads())
    model, _ = resources.backbone(resources.config)
    every, _ = parameters(shape)
    with torch.enable_grad():
        embeds = torch.zeros(8, 256, shape.hidden_size, requires_grad=True)
        for _ in range(2):
            began = time.perf_counter()
            model(inputs_embeds=embeds).logits.sum().backward()
            step_s = time.perf_counter() - began
    ids = torch.zeros(64, 128, dtype=torch.long)
    state = model(ids, use_cache=True)
    began = time.perf_counter()
    for _ in range(8):
        state = model(ids[:, :1], past_key_values=state.past_key_values, use_cache=True)
    token_s = (time.perf_counter() - began) / 8
    flops = 8 * training_flops(shape, 256, 256) / step_s
    return Card("this machine", 1e9, flops, 2.0 * every / token_s, reached=1.0, decoding=1.0)


def _trains(job: Job) -> bool:
    return job.train == "to do" or job.train.startswith("after")


def _seeds(mine: Sequence[Job]) -> str:
    return ", ".join(str(job.arm.seed) for job in mine)


def _counted(states: Sequence[str]) -> str:
    """`to do`, or `2 done, 1 to do`."""
    names = list(dict.fromkeys(states))
    return names[0] if len(names) == 1 else ", ".join(f"{states.count(name)} {name}" for name in names)


def _memory(cost: Cost, card: Card) -> str:
    worst = max(cost.train_gb, cost.generate_gb)
    said = f"{worst:.0f} GB" if worst >= 10 else f"{worst:.1f} GB"
    return said if worst <= card.memory else f"[red]{said}, too much[/]"


def _notes(card: Card, load: Load, fitting: Load) -> list[str]:
    """What has to be set smaller for the card."""
    notes = []
    if fitting.batch < load.batch:
        notes.append(f"on {card.name}, set generate.batch_size={fitting.batch}")
    if fitting.longest < load.longest:
        notes.append(
            f"on {card.name}, lower prompt.max_input_tokens and prompt.max_target_tokens to {fitting.longest:,} tokens "
            f"together (the longest example has about {load.longest:,})"
        )
    return notes


def duration(seconds: float) -> str:
    """A time as people say it: `0`, `40 s`, `12 min`, `3.4 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds else "0"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
