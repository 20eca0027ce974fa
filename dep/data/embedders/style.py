"""An embedder of writing style that is fitted to texts: TF-IDF of short runs of characters, and a truncated SVD."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dep.utils.errors import DepError
from dep.utils.fields import numeric
from dep.utils.hashing import json_digest, short_digest
from dep.utils.progress import stage
from dep.utils.registry import ComponentConfig

if TYPE_CHECKING:
    from torch import Tensor

_VERSION = 1
"""Version of the code; raise it when the vectors change."""


class Style:
    """Computes vectors of how a text is written: its runs of two to four characters, with case and punctuation.

        weight = (1 + ln count) * (1 + ln((1 + N) / (1 + texts with the run)))        N texts of the training population
        vector = weights @ (right singular vectors / singular values ^ balance), scaled to unit length

    A text without a known run gets the first axis, which is nearly the mean text.

    Args:
        config: the sizes; `config.fitted` names a folder whose fitted weights are used.

    Raises:
        DepError: a size is below 1.
        MissingFile: `config.fitted` has no fitted embedder.
    """

    kind = "style"

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """Sizes. The embedder is fitted once, to the reviews that training reads, and kept in the cache."""

        kind: Literal["style"] = "style"
        dim: int = 256
        """The width of the vectors: how many singular vectors are kept."""
        runs: int = 16384
        """How many runs of characters are kept, those in most texts."""
        min_df: int = 3
        """Runs in fewer texts than this are left out."""
        balance: float = 0.5
        """Each axis is divided by its singular value to this power: 0 is the plain SVD, 1 gives all axes the same
        spread. At 0.5 a vector finds its author more often than at 0 (Musical Instruments and Digital Music, 3 to 4
        points)."""
        fit_texts: int = 20_000
        """The largest number of texts that the embedder is fitted to; a fixed draw if there are more."""
        fitted: str = ""
        """A folder with a fitted embedder (embedder.safetensors), such as that of a trained adapter; if empty, the
        embedder is fitted to the run's training population."""

    def __init__(self, config: Config) -> None:
        from dep.data.embedders.fitting import read_fitted

        for name in ("dim", "runs", "min_df", "fit_texts"):
            if (value := getattr(config, name)) < 1:
                raise DepError(f"embedder.{name}", "1 or more", str(value))
        self.config, self.dim = config, config.dim
        settings = {name: value for name, value in numeric(config).items() if name != "fitted"}
        self.recipe = json_digest([settings, _VERSION])
        self._weights: dict[str, Tensor] = {}
        self._fingerprint = ""
        if config.fitted:
            read_fitted(Path(config.fitted), self)

    @property
    def name(self) -> str:
        """The name that reports show."""
        return f"style:{self.dim}"

    @property
    def fitted(self) -> bool:
        """Whether the weights are there."""
        return bool(self._weights)

    def fingerprint(self) -> str:
        """Return a SHA-256 of the fitted weights.

        Raises:
            DepError: the embedder has not been fitted.
        """
        self.weights()
        return self._fingerprint

    def weights(self) -> dict[str, Tensor]:
        """Return the fitted weights: `buckets` [V], `idf` [V], and `components` [V, E] in half precision."""
        if not self._weights:
            raise DepError(
                "embedder.kind=style", "a fitted embedder", "one that no text was given to",
                "call fit(texts) with texts of the training population, or name a fitted one as embedder.fitted",
            )  # fmt: skip
        return self._weights

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Take over fitted weights."""
        import numpy as np

        from dep.data.embedders.style_kernel import BUCKETS

        self._weights = {name: weights[name].contiguous() for name in ("buckets", "idf", "components")}
        self.dim = self._weights["components"].shape[1]
        total = hashlib.sha256(f"{self.kind} {_VERSION}".encode())
        for name, value in self._weights.items():
            total.update(f"{name} {tuple(value.shape)}".encode() + value.numpy().tobytes())
        self._fingerprint = total.hexdigest()
        self._columns_H = np.full(BUCKETS, -1, np.int32)
        self._columns_H[self._weights["buckets"].numpy()] = np.arange(len(self._weights["buckets"]), dtype=np.int32)
        self._components_VE = self._weights["components"].float().numpy()

    def fit(self, texts: Sequence[str]) -> None:
        """Choose the runs, and compute the singular vectors; neither the order of texts nor repeated ones matter.

        Raises:
            DepError: too few runs stand in `min_df` texts.
        """
        import numpy as np
        import torch
        from scipy.sparse import csr_matrix
        from sklearn.decomposition import TruncatedSVD
        from sklearn.preprocessing import normalize

        from dep.data.embedders.style_kernel import BUCKETS, Codes, text_frequencies, weights

        chosen = sorted(set(texts), key=short_digest)[: self.config.fit_texts]
        with stage(f"fitting style to {len(chosen)} texts", 10, len(chosen) > 300) as advance:
            codes = Codes.of(chosen)
            texts_H = text_frequencies(*codes)
            advance(1)
            buckets_V = np.argsort(-texts_H, kind="stable")[: self.config.runs]
            buckets_V = buckets_V[texts_H[buckets_V] >= self.config.min_df]
            if len(buckets_V) < 2 or len(chosen) < 2:
                raise DepError(
                    "embedder.kind=style", f"texts that share runs of characters in {self.config.min_df} of them",
                    f"{len(buckets_V)} such runs in {len(chosen)} texts", "lower embedder.min_df, or give more reviews",
                )  # fmt: skip
            columns_H = np.full(BUCKETS, -1, np.int32)
            columns_H[buckets_V] = np.arange(len(buckets_V), dtype=np.int32)
            idf_V = (1 + np.log((1 + len(chosen)) / (1 + texts_H[buckets_V]))).astype(np.float32)
            begins, columns, values = weights(*codes, columns_H, idf_V)
            x_NV = normalize(csr_matrix((values, columns, begins), shape=(len(chosen), len(buckets_V))))
            advance(1)
            svd = TruncatedSVD(min(self.dim, *x_NV.shape), n_iter=4, random_state=0).fit(x_NV)
            advance(8)
        axes = svd.singular_values_ > 1e-5 * svd.singular_values_[0]
        kept_EV = svd.components_[axes] / svd.singular_values_[axes, None] ** self.config.balance
        components_VE = np.zeros((len(buckets_V), self.dim))
        components_VE[:, : len(kept_EV)] = kept_EV.T / np.abs(kept_EV).max()  # the scale is free, and 1 fits halves
        self.load(
            {
                "buckets": torch.from_numpy(buckets_V.astype(np.int32)),
                "idf": torch.from_numpy(idf_V),
                "components": torch.from_numpy(components_VE).half(),
            }
        )

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Embed n texts; return [n, E] float32, L2-normalised, on the CPU. A text's vector depends on no other text."""
        import torch
        from torch.nn.functional import normalize

        from dep.data.embedders.style_kernel import Codes, project

        idf_V = self.weights()["idf"].numpy()
        out_NE = torch.zeros(len(texts), self.dim)
        project(*Codes.of(texts), self._columns_H, idf_V, self._components_VE, out_NE.numpy())
        out_NE[~out_NE.any(1), 0] = 1
        return normalize(out_NE, dim=1)
