"""Computes users' style vectors from the frozen LLM's activations on their past reviews.

    s_u = 1/L Σ_i [ h(x_i ⊕ y_i) - h(x_i ⊕ ŷ_i) ]

x_i   Non-Perso's prompt for the i-th past review: item, rating and title
y_i   the user's review
ŷ_i   a text about the same item that is not in the user's style
h     the output of the steered layer at the last token of the text, or its mean over the text's tokens
      (`soft_prompt.style_vector.states`); the token that ends a review is left out
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from dep.data.prompts.chat_request import ChatRequest, field_line, rating_line
from dep.data.prompts.template import system_text
from dep.inference.layer_states import Passage
from dep.methods.base import ActivationContext
from dep.models.adapters.style_vector import steered_layer
from dep.models.settings import StyleVectorConfig
from dep.types import Example, Request, UserHistory
from dep.utils.hashing import seed_from

Row = tuple[str, int]
"""A review: its category and its row."""


class StyleReader:
    """Makes for each example a `UserHistory` whose only vector is the style vector [1, D].

    The first example of a split lets the LLM read the past reviews of all users of the split; states are kept on disk.
    A past review without a neutral text is left out, and the vector of a user without any is zero.

    Args:
        config: which layer is read, and which texts are neutral.
        context: the reviews, the prompt builder and the LLM.
    """

    def __init__(self, config: StyleVectorConfig, context: ActivationContext) -> None:
        self.config, self.context = config, context
        self._vectors: dict[str, Tensor] = {}
        self._of_item: dict[tuple[str, str], list[int]] = defaultdict(list)
        for category, corpus in context.dataset.corpora.items():
            for row in context.dataset.pool[category].nonzero()[:, 0].tolist():
                self._of_item[category, corpus.reviews[row].item].append(row)

    def __call__(self, example: Example) -> UserHistory:
        """Return the style vector of the example's user before the target."""
        if example.key not in self._vectors:
            same_split = [other for other in self.context.dataset.examples if other.split == example.split]
            self._compute([example, *same_split])
        style_1D, nothing = self._vectors[example.key][None], torch.zeros(1)
        return UserHistory(style_1D, style_1D[:, :0], nothing, nothing, 0, style_1D[0, :0])

    def _compute(self, examples: Sequence[Example]) -> None:
        """Compute the style vectors of several examples."""
        longest = self.context.builder.config.max_user_history
        past = {e.key: [(e.category, row) for row in e.profile[-longest:]] for e in examples}
        neutral = self._neutral_texts(sorted({row for rows in past.values() for row in rows}))
        rows = list(neutral)
        passages = [passage for row in rows for passage in self._pair(row, neutral[row])]
        layer = steered_layer(self.config, self.context.layers)
        states_ND = self.context.states(passages, layer, f"past reviews, layer {layer} of the LLM")
        contrast = dict(zip(rows, states_ND[::2] - states_ND[1::2], strict=True))
        for key, of_user in past.items():
            found = [contrast[row] for row in of_user if row in contrast]
            self._vectors[key] = torch.stack(found).mean(0) if found else torch.zeros(self.context.width)

    def _pair(self, row: Row, neutral: str) -> tuple[Passage, Passage]:
        """Return the passages x ⊕ y and x ⊕ ŷ."""
        prompt = self.context.builder.build(self._request(row))
        targets = prompt.target, self.context.builder.target(neutral)
        own, other = (self._passage(prompt.ids, target) for target in targets)
        return own, other

    def _passage(self, prompt: list[int], target: list[int]) -> Passage:
        text = target[:-1] if target and target[-1] == self.context.builder.end_id else target
        return Passage([*prompt, *text], max(1, len(text)) if self.config.states == "mean" else 1)

    def _request(self, row: Row) -> Request:
        category, at = row
        corpus = self.context.dataset.corpora[category]
        review = corpus.reviews[at]
        item = corpus.items[review.item]
        return Request(f"{category}/{at}", category, review.user, item, review.rating, review.title, review.text)

    def _neutral_texts(self, rows: Sequence[Row]) -> dict[Row, str]:
        """Return a neutral text for each review that has one."""
        if self.config.neutral == "written":
            questions = [self._question(self._request(row)) for row in rows]
            return dict(zip(rows, self.context.ask(questions), strict=True))
        peers = {row: self._peer(row) for row in rows}
        return {row: text for row, text in peers.items() if text is not None}

    def _question(self, request: Request) -> ChatRequest:
        """Return Non-Perso's prompt as a question."""
        lines = [*field_line("Item Title", request.item.title)]
        lines += field_line("Item Description", request.item.description)
        lines += rating_line("Output Review Rating", request.rating)
        lines += field_line("Output Review Title", request.title)
        return ChatRequest(system_text(self.context.builder.config, ()), tuple(lines))

    def _peer(self, row: Row) -> str | None:
        """Return another user's review of the item, drawn once and for all; None if there is none."""
        category, at = row
        reviews = self.context.dataset.corpora[category].reviews
        own = reviews[at]
        others = [other for other in self._of_item[category, own.item] if reviews[other].user != own.user]
        drawn = min(others, key=lambda other: seed_from(f"{category}/{at}/{other}", 8), default=None)
        return None if drawn is None else reviews[drawn].text
