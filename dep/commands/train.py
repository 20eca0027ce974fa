"""`dep train`: one stage of a run."""

from __future__ import annotations

from dep.commands.base import Command
from dep.commands.run import run_stages


def main(command: Command) -> None:
    """Train the adapter of every arm that has one."""
    run_stages(command, ["train"])
