"""Downloads from a server on this machine: continued, checked, and one line where something is wrong."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from dep.utils import download as module
from dep.utils.download import download
from dep.utils.errors import DepError
from dep.utils.hashing import file_digest

CONTENT = gzip.compress(bytes(range(256)) * 40_000, mtime=0) + b"tail" * 100_000


class Server(ThreadingHTTPServer):
    """A file server that understands ranges, and can stop midway."""

    content, version, stops_after, ranges = CONTENT, '"1"', None, True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/reviews.json.gz"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted, server = self.headers.get("Range", ""), self.server
        server.asked.append(wanted)
        if self.path != "/reviews.json.gz":
            self.send_error(404)
            return
        begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and server.ranges else 0
        if begin and self.headers["If-Range"] != server.version:
            begin = 0
        if begin >= len(server.content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(server.content)}")
            self.end_headers()
            return
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(server.content) - 1}/{len(server.content)}")
        self.send_header("Content-Length", str(len(server.content) - begin))
        self.send_header("ETag", server.version)
        self.end_headers()
        self.wfile.write(server.content[begin : server.stops_after])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    thread = threading.Thread(target=one.serve_forever, args=(0.01,))
    thread.start()
    yield one
    one.shutdown()
    thread.join()
    one.server_close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "reviews.json.gz"


def refused(url: str, path: Path, sha256: str = "") -> str:
    with pytest.raises(DepError) as caught:
        download(url, path, sha256)
    assert "\n" not in str(caught.value)
    assert not path.exists()
    return str(caught.value)


def files(path: Path) -> list[str]:
    return sorted(each.name for each in path.parent.glob("[!.]*"))


def test_a_file_arrives_whole_and_is_asked_for_once(server: Server, path: Path) -> None:
    download(server.url, path)
    download(server.url, path)
    assert path.read_bytes() == CONTENT
    assert files(path) == [path.name]
    assert server.asked == [""]


def test_an_interrupted_download_goes_on_where_it_stopped(server: Server, path: Path) -> None:
    server.stops_after = 100_000
    message = refused(server.url, path)
    assert f"found 100,000 of {len(CONTENT):,} bytes; check the network; the same command continues" in message
    server.stops_after = None
    download(server.url, path)
    assert path.read_bytes() == CONTENT
    assert server.asked == ["", "bytes=100000-"]
    assert files(path) == [path.name]


def test_a_file_that_has_changed_meanwhile_is_taken_anew(server: Server, path: Path) -> None:
    server.stops_after = 100_000
    refused(server.url, path)
    server.stops_after, server.version, server.content = None, '"2"', gzip.compress(b"new")
    download(server.url, path)
    assert path.read_bytes() == server.content


def test_a_server_without_ranges_sends_the_whole_file_again(server: Server, path: Path) -> None:
    server.stops_after = 100_000
    refused(server.url, path)
    server.stops_after, server.ranges = None, False
    download(server.url, path)
    assert path.read_bytes() == CONTENT


def test_a_kill_between_the_last_byte_and_the_new_name_costs_no_second_download(
    server: Server, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "_check", killed)
        with pytest.raises(KeyboardInterrupt):
            download(server.url, path)
    download(server.url, path)
    assert path.read_bytes() == CONTENT
    assert server.asked == ["", f"bytes={len(CONTENT)}-"]


def test_a_missing_file_is_told_with_the_server_s_answer(server: Server, path: Path) -> None:
    assert "expected a file, found HTTP 404 Not Found; the file may have moved" in refused(f"{server.url}x", path)


def test_a_page_in_place_of_the_file_is_refused_and_not_kept(server: Server, path: Path) -> None:
    server.content = b"<html>please log in</html>"
    assert "expected a gzip file, found other content (26 bytes)" in refused(server.url, path)
    assert files(path) == []


def test_a_wrong_content_is_refused_and_not_kept(server: Server, path: Path, tmp_path: Path) -> None:
    (tmp_path / "right").write_bytes(CONTENT)
    digest = file_digest(tmp_path / "right")
    server.content = CONTENT + b"x"
    assert f"expected sha256 {digest}, found other content" in refused(server.url, path, digest)
    assert files(path) == []
    server.content = CONTENT
    download(server.url, path, digest)
    assert path.read_bytes() == CONTENT


def test_without_a_network_one_line_says_so(path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    assert "Connection refused; check the network" in refused(f"http://127.0.0.1:{port}/a.gz", path)
    assert "; check the network" in refused("http://no-such-host.invalid/a.gz", path)


def test_a_full_disk_is_told_before_the_first_byte(server: Server, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    assert "MB free, found 0 MB; make room" in refused(server.url, path)
    assert path.with_name(f"{path.name}.part").exists() is False
