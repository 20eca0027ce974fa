"""`dep update` on a small run of the built-in world: what enters the store, and what is embedded."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console

import dep
from dep import cli
from dep.config.loader import load_arms, to_yaml
from dep.data.embedders.style import Style
from dep.data.vectors.settings import DifferenceConfig
from dep.pipeline.resources import Resources
from dep.pipeline.store_update import peer_settings
from dep.store.settings import StoreConfig
from dep.utils.atomic_io import write_text

CONF = Path(__file__).resolve().parents[3] / "conf"
TEXT = "It gives a warm light."
ROW = {"user": "new", "item": "lamp", "text": TEXT, "rating": 4, "title": "Warm", "item_title": "Lamp"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that has only its configuration, and a cache with its vectors."""
    base = tmp_path_factory.mktemp("update")
    words = ["source.users=16", "source.circles=2", "source.items_per_circle=12", "embedder={kind: style, dim: 8}"]
    words += ["arms=[dep]", "compare=[]", "name=small", f"cache={base / 'cache'}", f"runs={base / 'runs'}"]
    run, _ = load_arms([CONF / "synthetic.yaml"], words)
    write_text(base / "runs" / "small" / "config.yaml", to_yaml(run))
    return base / "runs" / "small"


@pytest.fixture
def update(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, list[str]]]:
    """Return a function that writes rows to a file and updates the store: exit code, output, embedded texts."""
    embedded: list[str] = []
    encode = Style.encode
    monkeypatch.setattr(Style, "encode", lambda self, texts: embedded.extend(texts) or encode(self, texts))

    def call(rows: list[dict[str, object]], *words: str, into: Path = folder) -> tuple[int, str, list[str]]:
        path = tmp_path / "new.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        embedded.clear()
        code = cli.main(["update", str(into), *([str(path)] if rows else []), *words])
        printed = capsys.readouterr()
        return code, printed.out + printed.err, list(embedded)

    return call


def test_a_new_store_has_the_run_s_reviews_and_differences(folder: Path, update) -> None:
    code, printed, _ = update([])
    assert code == 0, printed
    run, configs = load_arms([folder / "config.yaml"])
    resources = Resources(run, Console(quiet=True))
    dataset, cache = resources.prepared(configs["dep"]), resources.cache(configs["dep"])
    with dep.PeerIndex.open(folder / "store.sqlite") as index:
        assert len(index) == sum(len(corpus.reviews) for corpus in dataset.corpora.values())
        assert index.embedder == cache.embedder.fingerprint()
        compared = 0
        for name, corpus in dataset.corpora.items():
            vectors = cache.vectors(corpus, dataset.pool[name])
            rows = {(review.user, review.item): row for row, review in enumerate(corpus.reviews)}
            for user in {review.user for review in corpus.reviews}:
                for past in index.history(user, name, newest=100):
                    row = rows[user, past.review.item]
                    assert past.review.text == corpus.reviews[row].text
                    assert past.review.description == corpus.items[past.review.item].description
                    assert past.peers == vectors.peers_N[row]
                    assert torch.equal(past.his, vectors.his_NE[row])
                    if past.diff is not None:
                        assert torch.allclose(past.diff, vectors.diff_NE[row], rtol=0, atol=1e-6)
                        compared += 1
        assert compared > 50


def test_only_texts_that_are_new_are_embedded(folder: Path, update) -> None:
    with dep.PeerIndex.open(folder / "store.sqlite") as index:
        category = index.categories()[0]
    one = ROW | {"category": category, "time": 1}
    other = one | {"user": "b", "text": "Dim.", "time": 2}
    code, printed, embedded = update([one, other])
    assert code == 0, printed
    assert sorted(embedded) == ["Dim.", TEXT]
    changed = [one, other | {"rating": 1}, one | {"user": "c", "text": "Fine.", "time": 3}]
    code, printed, embedded = update([{k: v for k, v in row.items() if k != "item_title"} for row in changed])
    assert "1 new, 1 changed, 1 unchanged; 1 texts embedded" in " ".join(printed.split())
    assert embedded == ["Fine."]
    with dep.PeerIndex.open(folder / "store.sqlite") as index:
        (past,) = index.history("b")
        assert (past.review.rating, past.review.item_title, past.peers) == (1.0, "Lamp", 2)
        assert past.review.time == 2000
        for user in "new", "b", "c":
            assert index.delete_user(user) == 1


def test_rows_without_a_time_are_the_newest_in_the_order_of_the_file(folder: Path, update) -> None:
    with dep.PeerIndex.open(folder / "store.sqlite") as index:
        category, user = index.categories()[0], index._db.execute("SELECT name FROM author").fetchone()[0]
        before = len(index)
    rows = [{"user": user, "item": f"lamp {at}", "text": f"Lamp {at}.", "category": category} for at in range(3)]
    code, printed, _ = update(rows)
    assert code == 0, printed
    with dep.PeerIndex.open(folder / "store.sqlite") as index:
        assert [past.review.text for past in index.history(user, newest=3)] == ["Lamp 2.", "Lamp 1.", "Lamp 0."]
        for row in rows:
            index.delete(category, user, str(row["item"]))
        assert len(index) == before


@pytest.mark.parametrize(
    ("rows", "words", "message"),
    [
        ([ROW], [], "expected a column category"),
        ([{"who": "a", "text": "b"}], [], "expected columns for user, item, text"),
        ([ROW | {"category": "x"}], ["embedder.dim=4"], "embedder: expected"),
    ],
)
def test_what_cannot_be_added_is_named_in_one_line(update, rows, words, message: str) -> None:
    code, printed, embedded = update(rows, *words)
    assert code == 2
    assert message in printed
    assert embedded == []


def test_the_commands_of_the_documentation_run_as_written(folder: Path, update) -> None:
    text = (CONF.parent / "docs" / "store.md").read_text(encoding="utf-8")
    commands = re.findall(r"dep update runs/demo([^#`\n]*)", text)
    assert len(commands) == 3
    with dep.PeerIndex.open(folder / "store.sqlite") as index:
        names = index.categories()
    row = ROW | {"user": "documented", "item_description": "Small", "category": names[0], "time": 1}
    for words in commands:
        given = [word for word in words.split() if word != "new.jsonl"]
        code, printed, _ = update([row] if "new.jsonl" in words else [], *given)
        assert code == 0, printed
    with dep.PeerIndex.open(folder / "store.sqlite") as index:
        assert index.settings.tau == 5
        assert index.delete_user("documented") == 1


def test_a_folder_that_is_no_run_is_refused(update, tmp_path: Path) -> None:
    code, printed, _ = update([], into=tmp_path)
    assert code == 2
    assert "config.yaml: expected the configuration of a run" in printed


def test_a_minimum_of_reviewers_becomes_one_of_peers() -> None:
    assert peer_settings(StoreConfig(), DifferenceConfig(min_reviewers=4)).min_peers == 3
    assert peer_settings(StoreConfig(min_peers=5), DifferenceConfig(min_reviewers=4)).min_peers == 5
    assert peer_settings(StoreConfig(), DifferenceConfig(time="earlier")).time == "earlier"
