"""Data types shared by all packages: reviews and items, examples and slots, prompts and batches.

Shape legend, used in all packages:
    N reviews of a category   B examples in a batch   T tokens of a row   K slots of an example
    E width of the embedder   Z width of the latent   D width of the LLM  V vocabulary
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from dep.types.history import UserHistoryBatch as UserHistoryBatch
from dep.types.memory import Memory as Memory

if TYPE_CHECKING:
    import torch
    from torch import Tensor


Split = Literal["train", "val", "test"]
Branch = Literal["his", "diff", "user"]
"""What a soft token stands for: a review (`his`), its difference from peers (`diff`), or the whole history (`user`)."""
STARS = 5  # the most stars that a rating has
IGNORE = -100
"""Label of a token that the loss leaves out."""

HIS_START, HIS_END = "<his_token_start>", "<his_token_end>"
DIFF_START, DIFF_END = "<diff_token_start>", "<diff_token_end>"
HIS_SLOT, DIFF_SLOT = "<his_slot>", "<diff_slot>"
BOUNDARY_TOKENS = (HIS_START, HIS_END, DIFF_START, DIFF_END)
SLOT_TOKENS: dict[Branch, str] = {"his": HIS_SLOT, "diff": DIFF_SLOT, "user": HIS_SLOT}
"""The placeholder of each kind. No prompt holds both `his` and `user` embeddings, so these two share one."""
SPECIAL_TOKENS = (*BOUNDARY_TOKENS, HIS_SLOT, DIFF_SLOT)
"""Figure 6's four boundary tokens, and the two placeholders whose embeddings are replaced by soft tokens."""


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

    The index of a review in `reviews` is called its *row*. Vector caches, examples and slots name a review by its row.
    """

    category: str
    reviews: list[Review]
    items: dict[str, Item]


@dataclass(frozen=True)
class Vectors:
    """The memory-mapped vectors of one category; row n belongs to review n.

    his_NE: [N, E], the embedding of each review.
    diff_NE: [N, E], the difference from the mean of the peers.
    peers_N: [N], the number of peers in that mean.
    """

    his_NE: Tensor
    diff_NE: Tensor
    """All components are zero where `peers_N` is zero, since there is no difference without peers."""
    peers_N: Tensor


@dataclass(frozen=True, slots=True)
class Example:
    """A review to write (the target), and the reviews that its author wrote before it (the profile).

    `row` is the row of the target in the corpus of `category`. `profile` holds the rows of the author's earlier
    reviews, oldest first; the target is never among them.
    """

    category: str
    split: Split
    row: int
    profile: tuple[int, ...]

    @property
    def key(self) -> str:
        """The name under which predictions and scores of this example are stored."""
        return f"{self.category}/{self.row}"


@dataclass(frozen=True, slots=True)
class Slot:
    """A past review together with its vectors; one object holds both, so that text and vectors cannot be mixed up.

    `his` is the review's embedding, and `diff` its difference from the mean of the peers, both [E] float tensors.
    `diff` is None if nobody else reviewed the item. Both are None for a method that uses no vectors.
    """

    review: Review
    item: Item
    his: Tensor | None = None
    diff: Tensor | None = None


@dataclass(frozen=True, slots=True)
class UserHistory:
    """The L reviews that a user wrote before a request, oldest first, as vectors.

    The fields after `query` are set with `prompt.reads_differences`. No field depends on the requested review's text.

    his: [L, E], the embedding of each review's text.
    item: [L, E], the embedding of each item's title and description.
    rating: [L], the stars.
    days: [L], the days between the review and the request.
    category: the index of the request's category.
    query: [E], the embedding of the requested item and of the requested review's title.
    diff: [L, E], the difference of each review from its peers; zero for a review without peers.
    peers: [L], the number of peers in each difference.
    asked_rating: the stars of the requested review.
    item_peers: [E], the mean vector of what other users wrote about the requested item; zero if nobody did.
    item_peer_count: the number of users in that mean.
    memory: the reviews as the LLM read them, for `dep_memory`; empty for other methods.
    """

    his: Tensor
    item: Tensor
    rating: Tensor
    days: Tensor
    category: int
    query: Tensor
    diff: Tensor | None = None
    peers: Tensor | None = None
    asked_rating: float = 3.0
    item_peers: Tensor | None = None
    item_peer_count: int = 0
    memory: tuple[Memory, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """An example with all that a prompt needs: item, rating and title of the target, and past reviews, newest first."""

    key: str
    category: str
    user: str
    item: Item
    rating: float
    title: str
    text: str
    slots: tuple[Slot, ...] = ()
    profile: str = ""
    """A description of the user that a language model wrote (for PAG and DPL); empty for other methods."""
    user_history: UserHistory | None = None
    """The user's whole history as vectors, for methods that read it."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """The token ids of one request, and the vectors that become its soft tokens.

    A slot token is a placeholder in `ids`, whose embedding a soft token replaces.

    ids: the prompt, up to where the review begins.
    target: the review, with the token that ends it.
    vectors[branch]: one [E] tensor for each `projector.tokens` slot tokens of that branch, which stand side by side, in
        order of occurrence.
    positions[branch]: for each of these vectors, the index of its past review (0 is the newest).
    """

    key: str
    ids: list[int]
    target: list[int]
    vectors: dict[Branch, list[Tensor]] = field(default_factory=dict)
    positions: dict[Branch, list[int]] = field(default_factory=dict)
    kept: int = 0
    """How many past reviews are in the prompt."""
    user_history: UserHistory | None = None
    user_tokens: int = 0
    """How many slot tokens in `ids` receive soft tokens that are computed from `user_history`."""
    cut_vectors: dict[Branch, list[Tensor]] = field(default_factory=dict)
    """The vectors of requested past reviews that did not fit into the prompt."""
    asked: int = 0
    """How many past reviews were requested; `kept` of them fitted into the prompt."""
    cuts: tuple[int, ...] = ()
    """Increasing positions in `ids` where a kept beginning may end (`backbone.keep_prefixes`). The last is at most the
    position of the first soft token."""
    weights: Sequence[float] = ()
    """The weight of each token of `target` in the training loss; empty for 1."""

    @property
    def computed(self) -> int:
        """The number of tokens of the prompt that are computed each time: those after the last cut."""
        return len(self.ids) - (self.cuts[-1] if self.cuts else 0)


@dataclass(slots=True)
class Batch:
    """The model's input: prompts of B examples, padded to one length of T tokens.

    ids: [B, T], padded on the side that the collator chooses.
    attention_mask: [B, T], 1 on real tokens and 0 on padding.
    labels: [B, T], the ids of the target review, and IGNORE elsewhere.
    vectors[branch]: [B, K, E] float, in the order of their slot tokens, of which each has `projector.tokens`.
    present[branch]: [B, K] bool, False where `vectors` holds padding.
    slot_index[branch]: [B, K] int, the index of the past review (0 is the newest) that a vector belongs to.
    noise[branch]: [B, K, E] float, added to the compressor's input in training; absent without `input_noise`.
    user_history: the histories from which the soft tokens of the branch `user` are computed.
    cut_vectors, cut_present: like `vectors` and `present`, for requested past reviews that did not fit the prompt.
    cuts: `Prompt.cuts` of each row, counted from the row's first real token.
    window_examples, window_tokens: how many examples and target tokens the optimizer step has; 0 outside training.
    weights: [B, T] float, the weight of each token of `labels` in the loss; None for 1.
    memory: each row's past reviews as the LLM read them, joined; None for a row without any.
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
    weights: Tensor | None = None
    memory: list[Memory | None] | None = None

    def to(self, device: torch.device | str) -> Batch:
        """Return a copy of this batch with every tensor on `device`."""

        def move(tensors: dict[Branch, Tensor]) -> dict[Branch, Tensor]:
            return {branch: tensor.to(device) for branch, tensor in tensors.items()}

        past = self.user_history
        return replace(
            self, ids=self.ids.to(device), attention_mask=self.attention_mask.to(device), labels=self.labels.to(device),
            vectors=move(self.vectors), present=move(self.present), slot_index=move(self.slot_index),
            noise=move(self.noise), cut_vectors=move(self.cut_vectors), cut_present=move(self.cut_present),
            user_history=None if past is None else UserHistoryBatch(*(tensor.to(device) for tensor in past)),
            weights=None if self.weights is None else self.weights.to(device),
            memory=self.memory and [None if of_user is None else of_user.to(device) for of_user in self.memory],
        )  # fmt: skip
