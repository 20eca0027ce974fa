"""Locks a run's folder, since two commands at once would repeat work and overwrite each other's files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dep.utils.errors import DepError
from dep.utils.locks import file_lock


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold the lock on `folder` until the `with` block or the process ends.

    Raises:
        DepError: another process holds the lock.
    """

    def refuse(owner: str) -> None:
        raise DepError(
            f"{folder}: another command is running in this folder (process {owner}); wait for it, stop it, or choose "
            "another run name (name=...)"
        ) from None

    with file_lock(folder / ".lock", refuse):
        yield
