"""What a system of the comparison is: how it shapes prompt and soft prompt, and what it does to test requests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, overload

from dep.data.prompts.builder import PromptConfig
from dep.data.prompts.chat_request import ChatRequest
from dep.data.prompts.requests import Requests
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
    """What a method writes profiles with."""

    ask: Callable[[Sequence[ChatRequest]], list[str]]
    """Answers questions, each once ever."""
    instructions: Instructions
    peers: Callable[[str, Slot, int, int], list[str]] | None
    """Category, past review, how many, seed -> texts of representative peers; for a method that `compares`."""


class Method:
    """One system. All share data, prompts, generation and scoring; a method says only what it changes."""

    kind: str
    label: str
    role: Role = "other"
    """What it is in a comparison: the project's own method, a control of it, or another system."""
    trains = False
    """Whether it has an adapter; one without is prompt-only."""
    profiles = False
    """Whether a language model writes a profile of the user first (`write`)."""
    pretrains = False
    """Whether an encoder of users learns by itself before the LLM takes part."""
    needs_peers = False
    """Whether it looks at peers' reviews, and so needs vectors beside those of soft tokens."""

    def __init__(self, config: ComponentConfig) -> None:
        self.config = config

    def configure(self, prompt: PromptConfig, soft: SoftPromptConfig) -> tuple[PromptConfig, SoftPromptConfig]:
        """The prompt and the soft prompt of this method, from those that the run asks for."""
        raise NotImplementedError

    def transform_test_requests(self, requests: Requests, seed: int) -> Sequence[Request]:
        """The requests that generation and scoring see: as they are, unless the method says otherwise."""
        return requests

    def calls(self, history: int) -> int:
        """How many texts a language model writes for a request of `history` past reviews before the review, at most."""
        return 0

    def write(self, requests: Sequence[Request], writing: ProfileContext) -> list[list[Step]]:
        """What was asked and answered for each request, the last answer being its profile; for `profiles`."""
        raise NotImplementedError


class MappedRequests(Sequence[Request]):
    """Requests as `change(index, request)` makes them, each when it is asked for."""

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
