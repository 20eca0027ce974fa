from __future__ import annotations

import fcntl
import json
import multiprocessing
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dep.data.vectors import text_store
from dep.data.vectors.difference import differences
from dep.data.vectors.settings import DifferenceConfig
from dep.data.vectors.store import Vectors, VectorStore
from dep.types import Corpus, Review

Make = Callable[..., Corpus]


def _same(a: Vectors, b: Vectors) -> bool:
    return torch.equal(a.his_NE, b.his_NE) and torch.equal(a.diff_NE, b.diff_NE) and torch.equal(a.peers_N, b.peers_N)


def test_vectors_are_those_of_the_embedder_and_of_equation_4(tmp_path: Path, hashing: Any, random_corpus: Make) -> None:
    corpus = random_corpus(0)
    vectors = VectorStore(tmp_path, hashing()).vectors(corpus)
    his_NE = hashing().encode([r.text for r in corpus.reviews])
    diff_NE, peers_N = differences(his_NE, [r.user for r in corpus.reviews], [r.item for r in corpus.reviews])
    assert _same(vectors, Vectors(his_NE, diff_NE, peers_N))


def test_each_distinct_text_is_embedded_once_and_never_again(tmp_path: Path, hashing: Any, random_corpus: Make) -> None:
    corpus = random_corpus(0)
    embedder = hashing()
    first = VectorStore(tmp_path, embedder).vectors(corpus)
    assert sorted(embedder.seen) == sorted({r.text for r in corpus.reviews})
    assert len(embedder.seen) < len(corpus.reviews)
    again = hashing()
    assert _same(VectorStore(tmp_path, again).vectors(corpus), first)
    assert again.seen == []


def test_other_difference_settings_or_peers_reuse_the_embeddings(
    tmp_path: Path, hashing: Any, random_corpus: Make
) -> None:
    corpus = random_corpus(0)
    first = VectorStore(tmp_path, hashing()).vectors(corpus)
    embedder = hashing()
    weighed = VectorStore(tmp_path, embedder, DifferenceConfig("profile_distance")).vectors(corpus)
    pool_N = torch.arange(len(corpus.reviews)) % 2 == 0
    halved = VectorStore(tmp_path, embedder).vectors(corpus, pool_N)
    assert embedder.seen == []
    assert torch.equal(first.his_NE, weighed.his_NE)
    assert not torch.equal(first.diff_NE, weighed.diff_NE)
    assert not torch.equal(first.peers_N, halved.peers_N)
    assert _same(VectorStore(tmp_path, embedder).vectors(corpus), first), "the first settings are still there"


def test_another_embedder_or_another_text_gets_a_folder_of_its_own(
    tmp_path: Path, hashing: Any, random_corpus: Make
) -> None:
    VectorStore(tmp_path, hashing()).vectors(random_corpus(0))
    VectorStore(tmp_path, hashing("salt")).vectors(random_corpus(0))
    VectorStore(tmp_path, hashing()).vectors(random_corpus(1))
    assert len(list(tmp_path.glob("Books-*"))) == 3


def test_an_interrupted_run_continues(
    tmp_path: Path, hashing: Any, random_corpus: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_store, "_SHARD", 16)
    monkeypatch.setattr(text_store, "_CHUNK", 8)
    corpus = random_corpus(0)
    distinct = len({r.text for r in corpus.reviews})
    with pytest.raises(KeyboardInterrupt):
        VectorStore(tmp_path / "one", hashing(fail_after=40)).vectors(corpus)
    assert not list(tmp_path.glob("one/*/manifest.json"))
    damaged = sorted(tmp_path.glob("one/vectors/*/*/shard-*"))[0]
    damaged.write_bytes(damaged.read_bytes()[:50])
    embedder = hashing()
    continued = VectorStore(tmp_path / "one", embedder).vectors(corpus)
    assert len(embedder.seen) == distinct - 16, "of two complete shards one was damaged"
    assert _same(continued, VectorStore(tmp_path / "two", hashing()).vectors(corpus))
    assert not list(tmp_path.rglob("*.tmp"))


def test_one_new_review_embeds_one_text(tmp_path: Path, hashing: Any, random_corpus: Make) -> None:
    corpus = random_corpus(0)
    VectorStore(tmp_path, hashing()).vectors(corpus)
    old = corpus.reviews[70]
    new = Review(old.user, old.item, "never written before", 3.0, "title", old.time + 1)
    grown = Corpus("Books", [*corpus.reviews[:71], new, *corpus.reviews[71:]], corpus.items)
    embedder = hashing()
    vectors = VectorStore(tmp_path, embedder).vectors(grown)
    assert embedder.seen == ["never written before"]
    assert _same(vectors, VectorStore(tmp_path / "fresh", hashing()).vectors(grown))


def test_the_first_embedding_of_a_category_has_the_same_batches_whatever_was_embedded_before(
    tmp_path: Path, hashing: Any, random_corpus: Make
) -> None:
    VectorStore(tmp_path, hashing()).vectors(random_corpus(0, category="Books"))
    embedder, alone = hashing(), hashing()
    VectorStore(tmp_path, embedder).vectors(random_corpus(0, category="Music"))
    VectorStore(tmp_path / "alone", alone).vectors(random_corpus(0, category="Music"))
    assert embedder.seen == alone.seen


def _embed(root: str, make: Any, corpus: Corpus) -> None:
    VectorStore(root, make()).texts("Books", "texts", [r.text for r in corpus.reviews])


def test_two_processes_that_embed_overlapping_corpora_lose_no_text(
    tmp_path: Path, hashing: Any, random_corpus: Make
) -> None:
    context = multiprocessing.get_context("fork")
    whole = random_corpus(0)
    corpora = [Corpus("Books", whole.reviews[:100], whole.items), Corpus("Books", whole.reviews[50:], whole.items)]
    processes = [context.Process(target=_embed, args=(str(tmp_path), hashing, corpus)) for corpus in corpora]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    embedder = hashing()
    texts = [r.text for r in whole.reviews]
    vectors_NE = VectorStore(tmp_path, embedder).texts("Books", "texts", texts)
    assert embedder.seen == []
    assert torch.equal(vectors_NE, hashing().encode(texts))


def test_vectors_without_a_manifest_are_assembled_again_from_the_shards(
    tmp_path: Path, hashing: Any, random_corpus: Make
) -> None:
    corpus = random_corpus(0)
    first = VectorStore(tmp_path, hashing()).vectors(corpus)
    (folder,) = tmp_path.glob("Books-*")
    (folder / "manifest.json").unlink()
    (folder / "his.safetensors").unlink()  # not in place: `first` maps it
    (folder / "his.safetensors").write_bytes(b"half")
    embedder = hashing()
    assert _same(VectorStore(tmp_path, embedder).vectors(corpus), first)
    assert embedder.seen == []


@pytest.mark.parametrize("damage", ["not json", "no key", "other key", "cut", "gone", "header"])
def test_a_damaged_or_foreign_cache_is_named_with_the_way_out(
    tmp_path: Path, hashing: Any, random_corpus: Make, damage: str
) -> None:
    corpus = random_corpus(0)
    VectorStore(tmp_path, hashing()).vectors(corpus)
    (folder,) = tmp_path.glob("Books-*")
    manifest, data = folder / "manifest.json", folder / "his.safetensors"
    facts = json.loads(manifest.read_text())
    if damage == "not json":
        manifest.write_text("{")
    elif damage == "no key":
        manifest.write_text("[]")
    elif damage == "other key":
        manifest.write_text(json.dumps(facts | {"key": "0" * 64}))
    elif damage == "cut":
        data.write_bytes(data.read_bytes()[:-8])
    elif damage == "gone":
        data.unlink()
    else:
        data.write_bytes(b"\xff" * facts["bytes"])
    with pytest.raises(ValueError, match=r"Delete .* and run again") as raised:
        VectorStore(tmp_path, hashing()).vectors(corpus)
    assert str(folder) in str(raised.value)
    shutil.rmtree(folder)
    VectorStore(tmp_path, hashing()).vectors(corpus)


def test_the_manifest_says_what_the_vectors_are(tmp_path: Path, hashing: Any, random_corpus: Make) -> None:
    corpus = random_corpus(0)
    VectorStore(tmp_path, hashing()).vectors(corpus)
    (folder,) = tmp_path.glob("Books-*")
    facts = json.loads((folder / "manifest.json").read_text())
    assert folder.name == f"Books-{facts['key'][:12]}"
    assert (facts["embedder"], facts["rows"], facts["category"]) == ("hashing:16", 150, "Books")
    assert facts["tensors"] == {"his": [150, 16]}
    (diff,) = folder.glob("diff-*")
    assert json.loads((diff / "manifest.json").read_text())["weighting"] == "uniform"


def test_vectors_are_mapped_and_not_read(tmp_path: Path, hashing: Any, random_corpus: Make) -> None:
    VectorStore(tmp_path, hashing()).vectors(random_corpus(0))
    vectors = VectorStore(tmp_path, hashing()).vectors(random_corpus(0))
    mapped = Path("/proc/self/maps")
    if not mapped.is_file():
        pytest.skip("no /proc to look at")
    assert "his.safetensors" in mapped.read_text()
    assert vectors.his_NE.shape == (150, 16)


def _hold(folder: str, held: Any, release: Any) -> None:
    with (Path(folder) / ".lock").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write("4242")
        file.flush()
        held.set()
        release.wait(30)


def test_a_second_process_waits_and_names_the_process_it_waits_for(
    tmp_path: Path,
    hashing: Any,
    random_corpus: Make,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    corpus = random_corpus(0)
    first = VectorStore(tmp_path, hashing()).vectors(corpus)
    (folder,) = tmp_path.glob("Books-*")
    complete = (folder / "manifest.json").read_text()
    (folder / "manifest.json").unlink()
    context = multiprocessing.get_context("fork")
    held, release = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(str(folder), held, release))
    other.start()
    assert held.wait(30)
    blocking = fcntl.flock

    def finish_then_wait(file: Any, how: int) -> None:
        if not how & fcntl.LOCK_NB:  # about to wait: let the other process finish its work now
            (folder / "manifest.json").write_text(complete)
            release.set()
        blocking(file, how)

    monkeypatch.setattr(fcntl, "flock", finish_then_wait)
    embedder = hashing()
    vectors = VectorStore(tmp_path, embedder).vectors(corpus)
    other.join(30)
    assert "waiting for process 4242, which is filling" in capsys.readouterr().err.replace("\n", " ")
    assert embedder.seen == [], "the vectors of the other process are used"
    assert _same(vectors, first)


def test_a_corpus_without_reviews_has_no_vectors(tmp_path: Path, hashing: Any) -> None:
    vectors = VectorStore(tmp_path, hashing()).vectors(Corpus("Books", [], {}))
    assert (vectors.his_NE.shape, vectors.diff_NE.shape, vectors.peers_N.shape) == ((0, 16), (0, 16), (0,))
