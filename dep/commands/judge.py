"""`dep judge` scores anyone's predictions, or a trained adapter, on the requests of a finished run."""

from __future__ import annotations

import shlex
from pathlib import Path

from rich.markup import escape

from dep.commands.base import Command
from dep.utils.errors import DepError


def main(command: Command) -> None:
    """Judge what was named and write judge.json, judge.html and judge.md; without a name, write the run's requests.

    Raises:
        DepError: no run was named, more than one thing was, or the predictions do not fit the run.
    """
    from dep.judging.finished_run import FinishedRun

    if not command.run:
        raise DepError("dep judge", "--run and the folder of a run", "none", "add it, as in --run runs/demo")
    if len(command.files) > 1:
        raise DepError("dep judge", "one file or folder", " and ".join(command.files), "judge one at a time")
    run = FinishedRun(Path(command.run), command.overrides)
    console = command.console
    if not command.files:
        from dep.judging.requests_file import write_requests

        path = run.folder / "judge" / "requests.jsonl"
        count = write_requests(run, path)
        console.print(
            f"[bold]requests[/] {count} requests in {path}; predict them, then dep judge FILE --run {run.folder}"
        )
        return
    from dep.judging.judge import folder_of, judge
    from dep.reporting.judge_page import print_judgement, write_judgement

    what = Path(command.files[0])
    typed = shlex.join(["dep", "judge", str(what), "--run", command.run, *command.overrides])
    results = judge(run, what, typed)
    print_judgement(results, console)
    console.print(f"[bold]judge[/] {escape(str(write_judgement(folder_of(run, what), results)))}")
