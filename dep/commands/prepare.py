"""`dep prepare`: one stage of a run."""

from __future__ import annotations

from dep.commands.base import Command
from dep.commands.run import run_stages


def main(command: Command) -> None:
    """Read the source, filter and split it, print its statistics."""
    run_stages(command, ["prepare"])
