"""The base class of methods, which configure prompt and soft prompt and may change test requests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from dep.data.prompts.chat_request import ChatRequest
from dep.data.prompts.requests import Requests
from dep.data.prompts.settings import PromptConfig
from dep.methods.profiles.questions import Instructions
from dep.models.settings import SoftPromptConfig
from dep.training.settings import UserTraining
from dep.types import Example, Request, Slot, UserHistory
from dep.utils.registry import ComponentConfig

if TYPE_CHECKING:
    from torch import Tensor

    from dep.data.prompts.builder import PromptBuilder
    from dep.data.protocol import ReviewDataset
    from dep.inference.layer_states import Passage
    from dep.inference.target_states import TargetStates

Role = Literal["own", "control", "other"]


class Step(NamedTuple):
    """A question to a language model, and its answer."""

    question: ChatRequest
    answer: str


class ProfileContext(NamedTuple):
    """Everything that a method needs to write profiles."""

    ask: Callable[[Sequence[ChatRequest]], list[str]]
    """Returns one answer for each question; equal questions are sent to the model only once."""
    instructions: Instructions
    peers: Callable[[str, Slot, int, int], list[str]] | None
    """Maps (category, past review, number, seed) to texts of representative peers; None unless the method
    `needs_peers`."""


class ActivationContext(NamedTuple):
    """Everything that a method needs to read the frozen LLM's activations on past reviews."""

    dataset: ReviewDataset
    """The filtered reviews and the examples."""
    builder: PromptBuilder
    """Builds the arm's prompts."""
    ask: Callable[[Sequence[ChatRequest]], list[str]]
    """Returns one answer for each question, as in `ProfileContext`."""
    states: Callable[[Sequence[Passage], int, str], Tensor]
    """Maps n passages, a layer and a title for the progress bar to the layer's mean output [n, D] on the passages."""
    layers: int
    """Number of decoder layers of the LLM."""
    width: int
    """D, the width of the LLM."""
    plain: PromptBuilder
    """Builds Non-Perso's prompts."""
    target_states: TargetStates
    """Reads whole reviews, with the LLM's state at each token."""


class Method:
    """A system that is compared; methods share data, prompts, generation and scoring, and define only what differs."""

    kind: str
    label: str
    """The method's name in tables; an arm may have its own label instead."""
    role: Role = "other"
    """The method's role in a comparison: the project's own method, a control for it, or another system."""
    trains = False
    """Whether the method trains an adapter."""
    profiles = False
    """Whether a language model first writes a profile of each user (see `write`)."""
    pretrains = False
    """Whether a user encoder is first pretrained on a task without the LLM."""
    user_training: UserTraining | None = None
    """How a LoRA is trained for each user before the user's requests are served; None for most methods."""
    needs_peers = False
    """Whether the method reads peers' reviews; it then needs vectors even if it has no soft tokens."""

    draws_donors = False
    """Whether a control gives each request the past of a stranger, the donor."""
    reads_activations = False
    """Whether the LLM's activations on past reviews take the place of the user's history (see `history_reader`)."""

    def __init__(self, config: ComponentConfig) -> None:
        self.config = config

    @property
    def adapter_file(self) -> Path | None:
        """The file of an adapter that was trained before; None for a method that trains its own or needs none."""
        return None

    def configure(self, prompt: PromptConfig, soft: SoftPromptConfig) -> tuple[PromptConfig, SoftPromptConfig]:
        """Return the method's settings of prompt and soft prompt, given those of the run."""
        raise NotImplementedError

    def history_reader(self, soft: SoftPromptConfig, context: ActivationContext) -> Callable[[Example], UserHistory]:
        """Return what reads the history of an example's user; called only if `reads_activations` is set."""
        raise NotImplementedError

    def transform_test_requests(self, requests: Requests, seed: int) -> Sequence[Request]:
        """Return the requests that are generated and scored, by default unchanged; `seed` is the arm's seed."""
        return requests

    def calls(self, history: int) -> int:
        """Return the largest number of texts that a language model writes before a review, by default 0.

        Args:
            history: number of past reviews in the request.
        """
        return 0

    def write(self, requests: Sequence[Request], context: ProfileContext) -> list[list[Step]]:
        """Let a language model write profiles; called only if `profiles` is set.

        Returns:
            For each request its questions and answers; the last answer is the profile.
        """
        raise NotImplementedError
