"""The lock on a run's folder, so that two commands do not do the same work and overwrite each other's files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dep.utils.errors import DepError
from dep.utils.locks import file_lock


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold `folder` until the block or the process ends.

    Raises:
        DepError: another process holds it.
    """

    def refuse(owner: str) -> None:
        raise DepError(
            f"{folder}: another command is running here (process {owner}); wait until it ends, stop it, or run this "
            "one under another name (name=...)"
        ) from None

    with file_lock(folder / ".lock", refuse):
        yield
