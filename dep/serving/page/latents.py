"""Names the latents (units of the adapter's compressor, Eq. 5) that are most active for a user, and scales them.

    how active   z_u = (mean over the user's vectors of latent u  -  its mean over a sample) / its deviation there
    its name     the words that the sample's reviews with the highest activation use more than the others (`words`)

The sample is drawn from all reviews of the user's category. A latent reads the differences where the adapter does, and
otherwise the reviews' own vectors.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor, nn

import dep
from dep.data.prompts.template import shown_branches
from dep.models.compressors.none import NoCompressor
from dep.pipeline.personal.latents import compressor_of, latents_changed
from dep.pipeline.personal.users import Category, RunUsers
from dep.serving.page.words import log_odds
from dep.types import Branch

_SAMPLE = 3000
"""Number of reviews with which a user is compared."""
_TOP = 30
"""Number of reviews with the highest activation, whose words name a latent."""
_WORDS = 3
"""Number of words in a name."""


class Latent(NamedTuple):
    """A latent that is active for a user."""

    unit: int
    z: float
    words: tuple[str, ...]

    @property
    def label(self) -> str:
        """The number and the words."""
        return f"latent {self.unit}: {', '.join(self.words)}" if self.words else f"latent {self.unit}"


class _Sample(NamedTuple):
    """Latents [S, Z] of a sample of reviews, and the texts."""

    latent_SZ: Tensor
    texts: list[str]


class Latents:
    """The latents of an adapter.

    Args:
        ours: the adapter.
        users: the users of its run.
    """

    def __init__(self, ours: dep.Personalizer, users: RunUsers) -> None:
        adapter = ours.module.soft_prompt.adapter
        compressor = compressor_of(adapter)
        self._compressor = None if isinstance(compressor, NoCompressor) else compressor
        standardizers = getattr(adapter, "standardizers", None)
        self._standardizers = standardizers if isinstance(standardizers, nn.ModuleDict) else nn.ModuleDict()
        self._users = users
        prompt, soft = ours.arm.configured
        self.branch: Branch = "diff" if "diff" in shown_branches(prompt, soft.branches) else "his"
        self._sample = lru_cache(8)(self._sampled)

    def __bool__(self) -> bool:
        """Return whether the adapter has latents."""
        return self._compressor is not None

    def active(self, category: str, user: str, item: str, count: int, newest: int = 8) -> list[Latent]:
        """Return the latents that are most active for a user, the largest z first.

        Args:
            category: the category.
            user: the user.
            item: the requested item; the user's reviews before their own review of it count.
            count: the largest number of latents.
            newest: the number of past reviews, newest first.
        """
        background = self._users.categories[category].background(dep.Ask(user=user, item=item), newest)
        vectors = [past.vectors[self.branch == "diff"] for past in background.history if past.vectors is not None]
        found = [vector for vector in vectors if vector is not None]
        if self._compressor is None or not found:
            return []
        sample = self._sample(category)
        own_Z = self._latent(torch.stack(found)).mean(0)
        spread_Z = sample.latent_SZ.std(0)
        z_Z = (own_Z - sample.latent_SZ.mean(0)) / spread_Z.clamp_min(1e-6)
        z_Z[spread_Z < 1e-6] = 0.0  # a dead unit
        units = z_Z.argsort(descending=True)[:count].tolist()
        return [Latent(unit, float(z_Z[unit]), self._name(sample, unit)) for unit in units if z_Z[unit] > 0]

    def scaled(self, factors: Mapping[int, float]) -> AbstractContextManager[None]:
        """Return a context in which latents are multiplied by factors in all vectors that the adapter reads."""
        changed = {unit: factor for unit, factor in factors.items() if factor != 1}
        if self._compressor is None or not changed:
            return nullcontext()

        def scale(latent_BKZ: Tensor) -> None:
            for unit, factor in changed.items():
                latent_BKZ[..., unit] *= factor

        return latents_changed(self._compressor, scale)

    def _latent(self, x_NE: Tensor) -> Tensor:
        assert self._compressor is not None, "the adapter has latents"
        like = next(self._compressor.parameters())
        with torch.no_grad():
            x_NE = x_NE.to(like)
            if self.branch in self._standardizers:
                x_NE = self._standardizers[self.branch](x_NE)
            latent: Tensor = self._compressor.forward(x_NE).latent  # without the hooks of `scaled`
        return latent.float().cpu()

    def _sampled(self, name: str) -> _Sample:
        category: Category = self._users.categories[name]
        vectors = category.vectors
        assert vectors is not None, "an adapter with a compressor reads vectors"
        rows = list(range(len(category.corpus.reviews)))
        if self.branch == "diff":
            rows = (vectors.peers_N > 0).nonzero().flatten().tolist()
        chosen = sorted(random.Random(0).sample(rows, min(_SAMPLE, len(rows))))
        x_NE = (vectors.diff_NE if self.branch == "diff" else vectors.his_NE)[torch.tensor(chosen)]
        return _Sample(self._latent(x_NE.clone()), [category.corpus.reviews[row].text for row in chosen])

    def _name(self, sample: _Sample, unit: int) -> tuple[str, ...]:
        order = sample.latent_SZ[:, unit].argsort(descending=True).tolist()
        top = min(_TOP, len(order) // 4)
        words = log_odds([sample.texts[at] for at in order[:top]], [sample.texts[at] for at in order[top:]])
        return tuple(word.word for word in words[:_WORDS] if word.z > 1)
