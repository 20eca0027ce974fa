"""Downloads a file: continued where it stopped, checked, written beside its name and renamed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from dep.utils.atomic_io import write_text
from dep.utils.errors import DepError
from dep.utils.hashing import file_digest
from dep.utils.locks import file_lock
from dep.utils.progress import stage

_BLOCK = 1 << 20
_TIMEOUT_S = 60.0
_GZIP = b"\x1f\x8b"


class _Part(NamedTuple):
    """What an interrupted download left: the beginning of the file, and which version of it the server had."""

    path: Path
    version: Path

    def state(self) -> tuple[int, str]:
        """Bytes that are there, and the version; (0, "") where they cannot be continued."""
        if not (self.path.is_file() and self.version.is_file()):
            return 0, ""
        version = self.version.read_text(encoding="utf-8")
        return (self.path.stat().st_size, version) if version else (0, "")

    def drop(self) -> None:
        self.path.unlink(missing_ok=True)
        self.version.unlink(missing_ok=True)


def download(url: str, path: Path, sha256: str = "") -> None:
    """Download `url` to `path`, unless it is there. What an interruption leaves is continued by the next call.

    Args:
        url: an http or https address.
        path: the file; until it is complete and checked, its content is in `<name>.part`.
        sha256: of the content, where it is known.

    Raises:
        DepError: the server does not answer or has no such file, the disk is too full, or the content is not what was
            expected.
    """
    with file_lock(path.with_name(f".{path.name}.lock"), busy=lambda owner: print(f"process {owner} fetches {path}")):
        if path.is_file():
            return
        part = _Part(path.with_name(f"{path.name}.part"), path.with_name(f"{path.name}.part.version"))
        response = _ask(url, part)
        if response is not None:
            with response:
                _receive(url, response, part)
        _check(url, part, sha256)
        part.path.replace(path)
        part.drop()


@contextmanager
def _network(url: str) -> Iterator[None]:
    """Errors of the connection become one line."""
    try:
        yield
    except (HTTPException, OSError) as error:
        raise _broken(url, str(getattr(error, "reason", error)) or type(error).__name__) from error


def _broken(url: str, reason: str) -> DepError:
    way_out = "check the network; the same command continues where this one stopped"
    return DepError(url, "the whole file", reason, way_out)


def _ask(url: str, part: _Part) -> HTTPResponse | None:
    """Ask for what `part` lacks; it is emptied where the server cannot continue it. None: it lacks nothing."""
    done, version = part.state()
    headers = {"User-Agent": "dep", "Accept-Encoding": "identity"}
    if done:
        headers |= {"Range": f"bytes={done}-", "If-Range": version}
    try:
        with _network(url):
            response: HTTPResponse = urlopen(Request(url, headers=headers), timeout=_TIMEOUT_S)
    except DepError as error:
        cause = error.__cause__
        if not isinstance(cause, HTTPError):
            raise
        if cause.code == 416 and cause.headers.get("Content-Range") == f"bytes */{done}":
            return None
        way_out = "the file may have moved; `dep fetch` names its home page"
        raise DepError(url, "a file", f"HTTP {cause.code} {cause.reason}", way_out) from cause
    if response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {done}-"):
        return response
    part.drop()
    tag, changed = response.headers.get("ETag", ""), response.headers.get("Last-Modified", "")
    write_text(part.version, changed if tag.startswith("W/") else tag or changed)
    return response


def _receive(url: str, response: HTTPResponse, part: _Part) -> None:
    """Append the answer's body to `part`."""
    done = part.path.stat().st_size if part.path.is_file() else 0
    left, free = int(response.headers.get("Content-Length", 0)), shutil.disk_usage(part.path.parent).free
    if left > free:
        raise DepError(str(part.path.parent), f"{left / 1e6:,.0f} MB free", f"{free / 1e6:,.0f} MB", "make room")
    received = 0
    with part.path.open("ab") as file, stage(f"fetching {url.rpartition('/')[2]}", done + left) as advance:
        advance(done)
        while True:
            with _network(url):
                block = response.read(_BLOCK)
            if not block:
                break
            file.write(block)
            received += len(block)
            advance(len(block))
    if received < left:
        raise _broken(url, f"{received + done:,} of {left + done:,} bytes")


def _check(url: str, part: _Part, sha256: str) -> None:
    """Refuse a content that is not the file's, and delete it."""
    wrong = ""
    with part.path.open("rb") as file:
        begin = file.read(len(_GZIP))
    if url.endswith(".gz") and begin != _GZIP:
        wrong = "a gzip file"
    elif sha256 and file_digest(part.path) != sha256:
        wrong = f"sha256 {sha256}"
    if wrong:
        size = part.path.stat().st_size
        part.drop()
        way_out = "the address now serves something else; `dep fetch` names its home page"
        raise DepError(url, wrong, f"other content ({size:,} bytes)", way_out)
