"""DEP's user encoder, which reads the vectors and differences of a user's whole past, conditioned on the request.

    states  = blocks([start, event_1 .. event_L])              self-attention, without positions
    x_m     = read(query_m + request; states)                  m = 1 .. M, cross-attention
    token_m = projector(pooled_m + scale * norm(x_m))

`features` says what event, request and pooled are. The pooled means of the past reach the soft tokens directly, and
`scale` begins at 0.1, so that training starts near a map of the user's means and adds to it what the request makes
relevant. The trained vector `start` stands for a user without any review.

Shapes: B users, L past reviews, M soft tokens, W width of the encoder; E and D as in `dep.types`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dep.models.adapters.base import Adapter, AdapterParts, SoftTokens, Statistics, user_history
from dep.models.adapters.dep_user.attention import Block
from dep.models.adapters.dep_user.features import Events, Pooled, Request
from dep.models.adapters.dep_user.settings import DEPUserConfig
from dep.models.initialization import initialise
from dep.models.projector import Projector
from dep.models.standardizer import Standardizer, scaling
from dep.types import Batch, Branch, UserHistoryBatch

_START_SCALE = 0.1
"""What `scale` begins with."""
_READS: tuple[Branch, Branch] = ("his", "diff")


class DEPUserEncoder(nn.Module):
    """Maps users' histories to M vectors [B, M, W].

    Args:
        config: sizes and ablations.
        width_in: E, the width of the vectors.
    """

    def __init__(self, config: DEPUserConfig, width_in: int) -> None:
        super().__init__()
        w, self.review_dropout = config.width, config.review_dropout
        self.events = Events(config, width_in)
        self.request = Request(config, width_in) if config.conditioned else None
        self.pooled = Pooled(config, width_in) if config.reviews or config.differences else None
        self.start, self.queries_MW = nn.Parameter(torch.randn(w)), nn.Parameter(torch.randn(config.tokens, w))
        self.blocks = nn.ModuleList(Block(w, config.heads, config.dropout) for _ in range(config.layers))
        self.read, self.norm = Block(w, config.heads, config.dropout), nn.LayerNorm(w)
        self.scale, self.dropout = nn.Parameter(torch.full((w,), _START_SCALE)), nn.Dropout(config.dropout)
        initialise(self, "xavier")

    def forward(self, history: UserHistoryBatch) -> Tensor:
        """Compute the vectors from histories whose reviews and differences are standardised; padding has no effect."""
        users = len(history.his)
        if self.training and self.review_dropout:
            shown_BL = torch.rand(history.present.shape, device=history.present.device) >= self.review_dropout
            history = history._replace(present=history.present & shown_BL)
        start_B1W = self.start.repeat(users, 1, 1)  # copies, since torch's FLOP counter fails on a view
        states_BLW = torch.cat([start_B1W, self.dropout(self.events(history))], 1)
        present_BL = torch.cat([history.present.new_ones(users, 1), history.present], 1)
        for block in self.blocks:
            states_BLW = block(states_BLW, states_BLW, present_BL)
        x_BMW = self.queries_MW.repeat(users, 1, 1)
        if self.request is not None:
            x_BMW = x_BMW + self.request(history)[:, None]
        out_BMW: Tensor = self.scale * self.norm(self.read(x_BMW, states_BLW, present_BL))
        return out_BMW if self.pooled is None else out_BMW + self.pooled(history)


class DEPUserAdapter(Adapter):
    """`dep_user`: the user encoder, and a projector that maps its vectors to soft tokens.

    Args:
        config: the settings of the encoder.
        projector: maps W to D for the branch `user`.
        width: E, the width of the vectors.
        statistics: mean and standard deviation [E] of reviews (`his`) and differences (`diff`), with which they are
            standardised; with None they are only scaled.
    """

    statistics_of = _READS

    def __init__(
        self, config: DEPUserConfig, projector: Projector, width: int, statistics: Statistics | None = None
    ) -> None:
        super().__init__()
        self.encoder, self.projector = DEPUserEncoder(config, width), projector
        self.standardizers = nn.ModuleDict(
            {branch: Standardizer(*(statistics or {}).get(branch, scaling(width))) for branch in _READS}
        )

    @classmethod
    def from_parts(cls, parts: AdapterParts) -> DEPUserAdapter:
        """Build the adapter with the encoder of `soft_prompt.dep_user` and a projector from W to D."""
        config = parts.soft_prompt.dep_user
        width = config.width
        projector = parts.new_projector(width)
        return cls(config, projector, parts.width, parts.statistics)

    def forward(self, batch: Batch) -> SoftTokens:
        """Compute the soft tokens [B, M, D] of the branch `user`.

        Raises:
            DepError: the batch has no user history.
        """
        past = user_history(batch, self.encoder.start, "dep_user")
        his, diff = (self.standardizers[branch] for branch in _READS)
        past = past._replace(his=his(past.his), diff=diff(past.diff), item_peers=his(past.item_peers))
        return SoftTokens({"user": self.projector(self.encoder(past), "user")}, {}, {})
