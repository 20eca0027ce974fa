"""The user encoder of User-LLM (Ning et al., 2025): a causal transformer over a user's events (past reviews).

    event_t = norm(W_r his_t + W_i item_t + w_s stars_t + w_d ln(1 + gap_t) + category + position_t)
    state_t = transformer(event_1 .. event_t)

gap_t is the time since the previous event, in days. The encoder is pretrained to predict the next event from state_t
(`next_event_losses`): its item, its stars, and the embedding of its review. Items are scored by

    score_i = W_n state_t · text_i · sharpness + state_t · own_i

text_i   the embedding of the item's title and description (`catalogue_IE`)
own_i    a learned vector of the item (`own_IW`), used only in pretraining: the text does not say who reviews the item

The reviews' vectors are standardised, both as input and as target, because what they have in common is larger than the
differences between users. Shapes: B users, L events, M predicted events, I items, W width of the encoder, E width of
the vectors.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dep.models.adapters.user_llm.settings import UserEncoderConfig
from dep.models.standardizer import Standardizer, scaled, scaling, width_scale
from dep.types import STARS, UserHistoryBatch


class UserEncoder(nn.Module):
    """Maps users' histories to states [B, L, W], one for each past review."""

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
            width_in: E, the width of the vectors.
            categories: number of categories in the data.
            longest: the largest L.
            statistics: mean and standard deviation [E] of the reviews' vectors, with which they are standardised; with
                None they are only scaled.
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
        self.standardizer = Standardizer(*(statistics or scaling(width_in)))

    def forward(self, history: UserHistoryBatch) -> Tensor:
        """Compute states [B, L, W]; a state depends on its own event and earlier events, and never on padding."""
        gap_BL = history.days.clamp(min=0)
        gap_BL = torch.cat([torch.zeros_like(gap_BL[:, :1]), (gap_BL[:, :-1] - gap_BL[:, 1:]).clamp(min=0)], 1)
        events_BLW = self.norm(
            self.review(self.standardizer(history.his))
            + self.item(scaled(history.item))
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
        """Compute the losses of predicting each event from the events before it.

        Args:
            history: histories of at least two events, all in one category.
            items_BL: [B, L], for each event the row of its item in `catalogue_IE`.
            catalogue_IE: [I, E], the embeddings of all items of the category.
            own_IW: [I, W], the learned vectors of these items.

        Returns:
            Three losses [M] of the M predicted events: cross-entropy of the item (nats), cross-entropy of the stars
            (nats), and 1 - cosine to the standardised embedding of the review. Then the mask [B, L - 1] that marks the
            predicted events among those after the first.
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
