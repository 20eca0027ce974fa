"""Prints the plan of a run (`--plan`): its jobs, their state, and the estimated time and memory of the rest.

Nothing is trained or written.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from dep.config.schema import RunConfig
from dep.models.backbones.cost import CARDS, Card, Cost, Load, architecture, fitted, users_seconds
from dep.pipeline.arm import Arm
from dep.pipeline.devices import devices
from dep.pipeline.jobs import Job, jobs, parallel_arms
from dep.pipeline.resources import Resources
from dep.pipeline.workload import alignment_load, arm_load, example_counts, trained_parameters

PAST = "past reviews"
"""Name of the hidden states of past reviews, which all arms of a run share."""


def show(resources: Resources, run: RunConfig, configs: Mapping[str, RunConfig], console: Console) -> None:
    """Print the plan as a table with totals; if the reviews are missing, the paper's numbers are assumed.

    Args:
        resources: reviews and backbones of the run.
        run: the run's configuration.
        configs: the configuration of each arm by its name.
        console: the console to print to.
    """
    counts, source = example_counts(resources)
    fingerprint = "" if counts is None else resources.fingerprint
    planned = jobs([Arm(name, config, seed, fingerprint) for name, config in configs.items() for seed in run.seeds])
    workers = parallel_arms(run)
    cards = devices(resources)
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
    total_s = dict.fromkeys((card.name for card in cards), 0.0)
    longest_s = dict(total_s)
    notes: dict[str, list[str]] = {}
    read: set[tuple[str, str]] = set()
    for name in dict.fromkeys(job.arm.name for job in planned):
        arm_jobs = [job for job in planned if job.arm.name == name]
        arm = arm_jobs[0].arm
        row = [name, _seeds(arm_jobs), _counted([j.train for j in arm_jobs]), _counted([j.generate for j in arm_jobs])]
        trained = trained_parameters(arm) if any(job.trains for job in arm_jobs) else 0
        trains_first = arm.warm_start is not None and any(job.trains_warm_start for job in arm_jobs)
        first_load = align_load = None
        if arm.warm_start and trains_first:
            first_load = without_read(arm_load(resources, arm.warm_start, counts), read)
        if any(job.aligns for job in arm_jobs):
            align_load = alignment_load(resources, arm.first, counts)
        load = without_read(arm_load(resources, arm, counts), read)
        read.update(computed(load, bool(trained)))
        for card in cards:
            fitting, cost = fitted(arm.config.backbone, load, card, trained)
            first_s, align_s = (
                fitted(arm.config.backbone, earlier, card, trained)[1].train_s if earlier else 0.0
                for earlier in (first_load, align_load)
            )
            later = fitted(arm.config.backbone, without_read(load, read), card, trained)[1]
            costs = [cost, *[later] * (len(arm_jobs) - 1)]  # later seeds find what the first has kept
            job_seconds = [
                _job_seconds(job, cost, first_s) + align_s * job.aligns
                for job, cost in zip(arm_jobs, costs, strict=True)
            ]
            seconds = sum(job_seconds)
            total_s[card.name] += seconds
            longest_s[card.name] = max(longest_s[card.name], *job_seconds)
            row.append(f"{duration(seconds)}, {_memory(cost, card)}" if seconds else "0")
            for note in _notes(card, load, fitting) if seconds else ():
                notes.setdefault(note, []).append(name)
            if load.users and any(job.generate == "to do" for job in arm_jobs):
                user_s = users_seconds(architecture(arm.config.backbone), load, card) / load.users
                note = f"a LoRA for each of {load.users} users first, about {user_s:.1f} s each on {card.name}"
                notes.setdefault(note, []).append(name)
        table.add_row(*row)
    console.print(table)
    for card in cards:
        parallel = min(workers, len(planned)) > 1 and len(cards) == 1
        seconds = max(total_s[card.name] / workers, longest_s[card.name]) if parallel else total_s[card.name]
        suffix = f" with {workers} arms in parallel" if parallel else ""
        console.print(f"{card.name}: {duration(seconds)}{suffix}", highlight=False)
    for note, names in notes.items():
        console.print(f"{', '.join(names)}: {note}", highlight=False)
    console.print(source)
    if cards == CARDS:
        console.print(
            "Estimates, not measurements: parameters and saved activations are counted from the architecture; "
            + "; ".join(
                f"{c.name} is assumed to reach {c.reached:.0%} of {c.flops / 1e12:.0f} TFLOP/s and {c.decoding:.0%} of "
                f"{c.bandwidth / 1e12:.1f} TB/s"
                for c in cards
            )
        )


def computed(load: Load, trains: bool) -> set[tuple[str, str]]:
    """Name what an arm leaves on disk of its test examples and of those that it trains on: beginnings, past reviews."""
    splits = ("train", "test") if trains else ("test",)
    kept = {(load.kept_name, split) for split in splits if load.kept}
    return kept | {(PAST, split) for split in splits if load.past_tokens}


def without_read(load: Load, read: Collection[tuple[str, str]]) -> Load:
    """Return the load without what is in `read`, which an arm before it computes."""
    left = {split: (load.kept_name, split) not in read for split in ("train", "test")}
    return replace(
        load,
        read=load.read * left["train"],
        read_test=load.read_test * left["test"],
        past=load.past * ((PAST, "train") not in read),
        past_test=load.past_test * ((PAST, "test") not in read),
    )


def _job_seconds(job: Job, cost: Cost, first_s: float) -> float:
    """Estimate the seconds of a job; `first_s` are the seconds for training its warm start."""
    return cost.train_s * job.trains + first_s * job.trains_warm_start + cost.generate_s * (job.generate == "to do")


def _seeds(arm_jobs: Sequence[Job]) -> str:
    return ", ".join(str(job.arm.seed) for job in arm_jobs)


def _counted(states: Sequence[str]) -> str:
    """Summarise the states of an arm's jobs, as in `to do` or `2 done, 1 to do`."""
    names = list(dict.fromkeys(states))
    return names[0] if len(names) == 1 else ", ".join(f"{states.count(name)} {name}" for name in names)


def _memory(cost: Cost, card: Card) -> str:
    peak_gb = max(cost.train_gb, cost.generate_gb)
    text = f"{peak_gb:.0f} GB" if peak_gb >= 10 else f"{peak_gb:.1f} GB"
    return text if peak_gb <= card.memory else f"[red]{text}, too much[/]"


def _notes(card: Card, load: Load, fitting: Load) -> list[str]:
    """List the settings that must be lowered for the arm to fit the GPU."""
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
    """Format a duration, as in `0`, `40 s`, `12 min` or `3.4 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds else "0"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
