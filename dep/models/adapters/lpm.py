"""The adapter of LPM (Amballa et al., 2026), "Latent Personal Memory".

    e_i = norm(W_r h_i + W_v v_i + w_s r_i)          an event: vectors of review and item, and the stars
    S_u = perceiver(e_1 .. e_L)                      N latent slots, which do not depend on the request
    q_m = norm(p_m + W_x x)                          a query for each soft token m, from the request x
    g_m = softmax_n(W_q q_m · W_k S_u,n / √W)        the gate: how much of each slot the soft token takes
    soft token m = Proj(norm(q_m + W_o Σ_n g_mn W_v S_u,n))

p_m and the N slot queries inside the perceiver are trained. In the formula of g_m the attention has one head.
Shapes: B users, L past reviews, N slots, M soft tokens, W width of the slots; E and D as in `dep.types`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dep.models.adapters.base import Adapter, AdapterParts, SoftTokens, Statistics, user_history
from dep.models.adapters.user_llm.perceiver import Perceiver
from dep.models.projector import Projector
from dep.models.settings import LPMConfig
from dep.models.standardizer import Standardizer, scaled, scaling
from dep.types import Batch, UserHistory, UserHistoryBatch


class LPMAdapter(Adapter):
    """`lpm`: latent slots for each user, which a request turns into soft tokens.

    From the paper's abstract are a matrix of N slots for each user and a shared cross-attention network that maps the
    slots and the input to soft prompts of a frozen LLM. The abstract does not say how slots are learned. Here a shared
    network writes them from the history, so that users on whom nothing was trained have slots. The rest of the formula
    above is a choice of ours.

    Args:
        config: the settings.
        width: E, the width of the vectors.
        projector: maps W to D for the branch `user`.
        statistics: mean and standard deviation [E] of the reviews' vectors (branch `his`), with which the reviews are
            standardised; with None they are only scaled.
    """

    statistics_of = ("his",)

    def __init__(
        self, config: LPMConfig, width: int, projector: Projector, statistics: Statistics | None = None
    ) -> None:
        super().__init__()
        w = config.width
        self.config, self.projector = config, projector
        self.standardizer = Standardizer(*(statistics or {}).get("his", scaling(width)))
        self.review, self.item, self.stars = nn.Linear(width, w), nn.Linear(width, w), nn.Linear(1, w)
        self.norm_event, self.norm_query, self.norm_token = nn.LayerNorm(w), nn.LayerNorm(w), nn.LayerNorm(w)
        self.perceiver = Perceiver(w, config.slots, layers=1, heads=config.heads)
        self.request = nn.Linear(width, w)
        self.tokens_MW = nn.Parameter(torch.randn(config.tokens, w))
        self.attention = nn.MultiheadAttention(w, config.heads, batch_first=True)

    @classmethod
    def from_parts(cls, parts: AdapterParts) -> LPMAdapter:
        """Build the adapter with a projector from W to D."""
        config = parts.soft_prompt.lpm
        projector = parts.new_projector(config.width)
        return cls(config, parts.width, projector, parts.statistics)

    def param_groups(self) -> list[dict[str, Any]]:
        """Return one optimizer group (`params`, `lr`) of all parameters but the projector's."""
        own = [p for name, p in self.named_parameters() if not name.startswith("projector.")]
        return [{"params": own, "lr": self.config.lr}]

    def stored_numbers(self, history: UserHistory) -> int:
        """Return N · W, since the slots are all that is stored about a user."""
        return self.config.slots * self.config.width

    def slots(self, history: UserHistoryBatch) -> Tensor:
        """Compute the users' slots [B, N, W] from their past reviews; a request does not change them."""
        events_BLW = self.norm_event(
            self.review(self.standardizer(history.his))
            + self.item(scaled(history.item))
            + self.stars(((history.rating - 3) / 2)[..., None])
        )
        slots_BNW: Tensor = self.perceiver(events_BLW, history.present)
        return slots_BNW

    def read(self, slots_BNW: Tensor, query_BE: Tensor) -> tuple[Tensor, Tensor]:
        """Read the slots for a request.

        Args:
            slots_BNW: the users' slots.
            query_BE: the embeddings of the requests.

        Returns:
            The states [B, M, W] of the soft tokens, and the gate [B, M, N], whose rows sum to 1 (a mean over heads).
        """
        query_BMW = self.norm_query(self.tokens_MW + self.request(scaled(query_BE))[:, None])
        read_BMW, gate_BMN = self.attention(query_BMW, slots_BNW, slots_BNW)
        return self.norm_token(query_BMW + read_BMW), gate_BMN

    def forward(self, batch: Batch) -> SoftTokens:
        """Compute the soft tokens [B, M, D] of the branch `user`.

        Raises:
            DepError: the batch has no user history.
        """
        history = user_history(batch, self.tokens_MW, "LPM's slots")
        states_BMW, _ = self.read(self.slots(history), history.query)
        return SoftTokens({"user": self.projector(states_BMW, "user")}, {}, {})
