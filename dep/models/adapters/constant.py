"""The adapter of the constant prompt, a control: trained soft tokens that are the same for every user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from dep.models.adapters.base import Adapter, AdapterParts, SoftTokens
from dep.models.start_words import in_turn
from dep.types import Batch, Branch
from dep.utils.errors import DepError


class ConstantAdapter(Adapter):
    """`constant`: trained soft tokens for each slot index and branch, the same for every user.

    This control measures the effect of training a soft prompt that knows nothing about the user. It has as many soft
    tokens as DEP and reads no vectors.
    """

    depends_on_user = False
    fixed_slots = True

    def __init__(
        self,
        branches: list[Branch],
        slots: int,
        width: int,
        embedding_norm: float,
        tokens: int = 1,
        words: Mapping[Branch, Tensor] | None = None,
        lr: float | None = None,
    ) -> None:
        """Draw a table [slots x tokens, D] for each branch.

        Its rows are about as long as the LLM's token embeddings. The `tokens` rows of a slot stand side by side. With
        `words`, embeddings [W, D] of each branch's words, the tables are zero, and are added to these embeddings. `lr`
        is the tables' own learning rate, if they have one.
        """
        super().__init__()
        self.lr = lr
        self.tokens, self.starts_from_words = tokens, bool(words)
        rows, scale = slots * tokens, 0.0 if words else embedding_norm
        self.tables = nn.ParameterDict(
            {branch: nn.Parameter(torch.randn(rows, width) * scale / width**0.5) for branch in branches}
        )
        for branch, words_WD in (words or {}).items():
            self.register_buffer(f"words_{branch}", words_WD.clone())

    @classmethod
    def from_parts(cls, parts: AdapterParts) -> ConstantAdapter:
        """Build the adapter with `projector.tokens` table rows for each slot of the prompt."""
        slots, tokens = parts.soft_prompt.slots, parts.projector.tokens
        lr = parts.soft_prompt.constant_lr
        return cls(parts.branches, slots, parts.llm_width, parts.norm, tokens, parts.words, lr)

    def param_groups(self) -> list[dict[str, Any]]:
        """Return the tables as an optimizer group if they have their own learning rate."""
        return [] if self.lr is None else [{"params": list(self.tables.parameters()), "lr": self.lr}]

    def forward(self, batch: Batch) -> SoftTokens:
        """Look up the soft tokens of each slot index in the tables.

        Raises:
            DepError: a slot index of the batch has no row in the table.
        """
        soft: dict[Branch, Tensor] = {}
        for branch, index_BK in batch.slot_index.items():
            table = self.tables[branch].unflatten(0, (-1, self.tokens))
            if index_BK.numel() and int(index_BK.max()) >= len(table):
                raise DepError(
                    f"soft_prompt.slots: expected at least {int(index_BK.max()) + 1} (the batch's highest slot "
                    f"index and one), found {len(table)}; raise it to the prompt's history"
                )
            if self.starts_from_words:
                table = table + in_turn(self.get_buffer(f"words_{branch}"), self.tokens)
            soft[branch] = table[index_BK].flatten(1, 2)
        return SoftTokens(soft, {}, {})
