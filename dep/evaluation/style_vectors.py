"""Computes vectors of writing style without a model: TF-IDF of the commonest short runs of characters.

Letters, marks, case and spaces of one to three characters in a row tell an author better than the meaning of a text
does. A text's weight of a run is (1 + ln count) * (1 + ln(N / texts that have it)), scaled to unit length.

Shape suffixes: N texts, H hashed runs, E runs that are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

_HASHED = 2**18
_BATCH = 250


def style_vectors(
    texts: Sequence[str], width: int = 4000, chars: int = 1000, advance: Callable[[int], None] = lambda done: None
) -> Tensor:
    """Return the style vectors of N texts: [N, E] float32, each of unit length, E at most `width`.

    Args:
        texts: the texts; only their own characters decide the weights, no labels.
        width: how many runs are kept, the most frequent ones.
        chars: longer texts are cut to this many characters.
        advance: is called with the number of texts done since the last call.
    """
    from scipy.sparse import vstack
    from sklearn.feature_extraction.text import HashingVectorizer

    hashing = HashingVectorizer(
        analyzer="char", ngram_range=(1, 3), lowercase=False, n_features=_HASHED, alternate_sign=False, norm=None,
        dtype=np.float32,
    )  # fmt: skip
    parts = []
    for start in range(0, len(texts), _BATCH):
        batch = [text[:chars] for text in texts[start : start + _BATCH]]
        parts.append(hashing.transform(batch))
        advance(len(batch))
    if not parts:
        return torch.zeros(0, 0)
    counts_NH = vstack(parts).tocsc()
    frequency_H = np.diff(counts_NH.indptr)
    kept_E = np.sort(np.argsort(-frequency_H, kind="stable")[: min(width, int((frequency_H > 0).sum()))])
    weights_NE = counts_NH[:, kept_E]
    weights_NE.data = 1 + np.log(weights_NE.data)
    idf_E = 1 + np.log(len(texts) / frequency_H[kept_E])
    dense_NE = torch.from_numpy(weights_NE.toarray().astype(np.float32)) * torch.from_numpy(idf_E.astype(np.float32))
    return normalize(dense_NE, dim=1)
