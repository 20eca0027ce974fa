"""`dep prepare` runs the stage that filters and splits raw reviews."""

from __future__ import annotations

from dep.commands.base import Command
from dep.commands.run import run_stages


def main(command: Command) -> None:
    """Read the source, filter and split its reviews, and print statistics."""
    run_stages(command, ["prepare"])
