"""Gives each user a LoRA of their own while the user's requests are served (OPPU), trained or taken from the cache.

    <cache>/users/<users key>/<digest of the user's training prompts>.safetensors

A LoRA is written when it is trained, so that an interruption loses the work on one user.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

from safetensors import safe_open
from safetensors.torch import load_file

from dep.data.arm_requests import ArmRequests
from dep.data.collate import Collator
from dep.data.prompts.requests import Requests
from dep.methods.controls.shuffled import donors
from dep.models.adapters.files import is_intact, write_tensors
from dep.models.adapters.lora import LoRAAdapter, LowRankUpdates
from dep.pipeline.arm import Arm
from dep.pipeline.store import ArmStore
from dep.training.module import PersonalizationModule
from dep.training.user_lora import train_user, untrained
from dep.types import Example, Prompt, Request
from dep.utils.hashing import json_digest, seed_from
from dep.utils.progress import stage


class UserLoRAs:
    """The LoRAs of the users of one arm.

    Args:
        arm: an arm whose method has `user_training`.
        module: the arm's LLM with a `LoRAAdapter`; the adapter is frozen here.
        data: the arm's reviews and prompts.
        collate: makes a batch of prompts with their targets.
    """

    def __init__(self, arm: Arm, module: PersonalizationModule, data: ArmRequests, collate: Collator) -> None:
        assert arm.method.user_training is not None, "the method trains a LoRA for each user"
        self.arm, self.module, self.data, self.collate = arm, module, data, collate
        self.training = arm.method.user_training
        self.home = ArmStore(arm).users_home
        self.trained = 0
        """How many LoRAs this object has trained; the others were in the cache."""
        module.soft_prompt.requires_grad_(False)

    def serving(self, pending: Sequence[Request]) -> Iterator[list[Request]]:
        """Yield the requests of one user after another; until the next are asked for, the user's LoRA is attached."""
        adapter = self.module.soft_prompt.adapter
        assert isinstance(adapter, LoRAAdapter), "a user's updates stand on those of a LoRA"
        example_of = self._examples()
        groups: dict[tuple[str, tuple[int, ...]], list[Request]] = {}
        for request in pending:
            example = example_of[request.key]
            groups.setdefault((example.category, self._past(example)), []).append(request)
        work = sum(len(past) + 1 for _, past in groups)
        with stage("a LoRA for each user", work, show=self.arm.config.generate.progress) as advance:
            for number, ((category, past), requests) in enumerate(groups.items(), start=1):
                with adapter.of_user(self._updates(category, past)):
                    yield requests
                advance(len(past) + 1, f"user {number} of {len(groups)}")

    def _examples(self) -> dict[str, Example]:
        """Map each test request's key to the example whose past reviews train its LoRA."""
        tests = self.data.requests("test")
        source: Sequence[int] = donors(tests, self.arm.seed) if self.training.others else range(len(tests))
        return {own.key: tests.examples[at] for own, at in zip(tests.examples, source, strict=True)}

    def _past(self, example: Example) -> tuple[int, ...]:
        return example.profile[-self.training.reviews :]

    def _updates(self, category: str, past: Sequence[int]) -> LowRankUpdates:
        """Take a user's updates from the cache; if they are not there, train and keep them."""
        prompts = training_prompts(self.data, category, past)
        name = json_digest([(prompt.ids, prompt.target) for prompt in prompts])
        path, seed = self.home / f"{name[:16]}.safetensors", seed_from(f"{self.arm.seed}/{name}", 6)
        if is_intact(path):
            updates = untrained(self.module, self.training, seed).eval().requires_grad_(False)
            updates.load_state_dict(load_file(path, device=str(self.module.device)))
            return updates
        start = time.perf_counter()
        updates = train_user(self.module, prompts, self.collate, self.training, seed)
        metadata = {"seconds": f"{time.perf_counter() - start:.3f}"}
        write_tensors(path, updates.state_dict(), metadata)
        self.trained += 1
        return updates

    @property
    def seconds(self) -> float:
        """The mean time in seconds that the training of a user's LoRA took, now or before; 0 if none is kept."""
        seconds = [_seconds(path) for path in sorted(self.home.glob("*.safetensors"))]
        return fmean(seconds) if seconds else 0.0

    @property
    def bytes(self) -> int:
        """The size of a user's LoRA."""
        updates = untrained(self.module, self.training, 0)
        return sum(parameter.nbytes for parameter in updates.parameters())


def training_prompts(data: ArmRequests, category: str, past: Sequence[int]) -> list[Prompt]:
    """Build the training prompts of a user, each with another past review as its target and older ones in the prompt.

    Args:
        data: the reviews, the retriever and the builder of prompts.
        category: the category of the user's reviews.
        past: the rows of the user's past reviews, oldest first.
    """
    examples = [Example(category, "train", row, tuple(past[:at])) for at, row in enumerate(past)]
    history = data.builder.config.history
    requests = Requests(examples, data.prepared.corpora, None, data.retriever, history)
    return [data.builder.build(request) for request in requests]


def _seconds(path: Path) -> float:
    with safe_open(path, framework="pt") as file:
        return float(file.metadata()["seconds"])
