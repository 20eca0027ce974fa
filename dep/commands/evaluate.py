"""`dep evaluate`: one stage of a run."""

from __future__ import annotations

from dep.commands.base import Command
from dep.commands.run import run_stages


def main(command: Command) -> None:
    """Score the generated reviews."""
    run_stages(command, ["evaluate"])
