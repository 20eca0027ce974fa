"""What a system of the comparison is: how it shapes prompt and soft prompt, and what it does to test requests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import overload

from dep.data.prompt import PromptConfig
from dep.data.requests import Requests
from dep.model.soft_prompt import SoftPrompt
from dep.records import Request


class Method:
    """One system. All share data, prompts, generation and scoring; a method says only what it changes."""

    kind: str
    label: str
    trains = False
    """Whether it has an adapter; one without is prompt-only."""

    @dataclass
    class Config:
        """Nothing to choose: what varies is in `prompt`, `soft_prompt`, `compressor` and `projector`."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def shape(self, prompt: PromptConfig, soft: SoftPrompt.Config) -> tuple[PromptConfig, SoftPrompt.Config]:
        """The prompt and the soft prompt of this method, from those that the run asks for."""
        raise NotImplementedError

    def at_test(self, requests: Requests, seed: int) -> Sequence[Request]:
        """The requests that generation and scoring see: as they are, unless the method says otherwise."""
        return requests


class Altered(Sequence[Request]):
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
