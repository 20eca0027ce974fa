"""The command line: `dep <verb> [configuration ...] [key=value ...]`.

A configuration is a YAML file or its name (`demo` is conf/demo.yaml, in the current folder or in the package). Heavy
packages are imported only after the verb is known, so that help appears at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

from dep.utils.errors import is_mendable
from dep.utils.optional_deps import EXTRAS


class Verb(NamedTuple):
    """A verb of the command line: the module whose `main(command)` runs it, and one line of help."""

    module: str
    help: str


VERBS = {
    "validate": Verb(
        "dep.commands.validate", "say what a file of reviews holds and whether it suits: dep validate FILE"
    ),
    "run": Verb("dep.commands.run", "run all stages, then write the report; start here"),
    "prepare": Verb("dep.commands.prepare", "read the source, filter and split it, print its statistics"),
    "embed": Verb("dep.commands.embed", "compute the his and diff vectors of every review, cached by category"),
    "train": Verb("dep.commands.train", "train the adapter of every arm that has one"),
    "generate": Verb("dep.commands.generate", "measure the likelihood of the real reviews and generate reviews"),
    "evaluate": Verb("dep.commands.evaluate", "score the generated reviews"),
    "report": Verb("dep.commands.report", "write tables, intervals, comparisons and report.html from the scores"),
    "update": Verb("dep.commands.update", "put reviews into the store of a run: dep update runs/x new.jsonl"),
    "serve": Verb("dep.commands.serve", "answer requests in OpenAI's form with a trained adapter: dep serve runs/x"),
    "fetch": Verb("dep.commands.fetch", "download a model or a public data set by name; alone: list what can be had"),
    "diff": Verb("dep.commands.diff", "print the fields in which two configurations differ: dep diff paper official"),
    "cost": Verb(
        "dep.commands.cost", "print each arm's parameters, operations, cache and memory, from the architecture"
    ),
    "probe": Verb("dep.commands.probe", "measure, without an LLM, how often a review's vectors identify its author"),
    "judge": Verb("dep.commands.judge", "score predictions of any system on a run: dep judge FILE --run runs/x"),
    "page": Verb("dep.commands.page", "open a page on which a finished run can be tried: dep page runs/demo"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code: 0, 2 for a mistake of the user, 130 after Ctrl-C."""
    parser = _parser()
    args = parser.parse_intermixed_args(argv)
    if args.json and args.verb != "validate":
        parser.error("--json: only `dep validate` writes it")
    if args.run and args.verb != "judge":
        parser.error("--run: only `dep judge` reads it")
    files = [word for word in args.words if "=" not in word]
    overrides = [word for word in args.words if "=" in word]
    overrides += [f"jobs={args.jobs}"] * (args.jobs is not None)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if args.plan or args.verb == "cost":
        os.environ["HF_HUB_OFFLINE"] = "1"  # neither needs the model hub
    from rich.console import Console

    from dep.commands.base import Command

    console = Console(soft_wrap=True)
    command = Command(args.verb, files, overrides, console, args.plan, args.fresh, args.json or "", args.run or "")
    try:
        import_module(VERBS[args.verb].module).main(command)
    except KeyboardInterrupt:
        Console(stderr=True).print("\ninterrupted; the same command continues from here")
        return 130
    except Exception as error:
        message = _message(error)
        if os.environ.get("DEP_TRACEBACK") or not message:
            raise
        Console(stderr=True, soft_wrap=True, highlight=False).print(f"[bold red]error[/] {_escaped(message)}")
        return 2
    return 0


def _message(error: Exception) -> str:
    """Return the message to print for an error that the user can mend; empty for a bug, which prints its traceback."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        if package not in EXTRAS:
            return ""
        return f"this needs the package {package}, which is not installed: pip install -e '.[{EXTRAS[package]}]'"
    return str(error) if is_mendable(error) else ""


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _parser() -> argparse.ArgumentParser:
    verbs = "\n".join(f"  {name:10}{verb.help}" for name, verb in VERBS.items())
    parser = argparse.ArgumentParser(
        prog="dep",
        usage="dep <verb> [configuration ...] [key=value ...]",
        description="Personalise a frozen LLM from what makes one user different from the others.",
        epilog=f"verbs:\n{verbs}\n\nexamples:\n"
        "  dep run demo                                       the built-in world, on a CPU, in minutes\n"
        "  dep run demo name=mine seeds=[0,1]                 another name, two seeds\n"
        "  dep validate reviews.csv                           what a file holds, and the next command\n"
        "  dep probe digital_music source.folder=/data/music   do vectors identify their author?\n"
        "  dep fetch smollm2                                  a small real LLM; then backbone=smollm2 in any run\n"
        "  dep run paper source.main=/data/DPL-main source.meta=/data/DPL-meta\n\n"
        "Every verb continues where it was interrupted and repeats no finished work.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("verb", choices=list(VERBS), metavar="verb", help=argparse.SUPPRESS)
    parser.add_argument(
        "--plan",
        action="store_true",
        help="print the jobs, which results exist and what the rest will cost; run nothing",
    )
    parser.add_argument(
        "--fresh", action="store_true", help="train, generate and evaluate again, even where results are done or cached"
    )
    parser.add_argument("--json", metavar="FILE", help="of validate: write what it found to FILE")
    parser.add_argument("--run", metavar="FOLDER", help="of judge: the finished run on whose requests it judges")
    parser.add_argument("--jobs", type=int, metavar="N", help="run N arms in parallel (as jobs=N)")
    parser.add_argument("words", nargs="*", metavar="file or key=value", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
