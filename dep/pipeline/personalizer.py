"""Generates reviews for single users with a trained adapter: `dep.Personalizer`.

reviews -> embedder -> his (Eq. 2), diff (Eq. 4) -> prompt -> frozen LLM with the adapter -> text

`his` is the vector of a past review, and `diff` its difference from the mean of the peers' vectors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dep.pipeline.adapter_folder import load_adapter
from dep.pipeline.arm import Arm
from dep.pipeline.personal.inputs import UNCHANGED, Ask, PastReview, Strength
from dep.pipeline.personal.requests import RequestBuilder
from dep.pipeline.personal.writer import Writer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from dep.training.module import PersonalizationModule

__all__ = ["Ask", "PastReview", "Personalizer", "Strength"]


class Personalizer:
    """Generates reviews for users from their past reviews; `from_pretrained` loads one.

    Args:
        module: the backbone with the adapter.
        tokenizer: the backbone's tokenizer.
        arm: the trained arm, with its configuration.
    """

    def __init__(self, module: PersonalizationModule, tokenizer: PreTrainedTokenizerBase, arm: Arm) -> None:
        self.module, self.tokenizer, self.arm = module, tokenizer, arm
        self._requests = RequestBuilder(arm, module.soft_prompt.adapter)
        self._writer = Writer(module, tokenizer, arm)

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
        self, history: Sequence[PastReview] | None = None, item: str = "", rating: float = math.nan, title: str = "",
        description: str = "", seed: int = 0, peers: Sequence[str] = (), *, user: str | None = None,
        category: str = "", strength: Strength = UNCHANGED, max_new_tokens: int | None = None,
        temperature: float | None = None, top_p: float | None = None,
    ) -> str:  # fmt: skip
        """Generate the review that the user would write about an item; `Ask` documents the arguments."""
        ask = Ask(
            history, item, rating, title, description, seed, peers, user, category, strength, max_new_tokens,
            temperature, top_p,
        )  # fmt: skip
        return self.generate_many([ask])[0]

    def generate_many(self, asks: Sequence[Ask]) -> list[str]:
        """Generate one review for each ask, several at a time; each text is the one that the ask gives alone."""
        return self._writer.texts([self._requests(ask) for ask in asks], asks)

    def stream(self, ask: Ask) -> Iterator[str]:
        """Generate a review and yield its text piece by piece; the pieces together are the text of `generate`."""
        return self._writer.stream(self._requests(ask), ask)

    def likelihood(self, ask: Ask, text: str) -> float:
        """Compute how unlikely a text is as the answer to an ask.

        Returns:
            The negative log likelihood (NLL) in nats per token, with the token that ends the text.
        """
        return self._writer.nll([self._requests(ask)], [text])[0]
