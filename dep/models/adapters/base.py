"""The protocol of adapters: the trained part between a user's vectors and the frozen LLM.

The rest of the package uses adapters through this class only. An adapter computes soft tokens (`forward`), acts inside
the LLM's layers while a batch is read (`attached`), or does both.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Self

from torch import Tensor, nn
from transformers import PreTrainedModel

from dep.models.settings import ProjectorConfig, SoftPromptConfig
from dep.types import SLOT_TOKENS, Batch, Branch
from dep.utils.registry import ComponentConfig

Statistics = Mapping[Branch, tuple[Tensor, Tensor]]
"""Mean and standard deviation [E] of each branch's vectors."""


class SoftTokens(NamedTuple):
    """Output of an adapter: soft tokens [B, K, D] per branch, auxiliary losses, and statistics for the log."""

    vectors: dict[Branch, Tensor]
    losses: dict[str, Tensor]
    stats: dict[str, Tensor]


@dataclass(frozen=True)
class AdapterParts:
    """Settings and sizes that an adapter is built from.

    width: E of the vectors.   norm: mean length of the LLM's embedding rows.   longest: most past reviews that a user
    encoder reads.   statistics: of the training vectors, if they are standardised.   slot_ids: id of each branch's slot
    token in `batch.ids`.
    """

    soft_prompt: SoftPromptConfig
    compressor: ComponentConfig
    projector: ProjectorConfig
    width: int
    model: PreTrainedModel
    norm: float
    statistics: Statistics | None = None
    categories: int = 1
    longest: int = 0
    slot_ids: Mapping[Branch, int] = field(default_factory=lambda: dict.fromkeys(SLOT_TOKENS, 0))

    @property
    def branches(self) -> list[Branch]:
        """The branches that have soft tokens."""
        return list(self.soft_prompt.branches)

    @property
    def llm_width(self) -> int:
        """D."""
        embedding: Any = self.model.get_input_embeddings()
        return int(embedding.weight.shape[1])


class Adapter(nn.Module):
    """The protocol; the defaults suit most adapters."""

    statistics_of: ClassVar[tuple[Branch, ...] | None] = None
    """Branches whose vectors it standardises; None: all branches with soft tokens."""
    depends_on_user: ClassVar[bool] = True
    """Whether its output depends on the user."""
    fixed_slots: ClassVar[bool] = False
    """Whether it has parameters for each slot position, so that it serves no more past reviews than in training."""
    needs_branches: ClassVar[bool] = True
    """Whether it needs soft tokens in the prompt; false for an adapter that acts only in the LLM's layers."""

    @classmethod
    def from_parts(cls, parts: AdapterParts) -> Self:
        """Build an untrained adapter; initial weights are drawn from torch's global generator."""
        raise NotImplementedError

    @property
    def prefix_safe(self) -> bool:
        """Whether hidden states before the first soft token depend neither on the user nor on trained weights.

        They are then computed once for all users, without gradients, and outside `attached`. By default true for an
        adapter that does not override `attached`.
        """
        return type(self).attached is Adapter.attached

    @property
    def pretrainable(self) -> Any:
        """The user encoder to pretrain on its own task; None for most adapters."""
        return None

    @property
    def loss_weights(self) -> Mapping[str, float]:
        """Weights of the auxiliary losses other than `recon` and `sparse`, by name."""
        return {}

    def attached(self, model: PreTrainedModel, batch: Batch) -> AbstractContextManager[object]:
        """Return a context in which `model` reads this batch with the adapter in its layers.

        Inside, layers see hidden states [B, T, D] of the whole rows of `batch.ids` (training, likelihood, the prompt in
        generation), then [B, 1, D] for each generated token. Rows are never packed.
        """
        return nullcontext()

    def is_trained(self, name: str) -> bool:
        """Whether the adapter's parameter of this name is trained."""
        return True

    def param_groups(self) -> list[dict[str, Any]]:
        """Optimizer groups of trained parameters with their own learning rates."""
        return []

    def forward(self, batch: Batch) -> SoftTokens:
        """Compute the soft tokens of a batch; empty for an adapter that acts only in the LLM's layers."""
        return SoftTokens({}, {}, {})
