"""The adapter of E2P (Huber et al., 2025), which maps one user embedding to one soft token.

    u = mean_i h_i,   soft token = Proj(u)

h_i   frozen embeddings of the user's L past reviews (`his_BLE`)
Proj  the projector of Eq. 6, a network of two layers
"""

from __future__ import annotations

import torch
from torch import Tensor

from dep.models.adapters.base import Adapter, AdapterParts, SoftTokens, Statistics, user_history
from dep.models.projector import Projector
from dep.models.standardizer import Standardizer
from dep.types import Batch, UserHistory


class E2PAdapter(Adapter):
    """`e2p`: computes one soft token from the mean of the user's past reviews.

    Args:
        projector: maps E to D for the branch `user`.
        width: E, the width of the vectors.
        statistics: mean and standard deviation [E] of the reviews' vectors (branch `his`), with which the reviews are
            standardised before the mean; None for no standardisation.
    """

    statistics_of = ("his",)

    def __init__(self, projector: Projector, width: int, statistics: Statistics | None = None) -> None:
        super().__init__()
        self.projector = projector
        self.standardizer = Standardizer(*(statistics or {}).get("his", (torch.zeros(width), torch.ones(width))))

    @classmethod
    def from_parts(cls, parts: AdapterParts) -> E2PAdapter:
        """Build the adapter with a projector from E to D."""
        projector = parts.new_projector(parts.width)
        return cls(projector, parts.width, parts.statistics)

    def stored_numbers(self, history: UserHistory) -> int:
        """Return E, since the mean is all that is stored about a user."""
        return history.his.shape[1]

    def user_embedding(self, batch: Batch) -> Tensor:
        """Compute the embeddings [B, E] of the users; zero for a user without past reviews.

        Raises:
            DepError: the batch has no user history.
        """
        history = user_history(batch, next(self.parameters()), "E2P's user embedding")
        present_BL, reviews_BLE = history.present, self.standardizer(history.his)
        total_BE = reviews_BLE.masked_fill(~present_BL[..., None], 0.0).sum(1)
        return total_BE / present_BL.sum(1, keepdim=True).clamp(min=1)

    def forward(self, batch: Batch) -> SoftTokens:
        """Compute the soft tokens [B, 1, D] of the branch `user`."""
        return SoftTokens({"user": self.projector(self.user_embedding(batch)[:, None], "user")}, {}, {})
