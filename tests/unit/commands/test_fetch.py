"""`dep fetch`: the list, names, and public data sets from a server on this machine."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dep import cli
from dep.config.loader import load
from dep.config.schema import build
from dep.data import public_sets

CONF = Path(__file__).resolve().parents[3] / "conf"
REVIEW = {"reviewerID": "ann", "asin": "b1", "reviewText": "Bright.", "overall": 5.0, "summary": "Good",
          "unixReviewTime": 1_400_000_000}  # fmt: skip


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "cache"


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a server that stands for the one of Amazon 2014."""
    folder = tmp_path / "published"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setattr(public_sets, "_AMAZON_2014", f"http://127.0.0.1:{server.server_port}")
    yield folder
    server.shutdown()
    thread.join()
    server.server_close()


def publish(path: Path, row: dict[str, object]) -> None:
    path.write_bytes(gzip.compress(json.dumps(row).encode()))


def refused(capsys: pytest.CaptureFixture[str], *names: str) -> str:
    assert cli.main(["fetch", *names]) == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("error ")
    return message


def test_alone_it_lists_every_name_with_address_size_and_licence(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["fetch"]) == 0
    said = capsys.readouterr().out
    for name in ("smollm2", "amazon2023/<category>", "amazon2014/<category>", "DPL-main", "DPL-meta"):
        assert name in said
    assert "Apache-2.0" in said
    assert "93 MB" in said
    assert "SnowCharmQ/DPL-main on the Hugging Face hub" in said
    assert str(cache) in said
    assert not cache.exists(), "the list writes nothing"


def test_a_data_set_is_fetched_listed_as_here_and_read_by_its_source(
    cache: Path, published: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(published / "reviews_Baby_5.json.gz", REVIEW)
    publish(published / "meta_Baby.json.gz", {"asin": "b1", "title": "A lamp", "description": "It shines."})
    assert cli.main(["fetch", "amazon2014/Baby"]) == 0
    words = capsys.readouterr().out.replace("\n", " ").partition("in any run: ")[2].split()
    corpora = build(load([CONF / "synthetic.yaml"], words), "source").load()
    assert [review.text for review in corpora["Baby"].reviews] == ["Bright."]
    assert corpora["Baby"].items["b1"].title == "A lamp"
    cli.main(["fetch"])
    row = next(line for line in capsys.readouterr().out.splitlines() if "amazon2014/<category>" in line)
    assert "Baby" in row


def test_a_set_of_which_a_file_is_missing_is_one_line(
    cache: Path, published: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(published / "reviews_Baby_5.json.gz", REVIEW)
    message = refused(capsys, "amazon2014/Baby")
    assert "meta_Baby.json.gz: expected a file, found HTTP 404" in message
    assert not public_sets.public_sets()["amazon2014/Baby"].is_here


def test_the_hub_without_a_network_is_one_line(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(capsys, "DPL-meta")
    assert "DPL-meta: expected the data set on the hub" in message
    assert "check the network" in message


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("smolm2", "did you mean smollm2?"),
        ("amazon2014", "name one, as amazon2014/Amazon_Instant_Video: Amazon_Instant_Video, Apps_for_Android"),
        ("zzz", "`dep fetch` alone lists the names"),
        ("name=x", "expected names, found name=x"),
    ],
)
def test_an_unknown_name_is_answered_by_known_ones(
    cache: Path, capsys: pytest.CaptureFixture[str], name: str, expected: str
) -> None:
    assert expected in refused(capsys, name)


def test_the_cache_folder_is_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    from dep.utils.user_cache import user_cache

    monkeypatch.setenv("HOME", "/home/ann")
    for variable in ("DEP_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    assert str(user_cache()) == "/home/ann/.cache/dep"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert str(user_cache()) == "/home/ann/.cache/dep", "the standard says to ignore a relative path"
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert str(user_cache()) == "/caches/dep"
    monkeypatch.setenv("DEP_CACHE", "~/mine")
    assert str(user_cache()) == "/home/ann/mine"
