"""`dep diff` prints the fields in which two configurations differ."""

from __future__ import annotations

from dep.commands.base import Command
from dep.utils.errors import DepError


def main(command: Command) -> None:
    """Print a table of the fields that differ, each with its explanation."""
    from dep.config.compare import show
    from dep.config.loader import load

    words = [*command.files, *command.overrides]
    if len(words) != 2:
        raise DepError("dep diff", "two configurations", str(len(words)), "name them, as in `dep diff paper official`")
    show(load([words[0]]), load([words[1]]), (words[0], words[1]), command.console)
