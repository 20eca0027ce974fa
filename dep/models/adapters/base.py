"""What every adapter is: the trained part between a user's vectors and the frozen LLM.

The rest of the package knows an adapter by this class alone. An adapter gives soft tokens (`forward`), or acts inside
the LLM's layers while a batch is read (`attached`), or both.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

from torch import Tensor, nn
from transformers import PreTrainedModel

from dep.models.settings import ProjectorConfig, SoftPromptConfig
from dep.types import Batch, Branch
from dep.utils.registry import ComponentConfig

Statistics = Mapping[Branch, tuple[Tensor, Tensor]]
"""Mean and standard deviation [E] of each branch's vectors."""


class SoftTokens(NamedTuple):
    """What an adapter makes of a batch: vectors [B, K, D] per branch, auxiliary losses, statistics to watch."""

    vectors: dict[Branch, Tensor]
    losses: dict[str, Tensor]
    stats: dict[str, Tensor]


@dataclass(frozen=True)
class AdapterParts:
    """What there is to build an adapter from.

    width: E of the vectors.   norm: mean length of the LLM's embedding rows.   longest: past reviews that a user
    encoder reads at most.   statistics: of the training vectors, where they are to be standardised.
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
    """The protocol, with what holds for most adapters as default."""

    statistics_of: ClassVar[tuple[Branch, ...] | None] = None
    """Branches whose vectors it standardises; None: all that have soft tokens."""
    depends_on_user: ClassVar[bool] = True
    """Whether it reads anything of the user."""
    fixed_slots: ClassVar[bool] = False
    """Whether it has parameters for each place, so that it serves no more past reviews than in training."""
    needs_branches: ClassVar[bool] = True
    """Whether it has nothing to do in a prompt without soft tokens; false for one that acts in the LLM's layers."""

    @classmethod
    def from_parts(cls, parts: AdapterParts) -> Self:
        """Build it, untrained; initial weights are drawn from torch's generator."""
        raise NotImplementedError

    @property
    def prefix_safe(self) -> bool:
        """Whether the positions before the first soft token are the same for every user."""
        return True

    @property
    def pretrainable(self) -> Any:
        """A user encoder that is trained on its own task first; None for most adapters."""
        return None

    @property
    def loss_weights(self) -> Mapping[str, float]:
        """Weights of auxiliary losses other than `recon` and `sparse`, by name."""
        return {}

    def attached(self, model: PreTrainedModel, batch: Batch) -> AbstractContextManager[object]:
        """A context in which `model` reads this batch with the adapter in its layers."""
        return nullcontext()

    def is_trained(self, name: str) -> bool:
        """Whether a parameter of this name is trained."""
        return True

    def param_groups(self) -> list[dict[str, Any]]:
        """Groups of trained parameters that have a learning rate of their own."""
        return []

    def forward(self, batch: Batch) -> SoftTokens:
        """Soft tokens of a batch; none for an adapter that acts inside the LLM alone."""
        return SoftTokens({}, {}, {})
