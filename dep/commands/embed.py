"""`dep embed` runs the stage that embeds all reviews."""

from __future__ import annotations

from dep.commands.base import Command
from dep.commands.run import run_stages


def main(command: Command) -> None:
    """Compute each review's embedding (`his`) and its difference from peers (`diff`)."""
    run_stages(command, ["embed"])
