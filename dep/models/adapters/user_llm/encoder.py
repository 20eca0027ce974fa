"""User-LLM's first half (Ning et al., 2025): a causal transformer over what a user did, one embedding an event.

    event_t = norm(W_r his_t + W_i item_t + w_s stars_t + w_d ln(1 + gap_t) + category + position_t)
    state_t = transformer(event_1 .. event_t)

`next_event_losses` is its self-supervised task: from state_t, which item comes next, how many stars it gets, and what
the review's embedding is.

    item i's score = W_n state_t · text_i · sharpness + state_t · own_i

text_i -> catalogue_IE, embedding of what is known of the item; own_i -> own_IW, learned with the task and used by it
alone, as an item's text does not tell who reviews it. Reviews' vectors, read and told, are standardised: what they
have in common is longer than what sets users apart.
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
    """Past -> states [B, L, W]."""

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
            categories: how many there are.
            longest: L at most.
            statistics: mean and standard deviation [E] of reviews' vectors; without them they are only scaled.
        """
        super().__init__()
        self.config = config
        w = config.width
        self.review, self.item = nn.Linear(width_in, w), nn.Linear(width_in, w)
        self.stars, self.gap = nn.Linear(1, w), nn.Linear(1, w)
        self.category, self.position = nn.Embedding(categories, w), nn.Embedding(longest, w)
        # A request's past is longer than any that was trained on: a place never seen must say next to nothing.
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
        """States [B, L, W]; a state sees its own event and earlier ones, never padding."""
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
        # padding stands at the end, where causality alone hides it from every real event
        states: Tensor = self.transformer(events_BLW, mask=ahead_LL)
        return states

    def next_event_losses(
        self, past: UserHistoryBatch, items_BL: Tensor, catalogue_IE: Tensor, own_IW: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """How well each event is told from those before it.

        Args:
            past: sequences of at least two events, all of one category.
            items_BL: which row of the catalogue each event's item is.
            catalogue_IE: embeddings of the items to choose from.
            own_IW: what else is known of them.

        Returns:
            nats of the next item, nats of its stars, 1 - cosine to the review's standardised embedding, each [M] over
            the M events that have one before them; and those events' mask [B, L - 1].
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
    """Brings vectors of length one to components of size one."""
    return float(x.shape[-1]) ** 0.5
