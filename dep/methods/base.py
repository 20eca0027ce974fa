"""The base class of methods: a method configures prompt and soft prompt, and may transform test requests."""

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
    """A question and a language model's answer."""

    ask: ChatRequest
    text: str


class ProfileContext(NamedTuple):
    """Resources of a method that writes profiles."""

    ask: Callable[[Sequence[ChatRequest]], list[str]]
    """Answers questions; answers are cached on disk."""
    instructions: Instructions
    peers: Callable[[str, Slot, int, int], list[str]] | None
    """(category, past review, number, seed) -> texts of representative peers; for methods with `needs_peers`."""


class Method:
    """One system of the comparison. Methods share data, prompts, training, generation and scoring."""

    kind: str
    label: str
    role: Role = "other"
    """The project's own method, a control of it, or another system."""
    trains = False
    """Whether it trains an adapter."""
    profiles = False
    """Whether a language model writes a profile of the user for the prompt (`write`)."""
    pretrains = False
    """Whether its user encoder is pretrained without the LLM."""
    needs_peers = False
    """Whether it reads peers' reviews, and so needs vectors even without soft tokens."""

    def __init__(self, config: ComponentConfig) -> None:
        self.config = config

    def configure(self, prompt: PromptConfig, soft: SoftPromptConfig) -> tuple[PromptConfig, SoftPromptConfig]:
        """Return the run's settings of prompt and soft prompt, changed as this method needs them."""
        raise NotImplementedError

    def transform_test_requests(self, requests: Requests, seed: int) -> Sequence[Request]:
        """Return the requests for likelihood and generation; unchanged by default.

        Args:
            requests: the test requests.
            seed: of the arm.
        """
        return requests

    def calls(self, history: int) -> int:
        """Most calls of a language model that `write` makes for a request with `history` past reviews."""
        return 0

    def write(self, requests: Sequence[Request], context: ProfileContext) -> list[list[Step]]:
        """Write the users' profiles; for methods with `profiles`.

        Returns:
            For each request the questions and answers; the last answer is the profile.
        """
        raise NotImplementedError


class MappedRequests(Sequence[Request]):
    """Requests changed by `change(index, request)`, each when it is read."""

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
