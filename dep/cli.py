"""`dep <verb> [conf/*.yaml ...] [key=value ...]`: every stage of a run as a command.

Nothing heavy is imported before a verb is known: help must come at once.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dep.config.optional_deps import EXTRAS

VERBS = {
    "run": "all stages, then the report: what most people want",
    "prepare": "read the source, filter and split it, print its statistics",
    "embed": "his and diff vectors of every review, cached by category",
    "train": "train the adapter of every arm that has one",
    "generate": "measure the real reviews' likelihood and write the arms' own",
    "evaluate": "score what was written",
    "report": "tables, intervals, comparisons and report.html from the scores",
    "diff": "what sets two configurations apart: dep diff paper official",
    "cost": "parameters, operations, cache and memory of every arm, counted from the architecture",
    "probe": "no LLM: how often a review's vectors find its author",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code."""
    args = _parser().parse_intermixed_args(argv)
    files = [word for word in args.words if word.endswith((".yaml", ".yml")) and "=" not in word]
    overrides = [word for word in args.words if word not in files]
    overrides += [f"jobs={args.jobs}"] * (args.jobs is not None)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if args.plan or args.verb == "cost":
        os.environ["HF_HUB_OFFLINE"] = "1"  # they ask nobody
    from rich.console import Console

    console = Console(soft_wrap=True)
    try:
        return _run(args.verb, files, overrides, console, args.plan, args.fresh)
    except KeyboardInterrupt:
        Console(stderr=True).print("\ninterrupted; the same command carries on from here")
        return 130
    except (ValueError, OSError, ModuleNotFoundError) as error:
        if os.environ.get("DEP_TRACEBACK"):
            raise
        said = _not_installed(error) if isinstance(error, ModuleNotFoundError) else str(error)
        Console(stderr=True, soft_wrap=True, highlight=False).print(f"[bold red]error[/] {_escaped(said)}")
        return 2


def _not_installed(error: ModuleNotFoundError) -> str:
    """Which package is missing, and the extra of pyproject.toml that brings it, where our own words do not say so."""
    if error.name is None:
        return str(error)
    package = error.name.partition(".")[0]
    if package not in EXTRAS:
        return f"{error}; `make install-dev` installs what the tests need"
    return f"this needs the package {package}, which is not installed: pip install -e '.[{EXTRAS[package]}]'"


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _parser() -> argparse.ArgumentParser:
    verbs = "\n".join(f"  {name:10}{does}" for name, does in VERBS.items())
    parser = argparse.ArgumentParser(
        prog="dep",
        usage="dep <verb> [conf/*.yaml ...] [key=value ...]",
        description="Personalise a frozen LLM from what makes one user different from the others.",
        epilog=f"verbs:\n{verbs}\n\nexamples:\n"
        "  dep run conf/demo.yaml                             the built-in world, on a CPU, in minutes\n"
        "  dep run conf/demo.yaml name=mine seeds=[0,1]       another name, two seeds\n"
        "  dep probe conf/digital_music.yaml                  do the vectors know their author?\n"
        "  dep run conf/paper.yaml source.main=/data/DPL-main source.meta=/data/DPL-meta\n\n"
        "Every verb goes on where it was interrupted, and does nothing twice.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("verb", choices=list(VERBS), metavar="verb", help=argparse.SUPPRESS)
    parser.add_argument(
        "--plan", action="store_true", help="print the jobs, what is there and what the rest costs; do nothing"
    )
    parser.add_argument(
        "--fresh", action="store_true", help="train, generate and evaluate again what is done or cached"
    )
    parser.add_argument("--jobs", type=int, metavar="N", help="N arms side by side (as jobs=N)")
    parser.add_argument("words", nargs="*", metavar="file or key=value", help=argparse.SUPPRESS)
    return parser


def _run(
    verb: str, files: list[str], overrides: list[str], console: Any, plan: bool = False, fresh: bool = False
) -> int:
    from dep.config.loader import load, load_arms

    if verb == "diff":
        return _diff([*files, *overrides], load, console)
    if not files and not overrides:
        raise ValueError(f"expected a configuration file, as in `dep {verb} conf/demo.yaml`")
    started = time.time()
    run, configs = load_arms(files, overrides)
    from dep.pipeline.resources import Resources
    from dep.pipeline.run_lock import run_lock
    from dep.pipeline.scheduler import STAGES, check_arms, run_arms
    from dep.pipeline.stages.vectors import embed, prepare
    from dep.utils import progress

    progress.quiet()
    resources = Resources(run, console)
    if plan:
        from dep.pipeline.plan import show

        show(resources, run, configs, console)
        return 0
    if verb == "cost":
        from dep.commands.cost import show as show_cost

        show_cost(resources, configs, console)
        return 0
    if verb == "probe":
        from dep.commands.probe import probe_all

        probe_all(resources, run)
        return 0
    stages = [name for name in STAGES if verb in ("run", name)]
    arms = resources.arms(configs, run.seeds)
    check_arms(arms, stages)
    with run_lock(Path(run.runs) / run.name):
        if verb in ("prepare", "run"):
            prepare(resources, run)
        if verb in ("embed", "run"):
            embed(resources, configs)
        run_arms(resources, arms, stages, (files, overrides), fresh)
        if verb in ("report", "run"):
            from dep.pipeline.summary import report

            words = shlex.join(["dep", verb, *files, *overrides])
            path = report(resources, run, arms, words, started, anew=verb == "report")
            console.print(f"[bold]report[/] {path}")
    console.print(f"done in {time.time() - started:.0f} s")
    return 0


def _diff(words: list[str], load: Any, console: Any) -> int:
    from pathlib import Path

    from dep.config.compare import show

    if len(words) != 2:
        raise ValueError(f"dep diff: expected two configurations (names in conf/ or files), found {len(words)}")
    paths = [Path(word) if word.endswith((".yaml", ".yml")) else Path("conf") / f"{word}.yaml" for word in words]
    show(load([paths[0]]), load([paths[1]]), (words[0], words[1]), console)
    return 0


if __name__ == "__main__":
    sys.exit(main())
