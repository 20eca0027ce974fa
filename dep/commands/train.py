"""`dep train` runs the stage that trains adapters."""

from __future__ import annotations

from dep.commands.base import Command
from dep.commands.run import run_stages


def main(command: Command) -> None:
    """Train the adapter of every arm that has one, unless it is trained already."""
    run_stages(command, ["train"])
