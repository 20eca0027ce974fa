"""The adapter of PPlug (Liu et al., 2025), which represents a user by one embedding.

The embedding is the mean of the user's reviews, weighted by their relevance to the request:

    w_i = softmax_i(x_u · h_i),   P_u = Proj(Σ_i w_i h_i),   soft tokens = [Proj(I), P_u]

h_i   frozen embeddings of the user's L reviews (`his_BLE`)
x_u   a trained linear map of the embedding of the request
I     a trained instruction embedding [E]
Proj  the projector of Eq. 6
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dep.models.adapters.base import Adapter, AdapterParts, SoftTokens, Statistics, user_history
from dep.models.projector import Projector
from dep.models.standardizer import Standardizer
from dep.types import Batch


class PPlugAdapter(Adapter):
    """`pplug`: computes two soft tokens, one for the instruction and one for the user.

    Args:
        projector: maps E to D for the branch `user`.
        width: E, the width of the vectors.
        statistics: mean and standard deviation [E] of the reviews' vectors (branch `his`), with which the projector's
            input is standardised; None for no standardisation. The weights are computed from unstandardised vectors.
    """

    statistics_of = ("his",)

    def __init__(self, projector: Projector, width: int, statistics: Statistics | None = None) -> None:
        super().__init__()
        self.query = nn.Linear(width, width, bias=False)
        nn.init.eye_(self.query.weight)
        self.instruction = nn.Parameter(torch.randn(width) / width**0.5)
        self.projector = projector
        self.standardizer = Standardizer(*(statistics or {}).get("his", (torch.zeros(width), torch.ones(width))))

    @classmethod
    def from_parts(cls, parts: AdapterParts) -> PPlugAdapter:
        """Build the adapter with a projector from E to D."""
        width = parts.width
        projector = parts.new_projector(width)
        return cls(projector, parts.width, parts.statistics)

    def weights(self, his_BLE: Tensor, query_BE: Tensor, present_BL: Tensor) -> Tensor:
        """Compute the weight of each review.

        Args:
            his_BLE: embeddings of the users' reviews.
            query_BE: embeddings of the requests.
            present_BL: True where a review is not padding.

        Returns:
            Weights [B, L], which sum to 1 for each user, or to 0 for a user without reviews.
        """
        scores_BL = torch.einsum("be,ble->bl", self.query(query_BE), his_BLE)
        return scores_BL.masked_fill(~present_BL, -torch.inf).softmax(-1).nan_to_num(0.0)

    def forward(self, batch: Batch) -> SoftTokens:
        """Compute the soft tokens [B, 2, D] of the branch `user`.

        Raises:
            DepError: the batch has no user history.
        """
        history = user_history(batch, self.instruction, "a user's embedding", "set prompt.user_tokens")
        his_BLE = history.his
        weights_BL = self.weights(his_BLE, history.query, history.present)
        user_BE = torch.einsum("bl,ble->be", weights_BL, self.standardizer(his_BLE))
        both_B2E = torch.stack([self.instruction.expand_as(user_BE), user_BE], 1)
        return SoftTokens({"user": self.projector(both_B2E, "user")}, {}, {})
