from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from dep.data.embedders import Joined, Style
from dep.data.embedders.fitting import fit_once, write_fitted
from dep.data.vectors.difference import differences
from dep.data.vectors.store import VectorStore
from dep.types import Corpus
from dep.utils.errors import DepError
from dep.utils.registry import ComponentConfig


@pytest.fixture
def words(hashing: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the kind of an embedder that needs no fitting."""

    class Words(hashing):  # type: ignore[misc]
        Config = ComponentConfig

        def __init__(self, config: ComponentConfig) -> None:
            super().__init__(dim=10)

    monkeypatch.setitem(sys.modules, "their_words", SimpleNamespace(Words=Words))  # type: ignore[misc]
    return "their_words:Words"


def _joined(words: str, corpus: Corpus, cache: Path, **settings: Any) -> Joined:
    embedder = Joined(Joined.Config(parts=[{"kind": words}, {"kind": "style", "dim": 6}], **settings))
    fit_once(embedder, cache, "texts", lambda: [review.text for review in corpus.reviews])
    return embedder


def test_parts_stand_side_by_side_and_the_whole_has_unit_length(
    words: str, random_corpus: Callable[..., Corpus], tmp_path: Path
) -> None:
    corpus = random_corpus(0)
    embedder = _joined(words, corpus, tmp_path)
    texts = [review.text for review in corpus.reviews]
    x_NE = embedder.encode(texts)
    first, second = (part.encode(texts) for part in embedder.parts)
    assert embedder.dim == x_NE.shape[1] == 16
    assert embedder.name == "hashing:10 + style:6"
    assert_close(x_NE, torch.cat([first, second], 1) / 2**0.5)
    assert_close(x_NE.norm(dim=1), torch.ones(len(texts)))


def test_the_difference_of_the_whole_is_the_parts_differences_side_by_side(
    words: str, random_corpus: Callable[..., Corpus], tmp_path: Path
) -> None:
    corpus = random_corpus(0)
    embedder = _joined(words, corpus, tmp_path)
    texts, users, items = zip(*[(r.text, r.user, r.item) for r in corpus.reviews], strict=True)
    whole_NE, _ = differences(embedder.encode(texts), users, items)
    parts = [differences(part.encode(texts), users, items)[0] for part in embedder.parts]
    assert_close(whole_NE, torch.cat(parts, 1) / 2**0.5)


def test_a_store_embeds_a_part_s_text_once_whether_joined_or_alone(
    words: str, random_corpus: Callable[..., Corpus], tmp_path: Path
) -> None:
    corpus = random_corpus(0)
    embedder = _joined(words, corpus, tmp_path)
    whole = VectorStore(tmp_path, embedder).vectors(corpus)
    assert_close(whole.his_NE, embedder.encode([r.text for r in corpus.reviews]))
    counting: Any = embedder.parts[0]
    counting.seen.clear()
    alone = VectorStore(tmp_path, embedder.parts[0]).vectors(corpus)
    assert not counting.seen
    assert_close(whole.his_NE[:, :10], alone.his_NE / 2**0.5)
    assert_close(whole.diff_NE[:, :10], alone.diff_NE / 2**0.5)


def test_the_fitted_parts_of_a_joined_embedder_are_kept_in_one_file(
    words: str, random_corpus: Callable[..., Corpus], tmp_path: Path
) -> None:
    corpus = random_corpus(0)
    embedder = _joined(words, corpus, tmp_path / "cache")
    write_fitted(tmp_path / "adapter", embedder)
    taken = Joined(
        Joined.Config(parts=[{"kind": words}, {"kind": "style", "dim": 6}], fitted=str(tmp_path / "adapter"))
    )
    assert taken.fingerprint() == embedder.fingerprint()
    alone = Style(Style.Config(dim=6))
    fit_once(alone, tmp_path / "cache", "texts", lambda: pytest.fail("the joined embedder's part is there"))
    assert alone.fingerprint() == embedder.parts[1].fingerprint()
    with pytest.raises(DepError, match="expected fitted embedders: style style, found style"):
        Joined(Joined.Config(parts=[{"kind": "style"}] * 2, fitted=str(tmp_path / "adapter")))


def test_the_order_of_parts_is_in_the_fingerprint(words: str) -> None:
    two = [{"kind": words}, {"kind": "minilm"}]
    assert Joined(Joined.Config(parts=two)).fingerprint() != Joined(Joined.Config(parts=two[::-1])).fingerprint()


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], "expected one embedder or more, found none"),
        ([{"kind": "style"}, {"kind": "minilm", "batch": 8}], r"embedder\.parts\.1\.batch: expected one of kind"),
        ([{"kind": "minlm"}], r"embedder\.kind: expected one of"),
    ],
)
def test_wrong_parts_are_named(parts: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(DepError, match=message):
        Joined(Joined.Config(parts=parts))
