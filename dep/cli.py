"""`dep <verb> [conf/*.yaml ...] [key=value ...]`: every stage of a run as a command.

Nothing heavy is imported before a verb is known: help must come at once.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

VERBS = {
    "run": "all stages, then the report: what most people want",
    "prepare": "read the source, filter and split it, print its statistics",
    "embed": "his and diff vectors of every review, cached by category",
    "train": "train the adapter of every arm that has one",
    "generate": "measure the real reviews' likelihood and write the arms' own",
    "evaluate": "score what was written",
    "report": "tables, intervals, comparisons and report.html from the scores",
    "probe": "no LLM: how often a review's vectors find its author",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code."""
    args = _parser().parse_args(argv)
    files = [word for word in args.words if word.endswith((".yaml", ".yml")) and "=" not in word]
    overrides = [word for word in args.words if word not in files]
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from rich.console import Console

    console = Console(soft_wrap=True)
    try:
        return _run(args.verb, files, overrides, console)
    except KeyboardInterrupt:
        Console(stderr=True).print("\ninterrupted; the same command carries on from here")
        return 130
    except (ValueError, FileNotFoundError) as error:
        if os.environ.get("DEP_TRACEBACK"):
            raise
        Console(stderr=True, soft_wrap=True, highlight=False).print(f"[bold red]error[/] {_escaped(str(error))}")
        return 2


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
    parser.add_argument("words", nargs="*", metavar="file or key=value", help=argparse.SUPPRESS)
    return parser


def _run(verb: str, files: list[str], overrides: list[str], console: Any) -> int:
    from dep.config import load_arms

    started = time.time()
    run, configs = load_arms(files, overrides)
    from dep import pipeline, progress
    from dep.jobs import STAGES, run_arms

    progress.quiet()
    bench = pipeline.Bench(run, console)
    if verb == "probe":
        from dep.probing import probe_all

        probe_all(bench, run)
        return 0
    if verb in ("prepare", "run"):
        pipeline.prepare(bench, run)
    if verb in ("embed", "run"):
        pipeline.embed(bench, configs)
    arms = bench.arms(configs, run.seeds)
    run_arms(bench, arms, [name for name in STAGES if verb in ("run", name)], (files, overrides))
    if verb in ("report", "run"):
        from dep.summary import report

        words = " ".join(["dep", verb, *files, *overrides])
        path = report(bench, run, arms, words, started)
        console.print(f"[bold]report[/] {path}")
    console.print(f"done in {time.time() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
