"""Looks up what is known of a user, in the run that trained an adapter or in a store (`dep.PeerIndex`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from rich.console import Console

from dep.data.vectors.peer_means import PeerMeans
from dep.data.vectors.settings import DifferenceConfig
from dep.data.vectors.shown import ShownDifferences
from dep.pipeline.personal.inputs import Ask, PastReview
from dep.pipeline.resources import Resources
from dep.pipeline.run_data import open_run
from dep.types import Corpus, Item, Vectors
from dep.utils.errors import DepError, MissingFile

if TYPE_CHECKING:
    from torch import Tensor


class Background(NamedTuple):
    """What a request says besides the ask's own rating and title."""

    history: Sequence[PastReview]
    """The user's past reviews, oldest first."""
    item: Item
    peers: tuple[Tensor, int] | None = None
    """The mean vector [E] of what others wrote about the item, and their number; None to embed the ask's `peers`."""
    category: int = 0
    """The index of the category in the training data."""


class Users(Protocol):
    """What can look up a user."""

    def __call__(self, ask: Ask, newest: int) -> Background:
        """Return at most `newest` reviews of the ask's user, and what is known of the item.

        Raises:
            DepError: the user is not known.
        """


class StoredItem(Protocol):
    """A review in a store; `dep.StoredReview` is one."""

    @property
    def category(self) -> str:
        """The category of the item."""

    @property
    def item(self) -> str:
        """The identifier of the item."""

    @property
    def item_title(self) -> str:
        """The title of the item."""

    @property
    def description(self) -> str:
        """The description of the item."""

    @property
    def text(self) -> str:
        """The text."""

    @property
    def rating(self) -> float:
        """The stars; NaN where it is missing."""

    @property
    def title(self) -> str:
        """The title of the review."""

    @property
    def time(self) -> int:
        """The time in milliseconds since 1970."""


class StoredPast(Protocol):
    """A review of a user's history with its vectors, as a store returns it."""

    @property
    def review(self) -> StoredItem:
        """The review."""

    @property
    def his(self) -> Tensor:
        """Its vector [E]."""

    @property
    def diff(self) -> Tensor | None:
        """Its difference [E] from its peers; None without peers."""

    @property
    def peers(self) -> int:
        """The number of peers."""


class Store(Protocol):
    """The part of `dep.PeerIndex` that a `Personalizer` reads."""

    width: int
    embedder: str

    def history(
        self, user: str, category: str | None = None, newest: int = 8, before: int | None = None
    ) -> Sequence[StoredPast]:
        """Return a user's newest reviews, newest first."""

    def peer_mean(
        self, category: str, item: str, without: str | None = None, before: int | None = None
    ) -> tuple[Tensor, int]:
        """Return the mean [E] of what others wrote about an item, and their number."""

    def about(self, category: str, item: str) -> tuple[str, str]:
        """Return an item's title and description; empty if they are not known."""


class StoreUsers:
    """Looks users up in a store; the user's own review of the requested item is left out.

    Args:
        store: the store.
        reads_item_peers: whether the adapter reads what others wrote about the requested item.
    """

    def __init__(self, store: Store, reads_item_peers: bool) -> None:
        self.store, self.reads_item_peers = store, reads_item_peers

    def __call__(self, ask: Ask, newest: int) -> Background:
        """Return the newest reviews of the ask's user."""
        name, user = ask.item_id or ask.item, ask.user or ""
        found = self.store.history(user, ask.category or None, newest + 1)
        if not found:
            where = f"in {ask.category} of the store" if ask.category else "of the store"
            raise DepError(f"user {user!r}", f"a user {where}", "none", "add their reviews, or give history=[...]")
        past = [one for one in found if one.review.item != name][:newest]
        category = ask.category or found[0].review.category
        known, description = self.store.about(category, name)
        title = known if known and ask.item in ("", name) else ask.item or name
        peers = None
        if self.reads_item_peers and not ask.peers:
            peers = self.store.peer_mean(category, name, user)
        item = Item("item", title, ask.description or description)
        return Background([_past_of(one) for one in reversed(past)], item, peers)


def _past_of(past: StoredPast) -> PastReview:
    review = past.review
    return PastReview(
        review.item_title, review.text, review.rating, review.title, review.description, review.time,
        vectors=(past.his, past.diff), peer_count=past.peers,
    )  # fmt: skip


class RunUsers:
    """Looks users up in the reviews of a run, whose vectors are in the run's cache or are computed once.

    If the user has reviewed the requested item, the history ends before that review, as in the run's own requests.

    Args:
        folder: the folder of an arm, such as `runs/demo/dep/seed0`.
        with_vectors: whether the arm reads vectors.

    Raises:
        MissingFile: there is no finished run around the folder.
    """

    def __init__(self, folder: Path, with_vectors: bool) -> None:
        self.with_vectors = with_vectors
        self.folder, home = folder, folder.resolve().parents[1]
        if not (home / "config.yaml").is_file():
            raise MissingFile(
                f"user of {folder}", f"the run's {home / 'config.yaml'}", "none",
                "give history=[...], set Personalizer.store, or name the folder of an arm in a finished run",
            )  # fmt: skip
        run, configs = open_run(home)
        self.config = configs[folder.resolve().parent.name]
        self.resources = Resources(run, Console(quiet=True))

    @cached_property
    def categories(self) -> dict[str, Category]:
        """The reviews and vectors of each category of the run."""
        dataset = self.resources.prepared(self.config)
        categories = {}
        for number, (name, corpus) in enumerate(sorted(dataset.corpora.items())):
            pool_N, vectors = dataset.pool[name], None
            if self.with_vectors:
                vectors = self.resources.cache(self.config).vectors(corpus, pool_N)
            categories[name] = Category(number, corpus, vectors, pool_N, self.config.difference)
        return categories

    def __call__(self, ask: Ask, newest: int) -> Background:
        """Return the newest reviews of the ask's user."""
        return self._category(ask).background(ask, newest)

    def _category(self, ask: Ask) -> Category:
        """Return the category in which the user is looked up."""
        found = {name: one for name, one in self.categories.items() if ask.user in one.rows_of}
        where = f"{self.folder.resolve().parents[1]}"
        if not found:
            raise DepError(f"user {ask.user!r}", f"a user of {where}", "none", "give history=[...]")
        if ask.category:
            if ask.category not in found:
                expected = f"a category in which the user has reviews ({', '.join(found)})"
                raise DepError(f"category of user {ask.user!r}", expected, repr(ask.category))
            return found[ask.category]
        named = {name: one for name, one in found.items() if (ask.item_id or ask.item) in one.corpus.items}
        chosen = named if len(named) == 1 else found
        if len(chosen) > 1:
            way_out = f"add category={next(iter(chosen))!r}"
            raise DepError(f"category of user {ask.user!r}", f"one of {', '.join(chosen)}", "none", way_out)
        return next(iter(chosen.values()))


class Category:
    """The reviews and vectors of one category of a run."""

    def __init__(
        self, number: int, corpus: Corpus, vectors: Vectors | None, pool_N: Tensor, difference: DifferenceConfig
    ) -> None:
        self.number, self.corpus, self.vectors = number, corpus, vectors
        self.shown = self.means = None
        if vectors is not None:
            self.means = PeerMeans(corpus, vectors, pool_N, difference)
            self.shown = ShownDifferences(corpus, vectors, pool_N) if difference.depends_on_prompt else None
        self.rows_of: dict[str, list[int]] = defaultdict(list)
        self.peers_of: dict[str, list[int]] = defaultdict(list)
        for row, review in sorted(enumerate(corpus.reviews), key=lambda pair: (pair[1].time, pair[0])):
            self.rows_of[review.user].append(row)
            if bool(pool_N[row]) and (difference.weighting, difference.time) == ("uniform", "any"):
                self.peers_of[review.item].append(row)
        self.rows_of, self.peers_of = dict(self.rows_of), dict(self.peers_of)

    def background(self, ask: Ask, newest: int) -> Background:
        """Return the user's newest reviews in this category, and what is known of the item."""
        name, rows = ask.item_id or ask.item, self.rows_of[ask.user or ""]
        own = [at for at, row in enumerate(rows) if self.corpus.reviews[row].item == name]
        rows = rows[: own[0] if own else None][-newest:] if newest else []
        known = self.corpus.items.get(name)
        title = known.title if known and ask.item in ("", name) else ask.item or name
        item = Item("item", title, ask.description or (known.description if known else ""))
        diff = self.shown(rows, rows) if self.shown else {}
        history = [self._past(row, diff.get(row)) for row in rows]
        return Background(history, item, None if ask.peers else self._item_peers(ask.user or "", name), self.number)

    def _past(self, row: int, shown_E: Tensor | None) -> PastReview:
        review = self.corpus.reviews[row]
        item, vectors, count = self.corpus.items[review.item], None, 0
        if self.vectors is not None:
            count = int(self.vectors.peers_N[row])
            own_E = self.vectors.diff_NE[row] if count and self.shown is None else shown_E
            vectors = self.vectors.his_NE[row], own_E
        others = [self.corpus.reviews[other] for other in self.peers_of.get(review.item, ())]
        texts = {other.user: other.text for other in others if other.user != review.user} if count else {}
        return PastReview(
            item.title, review.text, review.rating, review.title, item.description, review.time, [*texts.values()],
            vectors, count,
        )  # fmt: skip

    def _item_peers(self, user: str, item: str) -> tuple[Tensor, int] | None:
        """Return the mean vector of what others wrote about an item; None for an item that is not known."""
        if self.means is None or item not in self.corpus.items:
            return None
        return self.means.of_item(item, user)
