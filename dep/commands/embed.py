"""`dep embed`: one stage of a run."""

from __future__ import annotations

from dep.commands.base import Command
from dep.commands.run import run_stages


def main(command: Command) -> None:
    """Compute the his and diff vectors of every review."""
    run_stages(command, ["embed"])
