"""A sample of other people's reviews, in which every position recalls (`recall`)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from dep.models.adapters.recall import START, Places, Similar, similar_places

NEAREST = 256
"""How many of others' tokens a position recalls, the most similar ones; the others would weigh next to nothing."""
_NOBODY = -2
"""The number of an author who wrote nothing of the sample; -1 marks empty places."""


class TensorStore(Protocol):
    """Keeps named tensors by key (`dep.inference.tensor_files.TensorFiles`)."""

    def get(self, key: str) -> dict[str, Tensor] | None:
        """Return what was kept under a key; None if it is absent."""

    def put(self, key: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Keep tensors under a key, and return them."""


class OthersReview(NamedTuple):
    """A review of the training as the LLM read it."""

    author: str
    tokens: Tensor
    """[T]."""
    states: Tensor
    """[T, D], in the order of the tokens."""


class OthersReviews(nn.Module):
    """A sample of the training users' reviews, in which every position recalls, whoever the user is.

    It is knowledge of how people write, and no one's: the control has it too. In training, a user's own reviews are
    hidden from that user's examples.

    Args:
        size: Q, the number of tokens.
        width: D.
    """

    tokens: Tensor
    states: Tensor
    authors: Tensor

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.register_buffer("tokens", torch.zeros(size, dtype=torch.long))
        self.register_buffer("states", torch.zeros(size, width, dtype=torch.float16))
        self.register_buffer("authors", torch.full((size,), -1))
        self.numbers = nn.ParameterDict({name: nn.Parameter(torch.tensor(value)) for name, value in START.items()})
        self.kept: TensorStore | None = None
        """Keeps what examples are similar to, for several epochs, arms and seeds; None compares anew each time."""
        self._author_of: dict[str, int] = {}
        self._sample = ""
        """A digest of the sample."""
        self._places: tuple[object, Places] | None = None

    def fill(self, reviews: Sequence[OthersReview], author_of: Mapping[str, str]) -> None:
        """Keep as many tokens of the reviews as there is room for.

        Args:
            reviews: reviews of the training.
            author_of: the author of each training example, by its key.
        """
        numbers = {name: at for at, name in enumerate(dict.fromkeys(author_of.values()))}
        self._author_of = {key: numbers[name] for key, name in author_of.items()}
        parts = [(review.tokens, review.states, numbers[review.author]) for review in reviews]
        tokens_N, states_ND = (torch.cat(column) for column in ([p[0] for p in parts], [p[1] for p in parts]))
        authors_N = torch.cat([torch.full((len(tokens),), author) for tokens, _, author in parts])
        kept = min(len(tokens_N), len(self.tokens))
        self.authors.fill_(-1)  # of places that stay empty
        for buffer, values in ((self.tokens, tokens_N), (self.states, states_ND), (self.authors, authors_N)):
            buffer[:kept] = values[:kept]
        kept_tensors = (self.tokens, self.states, self.authors)
        self._sample = hashlib.sha256(b"".join(one.cpu().numpy().tobytes() for one in kept_tensors)).hexdigest()

    def similar(self, hidden_RD: Tensor, keys: Sequence[str]) -> Similar:
        """Look up similar places in others' reviews.

        Args:
            hidden_RD: states of R positions that predict tokens.
            keys: the key of each position's example.
        """
        return self._similar(hidden_RD, keys) if self.kept is None else self._kept_similar(hidden_RD, keys)

    def _similar(self, hidden_RD: Tensor, keys: Sequence[str]) -> Similar:
        places = self._prepared(hidden_RD)
        own_R = torch.tensor([self._author_of.get(key, _NOBODY) for key in keys], device=self.authors.device)
        hidden_from_RP = self.authors[: len(places.tokens)] == own_R[:, None] if bool((own_R >= 0).any()) else None
        return similar_places(hidden_RD, places, hidden_from_RP, NEAREST)

    def _kept_similar(self, hidden_RD: Tensor, keys: Sequence[str]) -> Similar:
        """Return what `_similar` does, from what is kept where an example's states were compared before."""
        assert self.kept is not None, "something keeps the nearest"
        at_of = {key: [at for at, one in enumerate(keys) if one == key] for key in dict.fromkeys(keys)}
        digests = {key: self._digest(key, hidden_RD[at]) for key, at in at_of.items()}
        found = {key: kept for key, digest in digests.items() if (kept := self.kept.get(digest)) is not None}
        new = [key for key in at_of if key not in found]
        if new:
            new_R = [at for key in new for at in at_of[key]]
            similar, sizes = (
                self._similar(hidden_RD[new_R], [keys[at] for at in new_R]),
                [len(at_of[key]) for key in new],
            )
            for key, tokens, cosines, seen in zip(new, *(column.split(sizes) for column in similar), strict=True):
                parts = {"tokens": tokens.int(), "cosines": cosines.clone(), "seen": seen.clone()}
                found[key] = self.kept.put(digests[key], parts)
        order_R = torch.tensor([at for key in at_of for at in at_of[key]]).argsort()
        tokens, cosines, seen = (
            torch.cat([found[key][name] for key in at_of])[order_R] for name in ("tokens", "cosines", "seen")
        )
        return Similar(tokens.long(), cosines, seen)

    def _digest(self, key: str, hidden_TD: Tensor) -> str:
        """Hash what the places that are similar to an example's positions depend on."""
        found = hashlib.sha256(f"{self._sample} {self._author_of.get(key, _NOBODY)} {NEAREST} ".encode())
        found.update(hidden_TD.detach().cpu().contiguous().numpy().tobytes())
        return found.hexdigest()

    def _prepared(self, like: Tensor) -> Places:
        """Return the kept tokens in the dtype and on the device of `like`; they are prepared anew when they change."""
        made_from = self.states.data_ptr(), self.states._version, self.authors._version, like.dtype
        if self._places is None or self._places[0] != made_from:
            kept = int((self.authors >= 0).sum())
            self._places = made_from, Places.of(self.tokens[:kept], self.states[:kept].to(like))
        return self._places[1]
