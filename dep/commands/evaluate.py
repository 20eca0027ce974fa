"""`dep evaluate` runs the stage that scores generated reviews."""

from __future__ import annotations

from dep.commands.base import Command
from dep.commands.run import run_stages


def main(command: Command) -> None:
    """Compute the metrics of all generated reviews."""
    run_stages(command, ["evaluate"])
