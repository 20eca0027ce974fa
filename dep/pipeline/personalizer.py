"""Generates reviews for one user at a time with a trained adapter: `dep.Personalizer`.

reviews -> embedder -> his (Eq. 2), diff (Eq. 4) -> prompt -> frozen LLM with the adapter -> text

`his` is the vector of a past review, and `diff` its difference from the mean of the peers' vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dep.config.schema import build
from dep.data.collate import Collator
from dep.data.prompts.builder import PromptBuilder
from dep.data.retrievers.texts import query_text
from dep.data.user_history import DAY_MS, item_text
from dep.inference.generator import Generate
from dep.pipeline.adapter_folder import load_adapter
from dep.pipeline.arm import Arm
from dep.types import Item, Request, Review, Slot, UserHistory

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from dep.training.module import PersonalizationModule


@dataclass(frozen=True)
class PastReview:
    """A review that the user has written.

    Args:
        item: the title of the reviewed item.
        text: the text of the review.
        rating: the stars, from 1 to 5.
        title: the title of the review.
        description: the description of the item.
        time: the time of the review in milliseconds since 1970; only User-LLM and `dep_user` read it.
        peers: the texts that other users wrote about the item, one for each user. Without peers there is no difference.
    """

    item: str
    text: str
    rating: float
    title: str = ""
    description: str = ""
    time: int = 0
    peers: Sequence[str] = ()


class Personalizer:
    """Generates reviews for users from their past reviews; `from_pretrained` loads one.

    Args:
        module: the backbone with the adapter.
        tokenizer: the backbone's tokenizer.
        arm: the trained arm, with its configuration.
    """

    def __init__(self, module: PersonalizationModule, tokenizer: PreTrainedTokenizerBase, arm: Arm) -> None:
        self.module, self.tokenizer, self.arm = module, tokenizer, arm
        self._prompt, self._soft = arm.configured
        tokens = arm.config.projector.tokens
        self._builder = PromptBuilder(tokenizer, self._prompt, self._soft.branches, tokens=tokens)
        self._plain = PromptBuilder(tokenizer, replace(self._prompt, reads_user_history=False, user_tokens=0))
        self._embedder: Any = build(arm.config, "embedder") if arm.needs_vectors else None

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Personalizer:
        """Load an adapter folder, such as `runs/demo/dep/seed0`, and the backbone that it was trained on.

        Args:
            folder: the folder, with adapter_config.json and adapter.safetensors.

        Raises:
            MissingFile: a file is missing in the folder.
            FileNotFoundError: the backbone is not on this machine.
            DepError: the adapter was trained on another backbone.
        """
        return cls(*load_adapter(folder))

    def generate(
        self, history: Sequence[PastReview], item: str, rating: float, title: str = "", description: str = "",
        seed: int = 0, peers: Sequence[str] = (),
    ) -> str:  # fmt: skip
        """Generate the review that the user would write about an item.

        Args:
            history: the user's past reviews, oldest first; the prompt holds the newest of them.
            item: the title of the item.
            rating: the stars that the user gives, from 1 to 5.
            title: the title of the review.
            description: the description of the item.
            seed: the seed of the sampling.
            peers: the texts that other users wrote about the item, one for each user; only `dep_user` reads them.
        """
        request = self._request(history, Item("item", item, description), rating, title, peers)
        settings = replace(self.arm.config.generate, seed=seed, progress=False)
        writer = Generate(settings, self.module.backbone, self.tokenizer, self.module.soft_prompt)
        collate = Collator(int(self.tokenizer.pad_token_id or 0), side="left", answers=False)
        plain = [self._plain.build(request)] if settings.contrast else None
        ((_, text),) = writer([self._builder.build(request)], collate, plain)
        return text

    def _request(
        self, history: Sequence[PastReview], item: Item, rating: float, title: str, peers: Sequence[str] = ()
    ) -> Request:
        newest = list(history)[::-1][: self._prompt.history]
        user_history = self._user_history(history, item, title) if self._prompt.reads_user_history else None
        if user_history is not None and self._prompt.reads_differences:
            user_history = self._with_peers(user_history, history, rating, peers)
        slots = tuple(self._slot(past, number) for number, past in enumerate(newest))
        return Request("request", "", "user", item, rating, title, "", slots, user_history=user_history)

    def _slot(self, past: PastReview, number: int) -> Slot:
        """Combine a past review with its vectors, if the prompt shows soft tokens for each past review."""
        name = f"past {number}"
        review = Review("user", name, past.text, past.rating, past.title, past.time)
        item = Item(name, past.item, past.description)
        if not self._builder.branches:
            return Slot(review, item)
        his_E = self._encode([past.text])[0]
        return Slot(review, item, his_E, self._difference(his_E, past) if past.peers else None)

    def _difference(self, his_E: Tensor, past: PastReview) -> Tensor:
        """Compute Eq. 4 for a past review that has peers."""
        return (his_E.double() - self._encode(list(past.peers)).double().mean(0)).float()

    def _user_history(self, history: Sequence[PastReview], item: Item, title: str) -> UserHistory:
        recent = list(history)[-self._prompt.max_user_history :]
        items = [item_text(Item("", past.item, past.description)) for past in recent]
        last = max((past.time for past in recent), default=0)
        return UserHistory(
            his=self._encode([past.text for past in recent]),
            item=self._encode(items),
            rating=torch.tensor([past.rating for past in recent]).float(),
            days=torch.tensor([(last - past.time) / DAY_MS for past in recent]),
            category=0,
            query=self._encode([query_text(item, title)])[0],
        )

    def _with_peers(
        self, user: UserHistory, history: Sequence[PastReview], rating: float, peers: Sequence[str]
    ) -> UserHistory:
        """Add the differences of the past reviews, and what other users wrote about the requested item."""
        recent, nothing = list(history)[-self._prompt.max_user_history :], torch.zeros_like(user.query)
        diff = [
            self._difference(his_E, past) if past.peers else nothing
            for his_E, past in zip(user.his, recent, strict=True)
        ]
        return replace(
            user,
            diff=torch.stack(diff) if diff else user.his,
            peers=torch.tensor([float(len(past.peers)) for past in recent]),
            asked_rating=rating,
            item_peers=self._encode(list(peers)).double().mean(0).float() if peers else nothing,
            item_peer_count=len(peers),
        )

    def _encode(self, texts: list[str]) -> Tensor:
        if not texts:
            return torch.zeros(0, self._embedder.dim)
        vectors: Tensor = self._embedder.encode(texts)
        return vectors.float()
