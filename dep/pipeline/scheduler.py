"""Runs the arms of a run one after another, or several in parallel, each in its own process.

An arm is one system of a comparison, here at one seed.
With a backbone as small as the built-in one, two threads of a process mostly wait for each other, but two processes
with one thread each keep two cores busy. Arms that share an adapter or a warm start run in the same process, so that
the shared part is trained only once. Worker processes end when their parent ends. An arm that fails does not stop
other arms.
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
from dep.evaluation.metrics import load_metric
from dep.pipeline.arm import Arm
from dep.pipeline.jobs import parallel_arms
from dep.pipeline.keys import adapter_key, alignment_key, encoder_key, users_key
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
"""For each stage of an arm, in order, the function that runs it."""

_EXIT_TIMEOUT_S = 10
"""Seconds after which an idle worker process that has not ended is terminated."""

Group = list[Arm]
"""Arms that one worker process runs, since they share an adapter; they are pickled for the worker."""


class ArmsFailed(DepError):
    """Raised when arms failed; the message says which and why. The results of other arms are kept."""


def check_arms(arms: Sequence[Arm], stages: Sequence[str]) -> None:
    """Run the preflight checks for all arms that have unfinished stages.

    Raises:
        ConfigError: a package or device is missing.
        DepError: an arm's settings contradict each other, or a metric's files are missing.
    """
    for arm in arms:
        parts = {stage for stage in stages if stage in ("train", "generate") and not ArmStore(arm).finished(stage)}
        if parts:
            preflight.check(arm.config, {"backbone", *parts})
        if "generate" in parts:
            _check_contrast(arm)
        if parts and "evaluate" in stages and arm.config.evaluate.texts:
            for name in arm.config.evaluate.metrics.names:
                load_metric(name).check_machine()


def _check_contrast(arm: Arm) -> None:
    """Check that an arm with `generate.contrast` has an adapter to switch off, and an engine that can do so.

    Raises:
        DepError: it has not.
    """
    method, generate_config = arm.method, arm.config.generate
    if not generate_config.contrast:
        return
    setting = f"arm {arm.name}: generate.contrast={generate_config.contrast:g}"
    if generate_config.engine != "hf":
        raise DepError(setting, "generate.engine=hf", generate_config.engine, "set generate.contrast=0")
    if not (method.trains or method.user_training or arm.configured[1].branches):
        way_out = "set it in the files of other arms, or generate.contrast=0"
        raise DepError(setting, "an adapter that can be switched off", f"none in method.kind={method.kind}", way_out)


def run_arms(
    resources: Resources,
    arms: Sequence[Arm],
    stages: Sequence[str],
    fresh: bool = False,
) -> None:
    """Run some stages for every arm.

    Args:
        resources: the run's resources; `jobs` and `threads` in its configuration say how many arms run in parallel.
        arms: all arms of the run.
        stages: names from `STAGES`.
        fresh: whether the stages run again even if results exist. These results are removed first, so that after an
            interruption the same call without `fresh` continues.

    Raises:
        ArmsFailed: an arm failed; all other arms have been run before.
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


def _groups(arms: Sequence[Arm]) -> list[Group]:
    """Group arms that share trained parts, those of single users included; groups with the most training come first."""
    groups: dict[str, Group] = {}
    adapters: dict[str, set[str]] = {}
    for arm in arms:
        trained = {adapter_key(arm)} if arm.method.trains else set()
        shared = _shared_part(arm) if trained else ""
        if arm.method.user_training and not shared:
            shared = users_key(arm)
        key = shared or f"{arm.name}/{arm.seed}"
        groups.setdefault(key, []).append(arm)
        adapters.setdefault(key, set()).update(trained)
    return [groups[key] for key in sorted(groups, key=lambda key: (-len(adapters[key]), -len(groups[key])))]


def _shared_part(arm: Arm) -> str:
    """Return the key of the first part that is trained for `arm`, which other arms may share."""
    if arm.method.pretrains:
        return encoder_key(arm)
    return alignment_key(arm.first) if arm.first.alignment_tasks else adapter_key(arm.first)


def _run_in_parallel(resources: Resources, groups: list[Group], stages: Sequence[str], count: int) -> None:
    """Run the groups in `count` worker processes; if an arm fails, raise an error after all others have finished."""
    spawn = multiprocessing.get_context("spawn")
    tasks, events = spawn.Queue(), spawn.Queue()
    for group in groups:
        tasks.put(group)
    workers = [
        spawn.Process(target=_worker, args=(resources.config, list(stages), tasks, events), daemon=True)
        for _ in range(count)
    ]
    for worker in workers:
        tasks.put(None)
        worker.start()
    arms = sum(map(len, groups))
    try:
        failed = _show_progress(workers, events, arms, resources.console)
        for worker in workers:
            worker.join(_EXIT_TIMEOUT_S)
    finally:
        for worker in workers:
            worker.terminate()
    if failed:
        lines = "\n".join(f"  {name}, seed {seed}: {why}" for (name, seed), why in failed.items())
        raise ArmsFailed(f"{len(failed)} of {arms} arms failed; the same command tries them again\n{lines}")


def _show_progress(workers: Sequence[Any], events: Any, arms: int, console: Console) -> dict[tuple[str, int], str]:
    """Show the workers' progress until all arms have finished; return for each failed arm the reason."""
    failed: dict[tuple[str, int], str] = {}
    finished, line = 0, progress.Lines()
    with Progress(*progress.columns(), console=console) as bars:
        overall = bars.add_task(f"{arms} arms, {len(workers)} in parallel", total=arms)
        worker_bars: dict[int, TaskID] = {}
        while finished < arms:
            try:
                worker, kind, *event = events.get(timeout=1)
            except Empty:
                crashed = [w for w in workers if w.exitcode not in (None, 0)]
                if crashed or not any(w.is_alive() for w in workers):
                    codes = ", ".join(str(w.exitcode) for w in workers)
                    raise ArmsFailed(
                        f"a worker process ended before its work (exit codes {codes}; -9 usually means out of memory: "
                        "set jobs=1 to run one arm at a time); the same command continues"
                    ) from None
                continue
            if kind == "stage":
                description, done, total = event
                if not console.is_terminal:
                    line(worker, description, done, total)
                if worker not in worker_bars:
                    worker_bars[worker] = bars.add_task(description, total=total)
                bars.update(worker_bars[worker], description=description, completed=done, total=total)
            elif kind == "arm":
                name, output, why = event
                finished += 1
                bars.advance(overall)
                if output:
                    bars.console.print(output, end="")
                if why:
                    failed[name] = why
        for task in worker_bars.values():
            bars.remove_task(task)
    return failed


def _worker(run: RunConfig, stages: list[str], tasks: Any, events: Any) -> None:
    """Run a worker process until there is no work left or the parent ends."""
    _die_with_parent()
    try:
        _work_loop(run, stages, tasks, events)
    except (KeyboardInterrupt, SystemExit):  # Lightning raises these on the parent's signal, which the parent reports
        events.cancel_join_thread()


def _work_loop(run: RunConfig, stages: list[str], tasks: Any, events: Any) -> None:
    """Take groups of arms from the queue and run their stages, until the queue gives None."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
    if run.threads:
        torch.set_num_threads(run.threads)
    progress.quiet()
    pid = os.getpid()
    label = ""

    def report_stage(stage: str, done: float, total: float) -> None:
        events.put((pid, "stage", f"{label}: {stage}", done, total))

    progress.report_to(report_stage)
    output = StringIO()
    resources = Resources(run, Console(file=output, soft_wrap=True, width=10_000))
    while (group := tasks.get()) is not None:
        for arm in group:
            why, label = "", arm.label
            try:
                for stage in stages:
                    STAGES[stage](resources, arm)
            except Exception as error:  # of any kind: the other arms continue, and the parent reports it
                why = f"{type(error).__name__}: {error}"
                if os.environ.get("DEP_TRACEBACK") or not is_mendable(error):
                    why += f"\n{traceback.format_exc()}"
            events.put((pid, "arm", (arm.name, arm.seed), output.getvalue(), why))
            output.seek(0)
            output.truncate()
    events.close()
    events.join_thread()


def _die_with_parent() -> None:
    """Ask Linux to kill this process when its parent ends, however that happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
