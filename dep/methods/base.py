"""Base of every method: how it configures prompt and soft prompt, and how it changes test requests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, overload

from dep.data.prompts.chat_request import ChatRequest
from dep.data.prompts.requests import Requests
from dep.data.prompts.settings import PromptConfig
from dep.methods.profiles.questions import Instructions
from dep.models.settings import SoftPromptConfig
from dep.types import Request, Slot
from dep.utils.registry import ComponentConfig

Role = Literal["own", "control", "other"]


class Step(NamedTuple):
    """A question to a language model, and its answer."""

    question: ChatRequest
    answer: str


class ProfileContext(NamedTuple):
    """Everything that a method needs to write profiles."""

    ask: Callable[[Sequence[ChatRequest]], list[str]]
    """Returns one answer for each question; an equal question is sent to the model only once."""
    instructions: Instructions
    peers: Callable[[str, Slot, int, int], list[str]] | None
    """(category, past review, number, seed) -> texts of representative peers; None unless the method `needs_peers`."""


class Method:
    """One system of the comparison. All share data, prompts, generation and scoring; a method is its changes."""

    kind: str
    label: str
    """Name in tables, unless the arm has a label of its own."""
    role: Role = "other"
    """Role in a comparison: the project's own method, a control of it, or another system."""
    trains = False
    """Whether the method trains an adapter; one that does not is prompt-only or untrained."""
    profiles = False
    """Whether a language model first writes a profile of each user (`write`)."""
    pretrains = False
    """Whether a user encoder is pretrained on its own task, without the LLM."""
    needs_peers = False
    """Whether the method reads peers' reviews, and so needs vectors even without soft tokens."""

    def __init__(self, config: ComponentConfig) -> None:
        self.config = config

    def configure(self, prompt: PromptConfig, soft: SoftPromptConfig) -> tuple[PromptConfig, SoftPromptConfig]:
        """Return the prompt and soft prompt of this method, given those of the run."""
        raise NotImplementedError

    def transform_test_requests(self, requests: Requests, seed: int) -> Sequence[Request]:
        """Return the test requests for generation and scoring; unchanged by default. `seed` is the arm's."""
        return requests

    def calls(self, history: int) -> int:
        """Largest number of calls of a language model before the review, for a request with `history` past reviews."""
        return 0

    def write(self, requests: Sequence[Request], context: ProfileContext) -> list[list[Step]]:
        """Write profiles; called if `profiles` is set.

        Returns:
            The questions and answers for each request; the last answer is the profile.
        """
        raise NotImplementedError


class MappedRequests(Sequence[Request]):
    """Requests changed by `change(index, request)`, which is called on each access."""

    def __init__(self, requests: Requests, change: Callable[[int, Request], Request]) -> None:
        self.requests, self.change = requests, change

    def __len__(self) -> int:
        return len(self.requests)

    @overload
    def __getitem__(self, at: int) -> Request: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Request]: ...
    def __getitem__(self, at: int | slice) -> Request | Sequence[Request]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        return self.change(at, self.requests[at])
