"""Command that runs the study on real reviews: `python -m experiments.study [SET ...] [key=value ...] [--plan]`.

For each set of sets.yaml it measures headroom, probes the vectors, and runs the arms of conf/study.yaml. Then it writes
one page about all sets, runs/study/report.html. A set whose reviews are not on this machine is left out. The same
command continues after an interruption and repeats nothing that is finished. `--data FOLDER` names the folder that
holds the sets' folders; `--plan` shows what would run and what is done.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from dep import cli
from dep.config.loader import load, packaged
from dep.config.schema import RunConfig, build
from dep.config.words import read_yaml
from dep.utils.errors import DepError, MissingFile, is_mendable
from experiments.study import report
from experiments.study.headroom import measure, settings_of

SETS = Path(__file__).with_name("sets.yaml")


@dataclass(frozen=True)
class StudySet:
    """A set of reviews, with the words after `dep run` that make its run."""

    name: str
    files: list[str]
    overrides: list[str]

    @cached_property
    def config(self) -> RunConfig:
        """The run's configuration."""
        return load(self.files, self.overrides)

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return Path(self.config.runs) / self.config.name


def main(words: Sequence[str]) -> int:
    """Run the study; return the exit code: 0, or 2 if a set failed."""
    parser = argparse.ArgumentParser(prog="python -m experiments.study", description=__doc__)
    parser.add_argument("--plan", action="store_true", help="show what would run, and run nothing")
    parser.add_argument("--data", default="", help="the folder that holds the folders of the sets")
    parser.add_argument("words", nargs="*", metavar="SET or key=value")
    args = parser.parse_intermixed_args(words)
    known: dict[str, Any] = read_yaml(SETS)
    console = Console(soft_wrap=True)
    try:
        wanted = chosen(known["sets"], args.words, args.data)
        settings = settings_of(args.words, known["headroom"])
        present = [study_set for study_set in wanted if _is_here(study_set, console)]
    except DepError as error:
        console.print(f"[bold red]error[/] {escape(str(error))}")
        return 2
    failed = False
    for study_set in present:
        console.rule(study_set.name)
        headroom = partial(measure, study_set.files, study_set.overrides, settings, console, args.plan)
        probe, arms = (partial(_dep, verb, study_set, args.plan) for verb in ("probe", "run"))
        steps: list[Callable[[], Any]] = [headroom, arms] if args.plan else [headroom, probe, arms]
        failed |= not all([_succeeds(step, study_set.name, console) for step in steps])
    if present and not args.plan:
        runs = Path(present[0].config.runs)
        report.write(runs, {s.name: s.folder for s in present}, known["strangers"], console)
    return 2 if failed else 0


def chosen(sets: Mapping[str, Sequence[str] | None], words: Sequence[str], data: str) -> list[StudySet]:
    """Return the sets among `words`, or all of them, with their overrides and then those among `words`.

    Args:
        sets: the overrides of each set.
        words: names of sets, and overrides.
        data: the folder that holds the folders of the sets; if empty, sets lie where conf/data says.

    Raises:
        DepError: a word is neither.
    """
    names = [word for word in words if "=" not in word]
    if unknown := [name for name in names if name not in sets]:
        raise DepError(unknown[0], f"one of {', '.join(sets)}, or key=value", "neither")
    overrides = [word for word in words if "=" in word and not word.startswith("headroom.")]
    found = []
    for name in names or sets:
        files = [_file("study.yaml"), _file(f"data/{name}.yaml")]
        own = [f"name=study_{name}", *(sets[name] or [])]
        folder = Path(str(getattr(load(files).source, "folder", ""))) if data else Path()
        if folder.parts[:1] == ("data",):
            own.append(f"source.folder={Path(data, *folder.parts[1:])}")
        found.append(StudySet(name, files, [*own, *overrides]))
    return found


def _file(name: str) -> str:
    own = Path("conf") / name
    return str(own if own.is_file() else packaged() / name)


def _is_here(study_set: StudySet, console: Console) -> bool:
    try:
        build(study_set.config, "source").fingerprint()
    except MissingFile as error:
        console.print(
            f"[yellow]{study_set.name} is left out: its reviews are not on this machine[/] ({escape(str(error))})"
        )
        return False
    return True


def _dep(verb: str, study_set: StudySet, plan: bool) -> None:
    words = [verb, *study_set.files, *study_set.overrides]
    if code := cli.main([*words, *["--plan"] * plan]):
        raise DepError(f"dep {' '.join(words)}", "to succeed", f"exit code {code}", "its message is above")


def _succeeds(step: Callable[[], Any], name: str, console: Console) -> bool:
    try:
        step()
    except Exception as error:
        if not is_mendable(error):
            raise
        console.print(f"[bold red]error[/] {name}: {escape(str(error))}; the other steps and sets go on")
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
