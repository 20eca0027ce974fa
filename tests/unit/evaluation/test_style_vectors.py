"""Style vectors against TF-IDF as scikit-learn computes it, and what they tell of an author."""

from __future__ import annotations

import numpy as np
import torch

from dep.evaluation.style_vectors import style_vectors

TEXTS = ["I like it, a lot!", "i like it.. a lot..", "A plain book; not more.", "so so so", ""]


def test_the_vectors_are_the_tfidf_of_runs_of_one_to_three_characters() -> None:
    from sklearn.feature_extraction.text import CountVectorizer

    counts = CountVectorizer(analyzer="char", ngram_range=(1, 3), lowercase=False).fit_transform(TEXTS).toarray()
    frequency = (counts > 0).sum(0)
    weights = np.where(counts > 0, 1 + np.log(np.maximum(counts, 1)), 0) * (1 + np.log(len(TEXTS) / frequency))
    norms = np.linalg.norm(weights, axis=1, keepdims=True)
    expected = torch.tensor(weights / np.maximum(norms, 1e-12)).float()
    found = style_vectors(TEXTS, width=10_000)
    assert found.shape == expected.shape
    assert torch.allclose(found @ found.T, expected @ expected.T, atol=1e-5), "the order of columns is free"


def test_only_the_commonest_runs_and_the_beginnings_of_long_texts_count() -> None:
    assert style_vectors(TEXTS, width=7).shape == (5, 7)
    same = style_vectors(["abc" + "x" * 50, "abc" + "y" * 50], chars=3)
    assert torch.equal(same[0], same[1])
    assert style_vectors([]).shape == (0, 0)


def test_progress_counts_every_text() -> None:
    done: list[int] = []
    style_vectors(["a"] * 501, advance=done.append)
    assert done == [250, 250, 1]
