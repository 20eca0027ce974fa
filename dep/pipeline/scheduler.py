"""Runs the arms one after another, or in parallel worker processes.

With the built-in backbone two threads of one process mostly wait for each other, while two processes of one thread each
keep two cores busy. Arms that share an adapter or a warm start go to one worker, so that it is trained once. Workers
end with their parent; an arm that fails does not stop the others.
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
"""The stages of each arm, in their order."""

_EXIT_SECONDS = 10
"""Time that a worker without work gets to end by itself."""

Group = list[Arm]
"""Arms that one worker processes because they share an adapter; they travel pickled."""


class ArmsFailed(DepError):
    """Some arms failed; the message names them and the reasons. Results of the other arms are kept."""


def check_arms(arms: Sequence[Arm], stages: Sequence[str]) -> None:
    """Preflight checks of all arms that are not finished.

    Raises:
        ConfigError: a package or device is missing.
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
    """Run `stages` for every arm.

    Args:
        resources: with the run's configuration; its `jobs` and `threads` say how many arms run in parallel.
        arms: all arms of the run.
        stages: names in `STAGES`.
        fresh: redo the stages of all arms, also finished and cached ones. Results are removed first, so that an
            interrupted call continues without it.

    Raises:
        ArmsFailed: after all other arms are finished.
    """
    if fresh:
        for arm in arms:
            ArmStore(arm).forget(stages)
    arms = [arm for arm in arms if not all(ArmStore(arm).finished(stage) for stage in stages)]
    if not arms:
        return
    groups = _groups(arms)
    workers = min(len(groups), parallel_arms(resources.config))
    if resources.config.threads:
        torch.set_num_threads(resources.config.threads)
    if workers > 1:
        _run_in_parallel(resources, groups, stages, workers)
        return
    for arm in arms:
        for stage in stages:
            STAGES[stage](resources, arm)


def parallel_arms(config: RunConfig) -> int:
    """Number of arms that run in parallel: `jobs`, or the number of cores divided by `threads`."""
    return max(1, config.jobs or (_cores() // config.threads if config.threads else 1))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _groups(arms: Sequence[Arm]) -> list[Group]:
    """Groups of arms that share an adapter, a warm start or a user encoder; the largest groups first."""
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


def _run_in_parallel(resources: Resources, groups: list[Group], stages: Sequence[str], count: int) -> None:
    spawn = multiprocessing.get_context("spawn")
    queue, events = spawn.Queue(), spawn.Queue()
    for group in groups:
        queue.put(group)
    workers = [
        spawn.Process(target=_work, args=(resources.config, list(stages), queue, events), daemon=True)
        for _ in range(count)
    ]
    for worker in workers:
        queue.put(None)
        worker.start()
    arms = sum(map(len, groups))
    try:
        failed = _follow(workers, events, arms, resources.console)
        for worker in workers:
            worker.join(_EXIT_SECONDS)
    finally:
        for worker in workers:
            worker.terminate()
    if failed:
        lines = "\n".join(f"  {name}, seed {seed}: {why}" for (name, seed), why in failed.items())
        raise ArmsFailed(f"{len(failed)} of {arms} arms failed; the same command tries them again\n{lines}")


def _follow(workers: Sequence[Any], events: Any, count: int, console: Console) -> dict[tuple[str, int], str]:
    """Show the workers' progress until all arms are finished.

    Returns:
        The reason of each failure, by the arm's name and seed.
    """
    failed: dict[tuple[str, int], str] = {}
    finished, line = 0, progress.Lines()
    with Progress(*progress.columns(), console=console) as bars:
        total_bar = bars.add_task(f"{count} arms, {len(workers)} in parallel", total=count)
        worker_bars: dict[int, TaskID] = {}
        while finished < count:
            try:
                worker, kind, *what = events.get(timeout=1)
            except Empty:
                dead = [w for w in workers if w.exitcode not in (None, 0)]
                if dead or not any(w.is_alive() for w in workers):
                    codes = ", ".join(str(w.exitcode) for w in workers)
                    raise ArmsFailed(
                        f"a worker process ended before its work (exit codes {codes}; -9 is a lack of memory: set "
                        "threads to the number of cores to run one arm at a time); the same command goes on"
                    ) from None
                continue
            if kind == "stage":
                description, done, total = what
                if not console.is_terminal:
                    line(worker, description, done, total)
                if worker not in worker_bars:
                    worker_bars[worker] = bars.add_task(description, total=total)
                bars.update(worker_bars[worker], description=description, completed=done, total=total)
            elif kind == "arm":
                name, output, reason = what
                finished += 1
                bars.advance(total_bar)
                if output:
                    bars.console.print(output, end="")
                if reason:
                    failed[name] = reason
        for task in worker_bars.values():
            bars.remove_task(task)
    return failed


def _work(run: RunConfig, stages: list[str], queue: Any, events: Any) -> None:
    """Worker loop: process queued groups of arms until a None sentinel."""
    _die_with_parent()
    try:
        _process_groups(run, stages, queue, events)
    except (KeyboardInterrupt, SystemExit):  # Lightning's answer to the parent's signal; the parent reports it
        events.cancel_join_thread()


def _process_groups(run: RunConfig, stages: list[str], queue: Any, events: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent terminates its workers
    if run.threads:
        torch.set_num_threads(run.threads)
    progress.quiet()
    process, label = os.getpid(), [""]
    progress.report_to(lambda stage, done, total: events.put((process, "stage", f"{label[0]}: {stage}", done, total)))
    output = StringIO()
    resources = Resources(run, Console(file=output, soft_wrap=True, width=10_000))
    while (group := queue.get()) is not None:
        for arm in group:
            reason, label[0] = "", arm.label
            try:
                for stage in stages:
                    STAGES[stage](resources, arm)
            except Exception as error:  # the other arms continue, and the parent reports it
                reason = f"{type(error).__name__}: {error}"
                if os.environ.get("DEP_TRACEBACK") or not is_mendable(error):
                    reason += f"\n{traceback.format_exc()}"
            events.put((process, "arm", (arm.name, arm.seed), output.getvalue(), reason))
            output.seek(0)
            output.truncate()
    events.close()
    events.join_thread()


def _die_with_parent() -> None:
    """Ask Linux to kill this process when its parent ends, for whatever reason."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
