"""`dep report` runs the stage that writes the report."""

from __future__ import annotations

from dep.commands.base import Command
from dep.commands.run import run_stages


def main(command: Command) -> None:
    """Write tables, intervals, comparisons and report.html from the scores."""
    run_stages(command, ["report"])
