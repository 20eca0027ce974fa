"""A lock between processes on one machine; its file names the process that holds it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def file_lock(path: Path, busy: Callable[[str], object] | None = None) -> Iterator[None]:
    """Hold an exclusive lock until the `with` block or the process ends; without `fcntl` (Windows) nothing is locked.

    Args:
        path: the lock file, which is created if it is missing and never deleted.
        busy: called with the holder's process id if another process holds the lock. If `busy` returns, this process
            waits; if it raises an error, this process gives up.

    Yields:
        Nothing; the lock is held inside the block.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ModuleNotFoundError:
        yield
        return
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            if busy:
                busy(file.read().strip() or "unknown")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
