"""Lists the jobs of a run (a job is an arm at a seed), and says which results of each job exist."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from dep.config.schema import RunConfig
from dep.pipeline.arm import Arm
from dep.pipeline.keys import adapter_key, alignment_key
from dep.pipeline.store import ArmStore


@dataclass(frozen=True)
class Job:
    """An arm at one seed, with the state of its adapter and of its generated reviews."""

    arm: Arm
    train: str
    """State of the adapter. `-`: nothing to train. `done` and `cached`: it exists. `with <arm>`: that arm trains the
    same adapter. `fitted`: it is trained, and some numbers are fitted once more. `after <arm>`: it is trained after
    that arm has trained the warm start. `to do`: it is trained, and before it its warm start, if any."""
    generate: str
    """State of the generated reviews: `done`, `cached` or `to do`."""
    aligns: bool = False
    """Whether this job also aligns the adapter from which its own training, or that of its warm start, starts."""

    @property
    def trains(self) -> bool:
        """Whether this job trains an adapter."""
        return self.train == "to do" or self.train.startswith("after")

    @property
    def trains_warm_start(self) -> bool:
        """Whether this job also trains the adapter from which its own training starts."""
        return self.train == "to do" and self.arm.warm_start is not None


def jobs(arms: Sequence[Arm]) -> list[Job]:
    """Return a job for every arm, in the order of `arms`."""
    trainers: dict[str, str] = {}
    aligned: set[str] = set()
    planned = []
    for arm in arms:
        state = _training_state(arm, trainers)
        aligns = state == "to do" and _aligns(arm, aligned)
        planned.append(Job(arm, state, _generation_state(arm), aligns))
    return planned


def _aligns(arm: Arm, aligned: set[str]) -> bool:
    """Return whether an arm that trains also aligns; `aligned` records the keys that earlier arms align."""
    first = arm.first
    if not first.alignment_tasks or (key := alignment_key(first)) in aligned:
        return False
    aligned.add(key)
    return not ArmStore(first).alignment_is_cached


def _training_state(arm: Arm, trainers: dict[str, str]) -> str:
    """Return the state of an arm's adapter; `trainers` records by adapter key which arm trains."""
    if not arm.method.trains:
        return "-"
    trainer = trainers.setdefault(adapter_key(arm), arm.name)
    if ArmStore(arm).finished("train"):
        return "done"
    if ArmStore(arm).adapter_is_cached:
        return "cached"
    if arm.calibrates and ArmStore(arm.uncalibrated).adapter_is_cached:
        return "fitted"
    return f"with {trainer}" if trainer != arm.name else _pending_state(arm, trainers)


def _pending_state(arm: Arm, trainers: dict[str, str]) -> str:
    """Return `after <arm>` if the warm start is trained by another arm or is in the cache; otherwise `to do`."""
    if arm.warm_start is None:
        return "to do"
    trainer = trainers.setdefault(adapter_key(arm.warm_start), arm.name)
    if trainer != arm.name:
        return f"after {trainer}"
    return f"after {arm.warm_start.name}" if ArmStore(arm.warm_start).adapter_is_cached else "to do"


def _generation_state(arm: Arm) -> str:
    if ArmStore(arm).finished("generate"):
        return "done"
    return "cached" if ArmStore(arm).is_cached("generate") else "to do"


def parallel_arms(config: RunConfig) -> int:
    """Return how many arms run in parallel: `jobs` if set, else cores divided by `threads` if set, else one."""
    return max(1, config.jobs or (_cores() // config.threads if config.threads else 1))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
