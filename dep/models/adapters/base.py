"""The base class of adapters; an adapter is the trained part between a user's vectors and the frozen LLM.

The rest of the package uses adapters only through this class. An adapter makes soft tokens (`forward`), or acts inside
the LLM's layers while the LLM reads a batch (`attached`), or both.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Protocol, Self

from torch import Tensor, nn
from transformers import PreTrainedModel

from dep.models.projector import Projector
from dep.models.settings import ProjectorConfig, SoftPromptConfig
from dep.models.standardizer import Standardizer
from dep.types import SLOT_TOKENS, Batch, Branch, UserHistory, UserHistoryBatch
from dep.utils.errors import DepError
from dep.utils.registry import ComponentConfig

Statistics = Mapping[Branch, tuple[Tensor, Tensor]]
"""For each branch the mean [E] and the standard deviation [E] of its training vectors."""


class SoftTokens(NamedTuple):
    """What an adapter computes for a batch."""

    vectors: dict[Branch, Tensor]
    """The soft tokens [B, n K, D] of each branch: n (`projector.tokens`) for each of the batch's K vectors, side by
    side."""
    losses: dict[str, Tensor]
    """Auxiliary losses (scalars) by name."""
    stats: dict[str, Tensor]
    """Statistics to log (scalars) by name."""


@dataclass(frozen=True)
class AdapterParts:
    """Everything that an adapter may need when it is built."""

    soft_prompt: SoftPromptConfig
    compressor: ComponentConfig
    projector: ProjectorConfig
    width: int
    """E, the width of the vectors."""
    model: PreTrainedModel
    """The frozen LLM."""
    norm: float
    """Mean L2 norm of the LLM's token embeddings."""
    statistics: Statistics | None = None
    """Statistics of the training vectors; None if vectors are not standardised."""
    categories: int = 1
    """Number of categories in the data."""
    longest: int = 0
    """Largest number of past reviews that a user encoder reads."""
    slot_ids: Mapping[Branch, int] = field(default_factory=lambda: dict.fromkeys(SLOT_TOKENS, 0))
    """For each branch the id of its slot token in `batch.ids`."""
    words: Mapping[Branch, Tensor] = field(default_factory=dict)
    """With `projector.start: words`, for each branch the embeddings [W, D] of the words where soft tokens start."""

    @property
    def branches(self) -> list[Branch]:
        """The branches that get soft tokens."""
        return list(self.soft_prompt.branches)

    @property
    def llm_width(self) -> int:
        """D, the width of the LLM."""
        embedding: Any = self.model.get_input_embeddings()
        return int(embedding.weight.shape[1])

    def new_projector(self, width_in: int) -> Projector:
        """Build an untrained projector from vectors [..., width_in] to soft tokens of all branches."""
        return Projector(self.projector, width_in, self.llm_width, self.branches, self.norm, self.words)


def user_history(
    batch: Batch, like: Tensor, reader: str, way_out: str = "set prompt.reads_user_history"
) -> UserHistoryBatch:
    """Return the user histories of a batch, with numbers of the dtype and on the device of `like`.

    Args:
        batch: the batch.
        like: a parameter of the adapter.
        reader: names what reads the histories, for the error.
        way_out: what to do where there are none, for the error.

    Raises:
        DepError: the batch has no user history.
    """
    if batch.user_history is None:
        raise DepError(reader, "batch.user_history", "none", way_out)
    return UserHistoryBatch(*(x.to(like) if x.is_floating_point() else x for x in batch.user_history))


class OutputChange(Protocol):
    """What an adapter does to the LLM's logits for one batch (`Adapter.output_change`)."""

    def log_probs(self, hidden_MD: Tensor, rows_M: Tensor) -> Tensor:
        """Compute log probabilities [M, V] of the next token.

        Args:
            hidden_MD: the states at the input of the LLM's output head.
            rows_M: the row of the batch that each of the M positions belongs to.
        """
        ...

    def nll(self, hidden_MD: Tensor, rows_M: Tensor, targets_M: Tensor, weights_M: Tensor) -> Tensor:
        """Compute the weighted sum of -log P over each row's targets [B], for less than all of `log_probs`."""
        ...


class Adapter(nn.Module):
    """The base class of adapters; its defaults are right for most adapters."""

    statistics_of: ClassVar[tuple[Branch, ...] | None] = None
    """The branches whose vectors the adapter standardises; None for all that get soft tokens."""
    depends_on_user: ClassVar[bool] = True
    """Whether the adapter's output depends on the user."""
    fixed_slots: ClassVar[bool] = False
    """Whether the adapter has parameters for each slot index, which limits the number of past reviews."""
    needs_branches: ClassVar[bool] = True
    """Whether the adapter needs soft tokens; False for an adapter that only acts inside the LLM's layers."""

    @classmethod
    def from_parts(cls, parts: AdapterParts) -> Self:
        """Build an untrained adapter; initial weights are drawn from torch's global generator."""
        raise NotImplementedError

    @property
    def prefix_safe(self) -> bool:
        """Whether hidden states before the first soft token depend neither on the user nor on trained weights.

        If so, these states are computed once for all users, without gradients and outside `attached`. The default is
        True for an adapter that does not override `attached`.
        """
        return type(self).attached is Adapter.attached

    @property
    def pretrainable(self) -> Any:
        """The user encoder that is first trained on a task of its own; None for most adapters."""
        return None

    @property
    def loss_weights(self) -> Mapping[str, float]:
        """The weight of each auxiliary loss other than `recon` and `sparse`, by the loss's name."""
        return {}

    @property
    def rows_alike(self) -> bool:
        """Whether `attached` does the same for every row of a batch, so that rows may be read a few at a time."""
        return self.prefix_safe

    def reference(self, model: PreTrainedModel) -> AbstractContextManager[object]:
        """Return a context in which `model` is what `generate.contrast` compares with: by default the LLM alone."""
        return nullcontext()

    def attached(self, model: PreTrainedModel, batch: Batch) -> AbstractContextManager[object]:
        """Return a context manager inside which the adapter acts in the layers of `model`.

        Inside, each layer receives hidden states [B, T, D] for the whole of `batch.ids`; in generation it then receives
        [B, 1, D] for each generated token. Examples are never packed.
        """
        return nullcontext()

    calibrates: ClassVar[bool] = False
    """Whether some of its numbers can be fitted on the validation users after the training (`train.calibrate`)."""
    acts_at_output: ClassVar[bool] = False
    """Whether the adapter acts on the LLM's logits and nowhere else (`output_change`)."""

    def output_change(self, model: PreTrainedModel, batch: Batch) -> OutputChange:
        """Return what the adapter does to the logits of `model` for a batch; for `acts_at_output` only."""
        raise NotImplementedError

    def is_trained(self, name: str) -> bool:
        """Return whether the parameter called `name` is trained."""
        return True

    def param_groups(self) -> list[dict[str, Any]]:
        """Return optimizer groups (`params`, `lr`) of those trained parameters that have their own learning rate."""
        return []

    def average(self, branch: Branch) -> Tensor | None:
        """Return the mean [E] of a branch's training vectors; None if the adapter does not standardise them."""
        names = (f"standardizers.{branch}", *(["standardizer"] if branch == "his" else []))
        for name, module in self.named_modules():
            if isinstance(module, Standardizer) and name.endswith(names):
                return module.mean
        return None

    def stored_numbers(self, history: UserHistory) -> int:
        """Return how many numbers of a user's history are stored to serve a request: by default all its vectors."""
        vectors = (history.his, history.item, history.diff)
        return sum(of_reviews.numel() for of_reviews in vectors if of_reviews is not None)

    def forward(self, batch: Batch) -> SoftTokens:
        """Compute the soft tokens of a batch; an adapter that only acts inside the LLM returns none."""
        return SoftTokens({}, {}, {})
