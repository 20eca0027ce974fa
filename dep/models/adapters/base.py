"""Base class of adapters: the trained part between a user's vectors and the frozen LLM.

The rest of the package uses adapters only through this class. An adapter makes soft tokens (`forward`), or acts inside
the LLM's layers while the LLM reads a batch (`attached`), or both.
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
"""Branch -> mean [E] and standard deviation [E] of its training vectors."""


class SoftTokens(NamedTuple):
    """Output of an adapter for a batch."""

    vectors: dict[Branch, Tensor]
    """Soft tokens [B, K, D] of each branch."""
    losses: dict[str, Tensor]
    """Auxiliary losses by name, scalars."""
    stats: dict[str, Tensor]
    """Statistics to log by name, scalars."""


@dataclass(frozen=True)
class AdapterParts:
    """Everything that an adapter may be built from."""

    soft_prompt: SoftPromptConfig
    compressor: ComponentConfig
    projector: ProjectorConfig
    width: int
    """E, the width of the vectors."""
    model: PreTrainedModel
    """The frozen LLM."""
    norm: float
    """Mean length (L2 norm) of the LLM's embedding rows."""
    statistics: Statistics | None = None
    """Statistics of the training vectors; None where vectors are not standardised."""
    categories: int = 1
    """Number of categories in the data."""
    longest: int = 0
    """Maximum number of past reviews that a user encoder reads."""
    slot_ids: Mapping[Branch, int] = field(default_factory=lambda: dict.fromkeys(SLOT_TOKENS, 0))
    """Branch -> id of its slot token in `batch.ids`."""

    @property
    def branches(self) -> list[Branch]:
        """Branches with soft tokens."""
        return list(self.soft_prompt.branches)

    @property
    def llm_width(self) -> int:
        """D, the width of the LLM."""
        embedding: Any = self.model.get_input_embeddings()
        return int(embedding.weight.shape[1])


class Adapter(nn.Module):
    """Base class of adapters; the defaults hold for most of them."""

    statistics_of: ClassVar[tuple[Branch, ...] | None] = None
    """Branches whose vectors the adapter standardises; None: all branches with soft tokens."""
    depends_on_user: ClassVar[bool] = True
    """Whether the adapter reads anything of the user."""
    fixed_slots: ClassVar[bool] = False
    """Whether the adapter has parameters for each slot index, which limits the number of past reviews."""
    needs_branches: ClassVar[bool] = True
    """Whether the adapter is left out without soft tokens; false for one that acts inside the LLM's layers."""

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
        """A user encoder that is trained on its own task first; None for most adapters."""
        return None

    @property
    def loss_weights(self) -> Mapping[str, float]:
        """Weights of auxiliary losses other than `recon` and `sparse`, by name."""
        return {}

    def attached(self, model: PreTrainedModel, batch: Batch) -> AbstractContextManager[object]:
        """Return a context manager in which `model` reads this batch with the adapter in its layers.

        Inside, layers see hidden states [B, T, D] of the whole rows of `batch.ids` (training, likelihood, the prompt in
        generation), then [B, 1, D] for each generated token. Rows are never packed.
        """
        return nullcontext()

    def is_trained(self, name: str) -> bool:
        """Whether the parameter of this name is trained."""
        return True

    def param_groups(self) -> list[dict[str, Any]]:
        """Optimizer groups (`params`, `lr`) of trained parameters with their own learning rate."""
        return []

    def forward(self, batch: Batch) -> SoftTokens:
        """Make the soft tokens of a batch; none for an adapter that acts only inside the LLM."""
        return SoftTokens({}, {}, {})
