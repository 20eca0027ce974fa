"""The arms of a run, one after another or side by side, one process each.

At the size of the built-in backbone two threads of one process mostly wait for each other, while two processes of one
thread each keep two cores busy. Arms that share an adapter, or what theirs go
on from, go to one process, so that it is trained once. A worker dies with its parent; an arm that fails does not stop
the others.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from io import StringIO
from queue import Empty
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress, TaskID

from dep.config import preflight
from dep.config.schema import RunConfig
from dep.pipeline.arm import Arm
from dep.pipeline.keys import adapter_key, encoder_key
from dep.pipeline.resources import Resources
from dep.pipeline.stages.evaluate import evaluate
from dep.pipeline.stages.generate import generate
from dep.pipeline.stages.train import train
from dep.pipeline.store import ArmStore
from dep.utils import progress
from dep.utils.errors import DepError, is_mendable

STAGES: dict[str, Callable[[Resources, Arm], None]] = {
    "train": train,
    "generate": generate,
    "evaluate": evaluate,
}
"""What is done with each arm, in this order."""

_FAREWELL = 10
"""Seconds that a worker without work has to end by itself."""

Group = list[Arm]
"""Arms that one worker takes, as they share an adapter; workers are handed their pickled configurations."""


class ArmsFailed(DepError):
    """Some arms could not be finished; says which and why. What the others did is kept."""


def check_arms(arms: Sequence[Arm], stages: Sequence[str]) -> None:
    """Preflight checks of all arms; an arm that is finished needs nothing.

    Raises:
        ConfigError: a package or device is missing.
        ValueError: an arm's settings contradict each other.
    """
    for arm in arms:
        parts = {stage for stage in stages if stage in ("train", "generate") and not ArmStore(arm).finished(stage)}
        if parts:
            preflight.check(arm.config, {"backbone", *parts})


def run_arms(
    resources: Resources,
    arms: Sequence[Arm],
    stages: Sequence[str],
    fresh: bool = False,
) -> None:
    """Take every arm through `stages`.

    Args:
        resources: with the run's configuration, whose `threads` says how many arms go side by side.
        arms: all of the run's.
        stages: names in `STAGES`.
        fresh: redo the stages of all arms, also those that are done or cached. Results are removed first, so an
            interrupted call goes on without it.

    Raises:
        ArmsFailed: after all others are through.
    """
    if fresh:
        for arm in arms:
            ArmStore(arm).forget(stages)
    arms = [arm for arm in arms if not all(ArmStore(arm).finished(stage) for stage in stages)]
    if not arms:
        return
    groups = _groups(arms)
    workers = min(len(groups), side_by_side(resources.config))
    if resources.config.threads:
        torch.set_num_threads(resources.config.threads)
    if workers > 1:
        _side_by_side(resources, groups, stages, workers)
        return
    for arm in arms:
        for stage in stages:
            STAGES[stage](resources, arm)


def side_by_side(config: RunConfig) -> int:
    """How many arms go side by side: `jobs`, or as many as the cores hold of `threads` each."""
    return max(1, config.jobs or (_cores() // config.threads if config.threads else 1))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _groups(arms: Sequence[Arm]) -> list[Group]:
    """Arms that share an adapter, a warm start or a user encoder, together; the largest groups first."""
    groups: dict[str, Group] = {}
    adapters: dict[str, set[str]] = {}
    for arm in arms:
        trained = {adapter_key(arm)} if arm.method.trains else set()
        learned = encoder_key(arm) if arm.method.pretrains else adapter_key(_first(arm)) if trained else ""
        key = learned or f"{arm.name}/{arm.seed}"
        groups.setdefault(key, []).append(arm)
        adapters.setdefault(key, set()).update(trained)
    return [groups[key] for key in sorted(groups, key=lambda key: (-len(adapters[key]), -len(groups[key])))]


def _first(arm: Arm) -> Arm:
    """The arm at the beginning of the chain of warm starts that leads to `arm`."""
    earlier = arm.training_view.warm_start
    return _first(earlier) if earlier else arm


def _side_by_side(resources: Resources, groups: list[Group], stages: Sequence[str], workers: int) -> None:
    spawn = multiprocessing.get_context("spawn")
    todo, news = spawn.Queue(), spawn.Queue()
    for group in groups:
        todo.put(group)
    crew = [
        spawn.Process(target=_work, args=(resources.config, list(stages), todo, news), daemon=True)
        for _ in range(workers)
    ]
    for worker in crew:
        todo.put(None)
        worker.start()
    count = sum(map(len, groups))
    try:
        failed = _follow(crew, news, count, resources.console)
        for worker in crew:
            worker.join(_FAREWELL)
    finally:
        for worker in crew:
            worker.terminate()
    if failed:
        lines = "\n".join(f"  {name}, seed {seed}: {why}" for (name, seed), why in failed.items())
        raise ArmsFailed(f"{len(failed)} of {count} arms failed; the same command tries them again\n{lines}")


def _follow(crew: Sequence[Any], news: Any, count: int, console: Console) -> dict[tuple[str, int], str]:
    """Show what the workers report until all are through; returns why each failed arm failed."""
    failed: dict[tuple[str, int], str] = {}
    through, line = 0, progress.Lines()
    with Progress(*progress.columns(), console=console) as bars:
        every = bars.add_task(f"{count} arms, {len(crew)} side by side", total=count)
        mine: dict[int, TaskID] = {}
        while through < count:
            try:
                worker, kind, *what = news.get(timeout=1)
            except Empty:
                dead = [w for w in crew if w.exitcode not in (None, 0)]
                if dead or not any(w.is_alive() for w in crew):
                    codes = ", ".join(str(w.exitcode) for w in crew)
                    raise ArmsFailed(
                        f"a worker process ended before its work (exit codes {codes}; -9 is a lack of memory: set "
                        "threads to the number of cores to run one arm at a time); the same command goes on"
                    ) from None
                continue
            if kind == "stage":
                description, done, total = what
                if not console.is_terminal:
                    line(worker, description, done, total)
                if worker not in mine:
                    mine[worker] = bars.add_task(description, total=total)
                bars.update(mine[worker], description=description, completed=done, total=total)
            elif kind == "arm":
                name, said, why = what
                through += 1
                bars.advance(every)
                if said:
                    bars.console.print(said, end="")
                if why:
                    failed[name] = why
        for task in mine.values():
            bars.remove_task(task)
    return failed


def _work(run: RunConfig, stages: list[str], todo: Any, news: Any) -> None:
    """Worker loop: process queued groups of arms until a None sentinel."""
    _die_with_parent()
    try:
        _take(run, stages, todo, news)
    except (KeyboardInterrupt, SystemExit):  # what Lightning makes of the parent's signal; the parent tells of it
        news.cancel_join_thread()


def _take(run: RunConfig, stages: list[str], todo: Any, news: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
    if run.threads:
        torch.set_num_threads(run.threads)
    progress.quiet()
    me = os.getpid()
    doing = [""]
    progress.report_to(lambda stage, done, total: news.put((me, "stage", f"{doing[0]}: {stage}", done, total)))
    said = StringIO()
    resources = Resources(run, Console(file=said, soft_wrap=True, width=10_000))
    while (group := todo.get()) is not None:
        for arm in group:
            why, doing[0] = "", arm.label
            try:
                for stage in stages:
                    STAGES[stage](resources, arm)
            except Exception as error:  # of any kind: the other arms continue, and the parent reports it
                why = f"{type(error).__name__}: {error}"
                if os.environ.get("DEP_TRACEBACK") or not is_mendable(error):
                    why += f"\n{traceback.format_exc()}"
            news.put((me, "arm", (arm.name, arm.seed), said.getvalue(), why))
            said.seek(0)
            said.truncate()
    news.close()
    news.join_thread()


def _die_with_parent() -> None:
    """Ask Linux to end this process when its parent is gone, however that came about."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
