"""Data types shared by all packages: reviews and items, examples and slots, prompts and batches.

This module imports no other module of the package.

Shape legend, used in all packages:
    N reviews of a category   B examples in a batch   T tokens of a row   K slots of an example
    E width of the embedder   Z width of the latent   D width of the LLM  V vocabulary
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Split = Literal["train", "val", "test"]
Branch = Literal["his", "diff", "user"]
"""Kind of soft token: of a review, of its difference from peers, or of the user's whole history (PPlug, User-LLM)."""
IGNORE = -100
"""Label of a token that the loss does not see."""

HIS_START, HIS_END = "<his_token_start>", "<his_token_end>"
DIFF_START, DIFF_END = "<diff_token_start>", "<diff_token_end>"
HIS_SLOT, DIFF_SLOT = "<his_slot>", "<diff_slot>"
BOUNDARY_TOKENS = (HIS_START, HIS_END, DIFF_START, DIFF_END)
SLOT_TOKENS: dict[Branch, str] = {"his": HIS_SLOT, "diff": DIFF_SLOT, "user": HIS_SLOT}
"""A prompt with a user's embedding has none of single reviews, so that both can use the same placeholder."""
SPECIAL_TOKENS = (*BOUNDARY_TOKENS, HIS_SLOT, DIFF_SLOT)
"""Figure 6's four boundary tokens, and the two placeholders that vectors are written over."""


@dataclass(frozen=True, slots=True)
class Review:
    """One review. `time` is in milliseconds since 1970, `rating` from 1 to 5 (NaN where it is missing)."""

    user: str
    item: str
    text: str
    rating: float
    title: str
    time: int


@dataclass(frozen=True, slots=True)
class Item:
    """An item's metadata; `description` is empty if the source has none."""

    item: str
    title: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Corpus:
    """All reviews and items of one category.

    A review's index in `reviews` is its *row*: vector caches, examples and slots name a review by it.
    """

    category: str
    reviews: list[Review]
    items: dict[str, Item]


@dataclass(frozen=True)
class Vectors:
    """The vectors of one category, a row a review, memory-mapped.

    his_NE, diff_NE: [N, E]. peers_N: [N], how many peers a difference was taken from.
    """

    his_NE: Tensor
    diff_NE: Tensor
    """Zero where `peers_N` is zero, since there is no difference without peers."""
    peers_N: Tensor


@dataclass(frozen=True, slots=True)
class Example:
    """One request: write what this user wrote about this item.

    `row` is the target review's row in its category's corpus, `profile` the rows of everything the user wrote
    earlier, oldest first. The target itself is never in `profile`.
    """

    category: str
    split: Split
    row: int
    profile: tuple[int, ...]

    @property
    def key(self) -> str:
        """Stable name of this example, the key of predictions and scores."""
        return f"{self.category}/{self.row}"


@dataclass(frozen=True, slots=True)
class Slot:
    """A past review with its vectors: one object holds the text and its vectors, so that they cannot be mixed up.

    `his` and `diff` are [E] float tensors; `diff` is None for an item that nobody else reviewed, `his` is None
    where a method uses no vectors.
    """

    review: Review
    item: Item
    his: Tensor | None = None
    diff: Tensor | None = None


@dataclass(frozen=True, slots=True)
class UserHistory:
    """A user's L reviews before a request, oldest first, as vectors (PPlug, User-LLM).

    his, item: [L, E], embeddings of the reviews' texts and of their items' titles and descriptions.
    rating, days: [L], stars, and days from the review to the request.
    category: which of the categories, by number.
    query: [E], embedding of what is known of the request: item and the review's title.
    """

    his: Tensor
    item: Tensor
    rating: Tensor
    days: Tensor
    category: int
    query: Tensor


@dataclass(frozen=True, slots=True)
class Request:
    """An example ready for the prompt: what to write about, and the slots (newest first) to write it from."""

    key: str
    category: str
    user: str
    item: Item
    rating: float
    title: str
    text: str
    slots: tuple[Slot, ...] = ()
    profile: str = ""
    """The profile of the user that a language model wrote (PAG, DPL)."""
    user_history: UserHistory | None = None
    """The user's whole history, for methods that read it."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids of one request and, per branch, the vectors that fill its slot tokens, in the order they occur.

    `ids` ends where the review begins; `target` is the review's ids with the closing token.
    `vectors[branch]` holds one [E] tensor for each of that branch's slot tokens in `ids`;
    `positions[branch]` the slot's index k (0 = newest review) of each.
    """

    key: str
    ids: list[int]
    target: list[int]
    vectors: dict[Branch, list[Tensor]] = field(default_factory=dict)
    positions: dict[Branch, list[int]] = field(default_factory=dict)
    kept: int = 0
    """How many past reviews fitted."""
    user_history: UserHistory | None = None
    user_tokens: int = 0
    """How many slot tokens in `ids` are for what a method makes of `user_history`."""
    cut_vectors: dict[Branch, list[Tensor]] = field(default_factory=dict)
    """Vectors of past reviews that the request asked for and that did not fit."""
    asked: int = 0
    """How many past reviews the request asked for; `kept` of them are in the prompt."""
    cuts: tuple[int, ...] = ()
    """Positions in `ids`, increasing, up to which keys and values may be kept: no soft token stands before them."""

    @property
    def computed(self) -> int:
        """How many of the prompt's tokens are computed each time: those after the last cut."""
        return len(self.ids) - (self.cuts[-1] if self.cuts else 0)


class UserHistoryBatch(NamedTuple):
    """The `UserHistory` of each row: [B, L, E], [B, L] and [B, E], padded at the end; `present` [B, L] bool."""

    his: Tensor
    item: Tensor
    rating: Tensor
    days: Tensor
    category: Tensor
    query: Tensor
    present: Tensor

    @classmethod
    def of(cls, pasts: Sequence[UserHistory]) -> UserHistoryBatch:
        """Pad the histories of several users into one batch."""
        import torch
        from torch.nn.utils.rnn import pad_sequence

        def along(name: str) -> Tensor:
            return pad_sequence([getattr(past, name) for past in pasts], batch_first=True)

        return cls(
            his=along("his"),
            item=along("item"),
            rating=along("rating"),
            days=along("days"),
            category=torch.tensor([past.category for past in pasts]),
            query=torch.stack([past.query for past in pasts]),
            present=pad_sequence([torch.ones(len(past.his), dtype=torch.bool) for past in pasts], batch_first=True),
        )


@dataclass(slots=True)
class Batch:
    """The model's input. The collator chooses the side of the padding; `attention_mask` is 1 on real tokens.

    ids, attention_mask, labels: [B, T] (labels are IGNORE outside the target review).
    vectors[branch]: [B, K, E] float; present[branch]: [B, K] bool, True where a vector fills a slot token.
    Slot tokens of a branch occur in row b exactly present[branch][b].sum() times, in order of k.
    `slot_index[branch]`: [B, K] int, which past review (0 = newest) the vector at k belongs to.
    `user_history`: what `present["user"]`'s tokens are made of.
    `noise[branch]`: [B, K, E] float, added to what the compressor sees; only while training, and only if asked for.
    `cut_vectors`, `cut_present`: as `vectors` and `present`, of past reviews that did not fit; they fill no slot token.
    `cuts`: `Prompt.cuts` of each row, counted from its first real token.
    `window_examples`, `window_tokens`: examples and target tokens of the optimizer step of a training batch, else 0.
    """

    keys: list[str]
    ids: Tensor
    attention_mask: Tensor
    labels: Tensor
    vectors: dict[Branch, Tensor] = field(default_factory=dict)
    present: dict[Branch, Tensor] = field(default_factory=dict)
    slot_index: dict[Branch, Tensor] = field(default_factory=dict)
    noise: dict[Branch, Tensor] = field(default_factory=dict)
    user_history: UserHistoryBatch | None = None
    cut_vectors: dict[Branch, Tensor] = field(default_factory=dict)
    cut_present: dict[Branch, Tensor] = field(default_factory=dict)
    cuts: list[tuple[int, ...]] = field(default_factory=list)
    window_examples: int = 0
    window_tokens: int = 0

    def to(self, device: torch.device | str) -> Batch:
        """This batch with every tensor on `device`."""

        def move(tensors: dict[Branch, Tensor]) -> dict[Branch, Tensor]:
            return {branch: tensor.to(device) for branch, tensor in tensors.items()}

        return Batch(
            self.keys,
            self.ids.to(device),
            self.attention_mask.to(device),
            self.labels.to(device),
            move(self.vectors),
            move(self.present),
            move(self.slot_index),
            move(self.noise),
            None
            if self.user_history is None
            else UserHistoryBatch(*(tensor.to(device) for tensor in self.user_history)),
            move(self.cut_vectors),
            move(self.cut_present),
            self.cuts,
            self.window_examples,
            self.window_tokens,
        )
