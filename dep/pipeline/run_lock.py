"""One command at a time in a run's folder: two would do the same work twice and write each other's files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dep.utils.errors import DepError


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold `folder` until the block ends, or the process, however that comes about.

    Raises:
        ValueError: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ModuleNotFoundError:  # not a Unix
        yield
        return
    with (folder / ".lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise DepError(
                f"{folder}: another command is at work here (process {file.read().strip() or 'unknown'}); wait until "
                "it is done, stop it, or give this one a name of its own (name=...)"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
