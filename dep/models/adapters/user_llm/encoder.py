"""User-LLM's encoder (Ning et al., 2025): a causal transformer over a user's events, one state per event.

    event_t = norm(W_r his_t + W_i item_t + w_s stars_t + w_d ln(1 + gap_t) + category + position_t)
    state_t = transformer(event_1 .. event_t)

`next_event_losses` is its self-supervised task: predict the next item, its stars, and the embedding of its review from
state_t.

    item i's score = W_n state_t · text_i · sharpness + state_t · own_i

text_i -> catalogue_IE, embedding of the item's text; own_i -> own_IW, a trained vector that only the task uses, since
an item's text does not tell who reviews it. Reviews' vectors are standardised, because their common part is longer than
the part that distinguishes users.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dep.models.adapters.user_llm.settings import UserEncoderConfig
from dep.models.standardizer import Standardizer
from dep.types import UserHistoryBatch

STARS = 5


class UserEncoder(nn.Module):
    """Maps user histories to states [B, L, W]."""

    def __init__(
        self,
        config: UserEncoderConfig,
        width_in: int,
        categories: int,
        longest: int,
        statistics: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        """Build.

        Args:
            config: the size.
            width_in: E.
            categories: number of categories.
            longest: largest L.
            statistics: mean and standard deviation [E] of reviews' vectors; None only scales the vectors.
        """
        super().__init__()
        self.config = config
        w = config.width
        self.review, self.item = nn.Linear(width_in, w), nn.Linear(width_in, w)
        self.stars, self.gap = nn.Linear(1, w), nn.Linear(1, w)
        self.category, self.position = nn.Embedding(categories, w), nn.Embedding(longest, w)
        # Test histories are longer than training histories: positions without training must have small embeddings.
        nn.init.normal_(self.position.weight, std=0.02)
        self.norm = nn.LayerNorm(w)
        layer = nn.TransformerEncoderLayer(
            w, config.heads, 4 * w, config.dropout, "gelu", batch_first=True, norm_first=True
        )
        self.transformer = nn.TransformerEncoder(layer, config.layers, norm=nn.LayerNorm(w), enable_nested_tensor=False)
        self.next_item, self.next_review = nn.Linear(w, width_in), nn.Linear(w, width_in)
        self.next_stars = nn.Linear(w, STARS)
        self.sharpness = nn.Parameter(torch.tensor(2.0))
        scaled = torch.zeros(width_in), torch.full((width_in,), width_in**-0.5)
        self.standardizer = Standardizer(*(statistics or scaled))

    def forward(self, past: UserHistoryBatch) -> Tensor:
        """States [B, L, W]; a state depends on its own and earlier events, and not on padding."""
        scale = width_scale(past.item)
        gap_BL = past.days.clamp(min=0)
        gap_BL = torch.cat([torch.zeros_like(gap_BL[:, :1]), (gap_BL[:, :-1] - gap_BL[:, 1:]).clamp(min=0)], 1)
        events_BLW = self.norm(
            self.review(self.standardizer(past.his))
            + self.item(past.item * scale)
            + self.stars(((past.rating - 3) / 2)[..., None])
            + self.gap(torch.log1p(gap_BL)[..., None])
            + self.category(past.category)[:, None]
            + self.position.weight[: past.his.shape[1]]
        )
        length = events_BLW.shape[1]
        ahead_LL = torch.ones(length, length, dtype=torch.bool, device=events_BLW.device).triu(1)
        # padding is at the end, where the causal mask hides it from real events
        states: Tensor = self.transformer(events_BLW, mask=ahead_LL)
        return states

    def next_event_losses(
        self, past: UserHistoryBatch, items_BL: Tensor, catalogue_IE: Tensor, own_IW: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Losses of predicting each event from the earlier ones.

        Args:
            past: histories of at least two events, all of one category.
            items_BL: the catalogue row of each event's item.
            catalogue_IE: embeddings of the items to choose from.
            own_IW: trained vectors of these items.

        Returns:
            Cross-entropy of the next item and of its stars in nats, and 1 - cosine to the review's standardised
            embedding, each [M] over the M events that have an earlier one; and the mask of those events [B, L - 1].
        """
        states_BLW = self(past)[:, :-1]
        known_BL = past.present[:, 1:]
        state_MW = states_BLW[known_BL]
        scale = width_scale(catalogue_IE)
        text_MI = self.next_item(state_MW) @ (catalogue_IE * scale).T * self.sharpness.exp() / scale**2
        logits_MI = text_MI + state_MW @ own_IW.T
        item_M = F.cross_entropy(logits_MI, items_BL[:, 1:][known_BL], reduction="none")
        stars_M = (past.rating[:, 1:][known_BL].round().long() - 1).clamp(0, STARS - 1)
        rating_M = F.cross_entropy(self.next_stars(state_MW), stars_M, reduction="none")
        his_ME = self.standardizer(past.his[:, 1:][known_BL])
        review_M = 1 - F.cosine_similarity(self.next_review(state_MW), his_ME, dim=-1)
        return item_M, rating_M, review_M, known_BL


def width_scale(x: Tensor) -> float:
    """Factor that gives unit vectors components of size one."""
    return float(x.shape[-1]) ** 0.5
