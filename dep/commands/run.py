"""`dep run` runs all stages of a run; other verbs run some of these stages."""

from __future__ import annotations

import time
from collections.abc import Collection
from pathlib import Path

from rich.markup import escape

from dep.commands.base import Command

ALL = ("prepare", "embed", "train", "generate", "evaluate", "report")
"""All stages in order."""


def main(command: Command) -> None:
    """Run every stage."""
    run_stages(command, ALL)


def run_stages(command: Command, stages: Collection[str]) -> None:
    """Run some of the stages, or print the plan instead.

    Args:
        command: the parsed command line.
        stages: names from `ALL`.
    """
    run, configs = command.configs
    resources, console = command.resources, command.console
    if {"train", "generate"} & set(stages):
        from dep.pipeline.backbone_check import check_backbones

        for warning in check_backbones(configs):
            console.print(f"[yellow]warning[/] {escape(warning)}", highlight=False)
    if command.plan:
        from dep.pipeline.plan import show

        show(resources, run, configs, console)
        return
    from dep.pipeline.run_lock import run_lock
    from dep.pipeline.scheduler import STAGES, check_arms, run_arms
    from dep.pipeline.stages.vectors import embed, prepare

    per_arm = [name for name in STAGES if name in stages]
    arms = resources.arms(configs, run.seeds)
    check_arms(arms, per_arm)
    with run_lock(Path(run.runs) / run.name):
        if "prepare" in stages:
            prepare(resources, run)
        if "embed" in stages:
            embed(resources, configs)
        run_arms(resources, arms, per_arm, command.fresh)
        if "report" in stages:
            from dep.pipeline.summary import report

            recompute = command.verb == "report"
            path = report(resources, run, arms, command.typed, command.started, recompute)
            console.print(f"[bold]report[/] {path}")
    console.print(f"done in {time.time() - command.started:.0f} s")
