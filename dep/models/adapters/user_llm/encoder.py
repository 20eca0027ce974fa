"""User encoder of User-LLM (Ning et al., 2025): a causal transformer over a user's events (past reviews).

    event_t = norm(W_r his_t + W_i item_t + w_s stars_t + w_d ln(1 + gap_t) + category + position_t)
    state_t = transformer(event_1 .. event_t)

gap_t is the time since the previous event, in days. `next_event_losses` is the self-supervised pretraining task: from
state_t, predict the next item, its stars, and the embedding of its review.

    score of item i = W_n state_t · text_i · sharpness + state_t · own_i

text_i   embedding of the item's title and description (`catalogue_IE`)
own_i    vector learned for the task and used only by it (`own_IW`): the text does not say who reviews the item

The reviews' vectors are standardised as input and as target, since their common part is longer than the differences
between users. Shapes: B users, L events, M predicted events, I items, W width of the encoder, E width of the vectors.
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
    """Maps a user's history to states [B, L, W]."""

    def __init__(
        self,
        config: UserEncoderConfig,
        width_in: int,
        categories: int,
        longest: int,
        statistics: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        """Build the layers of the encoder and of its pretraining task.

        Args:
            config: sizes of the transformer.
            width_in: E.
            categories: number of categories in the data.
            longest: maximum of L.
            statistics: mean and standard deviation [E] of the reviews' vectors; None to scale the vectors only.
        """
        super().__init__()
        self.config = config
        w = config.width
        self.review, self.item = nn.Linear(width_in, w), nn.Linear(width_in, w)
        self.stars, self.gap = nn.Linear(1, w), nn.Linear(1, w)
        self.category, self.position = nn.Embedding(categories, w), nn.Embedding(longest, w)
        # Test histories are longer than training ones: the embedding of an untrained position must be almost zero.
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

    def forward(self, history: UserHistoryBatch) -> Tensor:
        """Compute states [B, L, W]; each state depends on its own event and earlier ones, not on padding."""
        scale = width_scale(history.item)
        gap_BL = history.days.clamp(min=0)
        gap_BL = torch.cat([torch.zeros_like(gap_BL[:, :1]), (gap_BL[:, :-1] - gap_BL[:, 1:]).clamp(min=0)], 1)
        events_BLW = self.norm(
            self.review(self.standardizer(history.his))
            + self.item(history.item * scale)
            + self.stars(((history.rating - 3) / 2)[..., None])
            + self.gap(torch.log1p(gap_BL)[..., None])
            + self.category(history.category)[:, None]
            + self.position.weight[: history.his.shape[1]]
        )
        length = events_BLW.shape[1]
        ahead_LL = torch.ones(length, length, dtype=torch.bool, device=events_BLW.device).triu(1)
        # padding is at the end, where the causal mask alone hides it from every real event
        states: Tensor = self.transformer(events_BLW, mask=ahead_LL)
        return states

    def next_event_losses(
        self, history: UserHistoryBatch, items_BL: Tensor, catalogue_IE: Tensor, own_IW: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Compute the losses of predicting each event from the earlier ones.

        Args:
            history: sequences of at least two events, all of one category.
            items_BL: [B, L] catalogue row of each event's item.
            catalogue_IE: [I, E] embeddings of the items to choose from.
            own_IW: [I, W] learned vectors of these items.

        Returns:
            Cross-entropy of the next item (nats), cross-entropy of its stars (nats) and 1 - cosine to the review's
            standardised embedding, each [M] over the M events with an earlier one; and the mask of these events
            [B, L - 1].
        """
        states_BLW = self(history)[:, :-1]
        known_BL = history.present[:, 1:]
        state_MW = states_BLW[known_BL]
        scale = width_scale(catalogue_IE)
        text_MI = self.next_item(state_MW) @ (catalogue_IE * scale).T * self.sharpness.exp() / scale**2
        logits_MI = text_MI + state_MW @ own_IW.T
        item_M = F.cross_entropy(logits_MI, items_BL[:, 1:][known_BL], reduction="none")
        stars_M = (history.rating[:, 1:][known_BL].round().long() - 1).clamp(0, STARS - 1)
        rating_M = F.cross_entropy(self.next_stars(state_MW), stars_M, reduction="none")
        his_ME = self.standardizer(history.his[:, 1:][known_BL])
        review_M = 1 - F.cosine_similarity(self.next_review(state_MW), his_ME, dim=-1)
        return item_M, rating_M, review_M, known_BL


def width_scale(x: Tensor) -> float:
    """Return the factor that scales unit vectors [..., E] to components of size one: the square root of E."""
    return float(x.shape[-1]) ** 0.5
