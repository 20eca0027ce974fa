"""Embeds past reviews, the request, and the mean of the past, for DEP's user encoder.

    event_i = norm(W_h his_i + peers(diff_i, n_i) + W_v item_i + stars(r_i) + a ln(1 + days_i))
    request = norm(W_q query + peers'(mean of the requested item's other reviews, n) + stars(r))
    pooled  = W_p [normed mean_i his_i,  normed sum_i s(n_i) diff_i / sum_i s(n_i)]

    peers(x, n) = s(n) W_x x + b ln(1 + n),  or a trained vector where n = 0
    s(n) = sigmoid(slope ln(1 + n) + start)

The more peers a mean has, the surer is a difference from it: with slope 1 and start 0, as at first, s(n) is
(n + 1) / (n + 2), about the weight n / (n + 1) that minimises the error of a mean of such differences. Vectors of
reviews and differences are standardised. Shapes: B users, L past reviews, M soft tokens, W width of the encoder.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dep.models.adapters.dep_user.settings import DEPUserConfig
from dep.models.standardizer import scaled
from dep.types import STARS, UserHistoryBatch


class Stars(nn.Module):
    """Embeds ratings; a rating between two whole stars gets the mean of their embeddings, weighted by nearness."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(STARS, width, bias=False)

    def forward(self, rating_S: Tensor) -> Tensor:
        """Embed ratings of any shape to [..., W]."""
        whole_5 = torch.arange(1, STARS + 1, device=rating_S.device).to(rating_S)
        nearness_S5 = (1 - (rating_S.clamp(1, STARS)[..., None] - whole_5).abs()).clamp(min=0)
        out: Tensor = self.linear(nearness_S5)
        return out


class PeerGate(nn.Module):
    """s(n): how sure a mean of n peers is, from 0 to 1."""

    def __init__(self) -> None:
        super().__init__()
        self.slope, self.start = nn.Parameter(torch.ones(())), nn.Parameter(torch.zeros(()))

    def forward(self, count_S: Tensor) -> Tensor:
        """Return s(n) for numbers of peers of any shape."""
        return torch.sigmoid(self.slope * torch.log1p(count_S) + self.start)


class PeerVector(nn.Module):
    """Embeds a vector [E] that comes from n peers."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.linear, self.gate = nn.Linear(width_in, width, bias=False), PeerGate()
        self.absent, self.count = nn.Parameter(torch.randn(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x_SE: Tensor, count_S: Tensor) -> Tensor:
        """Embed vectors [..., E] to [..., W]; where `count_S` [...] is 0, the vector has no effect."""
        present_S1, count_S1 = count_S[..., None] > 0, torch.log1p(count_S)[..., None]
        known = self.gate(count_S)[..., None] * self.linear(x_SE) + count_S1 * self.count
        return torch.where(present_S1, known, self.absent)


class Events(nn.Module):
    """Embeds past reviews to [B, L, W]."""

    def __init__(self, config: DEPUserConfig, width_in: int) -> None:
        super().__init__()
        w = config.width
        self.review = nn.Linear(width_in, w, bias=False) if config.reviews else None
        self.difference = PeerVector(width_in, w) if config.differences else None
        self.item, self.stars = nn.Linear(width_in, w), Stars(w)
        self.age, self.norm = nn.Parameter(torch.zeros(w)), nn.LayerNorm(w)

    def forward(self, history: UserHistoryBatch) -> Tensor:
        """Embed a batch whose `his` and `diff` are standardised."""
        x_BLW: Tensor = self.item(scaled(history.item)) + self.stars(history.rating)
        x_BLW = x_BLW + torch.log1p(history.days.clamp(min=0))[..., None] * self.age
        if self.review is not None:
            x_BLW = x_BLW + self.review(history.his)
        if self.difference is not None:
            x_BLW = x_BLW + self.difference(history.diff, history.peers)
        out: Tensor = self.norm(x_BLW)
        return out


class Request(nn.Module):
    """Embeds what is known of the requested review to [B, W]."""

    def __init__(self, config: DEPUserConfig, width_in: int) -> None:
        super().__init__()
        w = config.width
        self.query, self.stars, self.norm = nn.Linear(width_in, w), Stars(w), nn.LayerNorm(w)
        self.peers = PeerVector(width_in, w) if config.target_peers else None

    def forward(self, history: UserHistoryBatch) -> Tensor:
        """Embed the requests of a batch whose `item_peers` is standardised."""
        x_BW: Tensor = self.query(scaled(history.query)) + self.stars(history.asked_rating)
        if self.peers is not None:
            x_BW = x_BW + self.peers(history.item_peers, history.item_peer_count)
        out: Tensor = self.norm(x_BW)
        return out


class Pooled(nn.Module):
    """Maps the means of a user's reviews and differences to [B, M, W]: what the user has in common over all items."""

    def __init__(self, config: DEPUserConfig, width_in: int) -> None:
        super().__init__()
        self.reviews, self.gate = config.reviews, PeerGate() if config.differences else None
        self.linear = nn.Linear((config.reviews + config.differences) * width_in, config.tokens * config.width)
        self.dropout, self.tokens = nn.Dropout(config.dropout), config.tokens

    def means(self, history: UserHistoryBatch) -> Tensor:
        """Compute the normed means [B, E] or [B, 2E] of a batch whose `his` and `diff` are standardised.

        A mean over no review is zero.
        """
        weights = [(history.his, history.present.to(history.his))] if self.reviews else []
        if self.gate is not None:
            known_BL = history.present & (history.peers > 0)
            weights.append((history.diff, self.gate(history.peers).masked_fill(~known_BL, 0.0)))
        return torch.cat([_normed_mean(x_BLE, weight_BL) for x_BLE, weight_BL in weights], -1)

    def forward(self, history: UserHistoryBatch) -> Tensor:
        """Map the means of a batch to [B, M, W]."""
        x_BV: Tensor = self.linear(self.dropout(self.means(history)))
        return x_BV.unflatten(-1, (self.tokens, -1))


def _normed_mean(x_BLE: Tensor, weight_BL: Tensor) -> Tensor:
    total_B1 = weight_BL.sum(1, keepdim=True)
    mean_BE = torch.einsum("bl,ble->be", weight_BL / total_B1.clamp(min=1e-6), x_BLE)
    return F.layer_norm(mean_BE, mean_BE.shape[-1:])
