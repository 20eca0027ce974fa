"""`dep generate` runs the stage that generates reviews."""

from __future__ import annotations

from dep.commands.base import Command
from dep.commands.run import run_stages


def main(command: Command) -> None:
    """Compute the likelihood of the real reviews, and generate each arm's reviews."""
    run_stages(command, ["generate"])
