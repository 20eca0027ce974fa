from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from dep.data.embedders import Style
from dep.data.embedders.fitting import fit_once, write_fitted
from dep.data.protocol import apply
from dep.data.settings import ProtocolConfig
from dep.data.training_population import training_texts
from dep.data.user_split import part_of
from dep.types import Corpus, Item, Review
from dep.utils.errors import DepError


def _texts(count: int = 40, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    words = ["The", "the", "tower", "Tower!", "grün", "a", "plain", "book,", "with", "maps...", "(loud)", "I", "never"]
    return [" ".join(rng.choices(words, k=rng.randint(4, 25))) for _ in range(count)]


def _fitted(texts: list[str], **settings: int | float) -> Style:
    embedder = Style(Style.Config(**settings))  # type: ignore[arg-type]
    embedder.fit(texts)
    return embedder


@pytest.mark.parametrize("dim", [5, 40])
def test_without_balance_the_vectors_are_scikit_learn_s_tf_idf_on_its_singular_vectors(dim: int) -> None:
    text = pytest.importorskip("sklearn.feature_extraction.text")
    seen, new = _texts(), _texts(12, seed=1)
    oracle = text.TfidfVectorizer(
        analyzer="char", ngram_range=(2, 4), lowercase=False, sublinear_tf=True, min_df=3, norm="l2"
    ).fit(seen)
    _, _, axes_EV = np.linalg.svd(oracle.transform(seen).toarray(), full_matrices=False)
    expected = oracle.transform(new).toarray() @ axes_EV[:dim].T
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    x_NE = _fitted(seen, dim=dim, balance=0.0).encode(new)
    assert x_NE.shape == (12, dim)
    assert x_NE.dtype == torch.float32
    # Signs and rotations of axes are free; cosines are not. Weights are kept in half precision.
    assert_allclose(x_NE @ x_NE.T, expected @ expected.T, atol=5e-3)


def test_balance_divides_each_axis_by_a_power_of_its_singular_value() -> None:
    seen, new = _texts(), _texts(12, seed=1)
    plain, halved = (_fitted(seen, dim=6, balance=power) for power in (0.0, 0.5))
    # For texts that it was fitted to, the spread of an axis is its singular value over sqrt(N).
    scaled = halved.weights()["components"].double().norm(dim=0) / plain.weights()["components"].double().norm(dim=0)
    spread = plain.encode(new) / plain.encode(new)[:, :1]
    after = halved.encode(new) / halved.encode(new)[:, :1]
    assert_allclose(after, spread * (scaled / scaled[0]).float(), rtol=2e-2, atol=1e-3)
    assert bool((scaled.diff() > 0).all()), "an axis of a smaller singular value gains"


def test_a_vector_depends_on_its_own_text_alone_and_has_unit_length() -> None:
    embedder, new = _fitted(_texts(), dim=8), [*_texts(6, seed=2), "", "?", "漢字漢字", "lone \ud800 surrogate"]
    x_NE = embedder.encode(new)
    assert torch.equal(x_NE, torch.cat([embedder.encode([text]) for text in new]))
    assert_allclose(x_NE.norm(dim=1), 1, atol=1e-6)
    assert torch.equal(embedder.encode(["漢字漢字"]), torch.eye(8)[:1]), "no known run: the mean text's axis"
    assert embedder.encode([]).shape == (0, 8)


def test_case_and_punctuation_count_and_white_space_runs_do_not() -> None:
    embedder = _fitted(_texts(), dim=8)
    a, b, c, d = embedder.encode(
        ["The tower the tower", "the tower the tower", "The tower\n\n the tower ", "The tower!"]
    )
    assert torch.equal(a, c)
    assert not torch.allclose(a, b)
    assert not torch.allclose(a, d)


def test_the_fingerprint_is_that_of_the_fitted_weights() -> None:
    texts = _texts()
    first = _fitted(texts, dim=8)
    assert _fitted([*reversed(texts), *texts[:9]], dim=8).fingerprint() == first.fingerprint(), "order and repeats"
    others = [_fitted(texts[1:], dim=8), _fitted(texts, dim=7), _fitted(texts, dim=8, balance=0.0)]
    assert len({first.fingerprint(), *(other.fingerprint() for other in others)}) == 4


def test_what_is_not_fitted_says_so(tmp_path: Path) -> None:
    for use in (Style(Style.Config()).fingerprint, lambda: Style(Style.Config()).encode(["a text"])):
        with pytest.raises(DepError, match="expected a fitted embedder"):
            use()
    with pytest.raises(DepError, match=r"0 such runs in 2 texts; lower embedder\.min_df"):
        _fitted(["one text", "two texts"])
    with pytest.raises(FileNotFoundError, match=r"a folder with embedder\.safetensors"):
        Style(Style.Config(fitted=str(tmp_path)))
    with pytest.raises(DepError, match=r"embedder\.runs: expected 1 or more"):
        Style(Style.Config(runs=0))


def test_it_is_fitted_once_and_then_read_from_the_cache(tmp_path: Path) -> None:
    asked: list[int] = []

    def texts() -> list[str]:
        asked.append(1)
        return _texts()

    first, second, other = (Style(Style.Config(dim=dim)) for dim in (8, 8, 9))
    for embedder in (first, second, other):
        fit_once(embedder, tmp_path, "population", texts)
    assert len(asked) == 2, "equal settings share a fit"
    assert first.fingerprint() == second.fingerprint()
    assert torch.equal(first.encode(_texts(3, seed=1)), second.encode(_texts(3, seed=1)))
    fit_once(Style(Style.Config(dim=8)), tmp_path, "another population", texts)
    assert len(asked) == 3


def test_a_folder_s_fitted_weights_are_taken(tmp_path: Path) -> None:
    embedder = _fitted(_texts(), dim=8)
    write_fitted(tmp_path, embedder)
    taken = Style(Style.Config(fitted=str(tmp_path)))
    assert taken.dim == 8
    assert taken.fingerprint() == embedder.fingerprint()
    assert [path.name for path in tmp_path.iterdir()] == ["embedder.safetensors"]
    (tmp_path / "embedder.safetensors").write_bytes(b"not a file")
    with pytest.raises(DepError, match="a damaged file"):
        Style(Style.Config(fitted=str(tmp_path)))


@pytest.mark.parametrize("split", ["time", "users"])
def test_the_training_population_holds_no_target_and_no_user_that_is_held_out(split: str) -> None:
    reviews = [Review(f"u{u}", f"i{i}", f"u{u} {i}", 4.0, "t", 1 + i) for u in range(20) for i in range(9)]
    corpus = Corpus("Toys", reviews, {r.item: Item(r.item, r.item) for r in reviews})
    config = ProtocolConfig(
        min_text_chars=0, min_description_chars=0, min_user_reviews=5, min_item_reviewers=2, min_profile=1,
        train_targets=2, split=split, val_users=0.3, test_users=0.3, val_examples=2, test_examples=2,
    )  # type: ignore[arg-type]  # fmt: skip
    dataset = apply({"Toys": corpus}, config)
    found = set(training_texts(dataset.corpora, dataset.examples))
    if split == "time":
        assert found == {f"u{u} {i}" for u in range(20) for i in range(7)}
    else:
        assert found == {f"u{u} {i}" for u in range(20) for i in range(9) if part_of(f"u{u}", config) == "train"}
