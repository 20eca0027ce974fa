"""SHA-256 of large files, computed once: the digests are kept beside the results."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from dep.utils import hashing
from dep.utils.atomic_io import read_json, write_json


def memoized_digest(path: Path, cache: Path) -> str:
    """Compute the sha256 of a file's content.

    The digest is cached in `digests.json` under path, size and modification time, so that a file is read once.

    Args:
        path: the file.
        cache: folder of `digests.json`.
    """
    path = path.resolve()
    state = path.stat()
    return _digest(path, state.st_size, state.st_mtime_ns, cache.resolve())


@lru_cache
def _digest(path: Path, size: int, mtime_ns: int, cache: Path) -> str:
    memo = cache / "digests.json"
    try:
        digests = read_json(memo)
    except ValueError:  # a damaged file: compute the digests again
        digests = {}
    key = f"{path} {size} {mtime_ns}"
    if key not in digests:
        digests[key] = hashing.file_digest(path)
        write_json(memo, digests)
    return str(digests[key])
