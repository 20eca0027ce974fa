"""A store of reviews that users change every day, and their differences from peers: `dep.PeerIndex`."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from threading import RLock

import numpy as np
import torch
from torch import Tensor

from dep.store import private_means, writing
from dep.store.database import connect, empty_log, transaction
from dep.store.exact_sums import check_vectors
from dep.store.reading import Reader
from dep.store.reviews import Key, PastVectors, StoredReview, check_reviews
from dep.store.settings import PeerSettings
from dep.utils.errors import DepError

STORE_FILE = "store.sqlite"
"""The name of a store in the folder of a run."""
_WIDTH = 384


class PeerIndex:
    """Reviews with their vectors in one SQLite file, and the means of peers; `open` creates or opens one.

    Threads may share an index, and processes a file. Every method is one transaction: others see all of it or nothing,
    and a process that is killed leaves nothing half done. A read shows the last committed state.

        index = dep.PeerIndex.open("store.sqlite", width=384)
        index.add(reviews, vectors)                         # a review of the same category, user and item is replaced
        for past in index.history("ann", newest=8):         # newest first
            print(past.review.text, past.diff, past.peers)
        index.delete_user("ann")
    """

    def __init__(self, db: sqlite3.Connection, path: Path, width: int, settings: PeerSettings, embedder: str) -> None:
        self._db, self._lock = db, RLock()
        self.path, self.width, self.settings, self.embedder = path, width, settings, embedder

    @classmethod
    def open(
        cls, path: str | Path, width: int | None = None, settings: PeerSettings | None = None, embedder: str = ""
    ) -> PeerIndex:
        """Open a store, or create an empty one.

        Args:
            path: the file.
            width: E, the width of the vectors; None for the file's own, or 384 for a new file.
            settings: which peers count; they replace those in the file. None keeps the file's.
            embedder: the fingerprint of the embedder that makes the vectors; empty if it is not known.

        Raises:
            DepError: the file is no store, or it has vectors of another width or embedder.
        """
        path = Path(path)
        db = connect(path)
        try:
            with transaction(db, write=True):
                meta = dict(db.execute("SELECT name, value FROM meta"))
                kept = int(meta.get("width", width or _WIDTH))
                made_by = meta.get("embedder") or embedder
                if width not in (None, kept):
                    raise DepError(f"{path}: width of the vectors", str(kept), str(width), "name another file")
                if embedder not in ("", made_by):
                    raise DepError(
                        f"{path}: embedder", made_by[:12], embedder[:12],
                        "use the embedder that made the store, or delete the file to make it anew",
                    )  # fmt: skip
                settings = settings or PeerSettings(**json.loads(meta.get("settings", "{}")))
                facts = {"width": str(kept), "embedder": made_by, "settings": json.dumps(asdict(settings))}
                db.executemany("INSERT OR REPLACE INTO meta VALUES(?,?)", facts.items())
        except DepError:
            db.close()
            raise
        return cls(db, path, kept, settings, made_by)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> PeerIndex:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        """Return the number of reviews."""
        with self._transaction():
            return int(self._db.execute("SELECT coalesce(sum(count), 0) FROM category").fetchone()[0])

    def add(self, reviews: Sequence[StoredReview], vectors_NE: Tensor) -> None:
        """Add reviews, or replace those with the same category, user and item; thousands in a call are fastest.

        A review that comes without title or description of its item keeps those of the review that it replaces.

        Args:
            reviews: the N reviews; of several with one key, the last is taken.
            vectors_NE: their vectors [N, E].

        Raises:
            DepError: the sizes do not fit, a component is not finite or above 64, or a text is no valid Unicode.
        """
        check_reviews(reviews)
        array_NE = vectors_NE.detach().cpu().float().numpy()
        if array_NE.shape != (len(reviews), self.width):
            raise DepError("vectors", f"shape [{len(reviews)}, {self.width}]", str([*array_NE.shape]))
        check_vectors(array_NE)
        last = {review.key: n for n, review in enumerate(reviews)}
        if not last:
            return
        if len(last) < len(reviews):
            rows = sorted(last.values())
            reviews, array_NE = [reviews[n] for n in rows], array_NE[rows]
        with self._transaction(write=True):
            writing.add(self._db, reviews, array_NE)

    def delete(self, category: str, user: str, item: str) -> bool:
        """Delete a review, and return whether there was one; errors are those of `delete_user`."""
        with self._transaction(write=True):
            count = writing.delete(self._db, [Key(category, user, item)])
        return bool(self._cleaned(count))

    def delete_user(self, user: str) -> int:
        """Delete all reviews of a user, and return how many there were.

        The store is then as if it had never seen them: counts, sums, names and titles are equal. Deleted bytes are
        overwritten and the write-ahead log is emptied; `rewrite` also removes copies that SQLite may have left when it
        moved rows between pages.

        Raises:
            DepError: another process reads an older state for so long that the log cannot be emptied.
        """
        with self._transaction(write=True):
            count = writing.delete(self._db, writing.keys_of(self._db, user))
        return self._cleaned(count)

    def rewrite(self) -> None:
        """Write the file anew from what it holds; this takes seconds for each GB, and as much free space."""
        with self._lock:
            self._db.execute("VACUUM")
            empty_log(self._db, self.path)

    def find(self, keys: Sequence[Key]) -> list[tuple[StoredReview, Tensor] | None]:
        """Return the review and the vector [E] of each key, as they were added; None for one that is not there."""
        with self._transaction():
            rows = [Reader(self._db, self.settings, self.width, key.user).one(key) for key in keys]
        return [(row.review, torch.from_numpy(row.own.his_E.copy())) if row else None for row in rows]

    def reviews(self, user: str) -> list[StoredReview]:
        """Return all reviews of a user, newest first, without vectors and differences."""
        with self._transaction():
            return [row.review for row in Reader(self._db, self.settings, self.width, user).past(None, -1, None)]

    def about(self, category: str, item: str) -> tuple[str, str]:
        """Return an item's title and description, each from the newest review that has it; empty if none has."""
        with self._transaction():
            reader = Reader(self._db, self.settings, self.width, None)
            row = reader.item(category, item)
            return reader.about(row.id) if row else ("", "")

    def categories(self) -> list[str]:
        """Return the names of all categories in order."""
        with self._transaction():
            return [name for (name,) in self._db.execute("SELECT name FROM category ORDER BY name")]

    def history(
        self, user: str, category: str | None = None, newest: int = 8, before: int | None = None
    ) -> list[PastVectors]:
        """Return a user's newest reviews with their vectors and differences, newest first.

        Args:
            user: the user.
            category: the category of the reviews; None for all.
            newest: the most reviews to return.
            before: a time in milliseconds since 1970; reviews of this time or later count nowhere, neither as the
                user's nor as peers'. None for all.

        Returns:
            An empty list for a user who is not in the store.

        Raises:
            DepError: peer means are private, and `before` is given.
        """
        found = []
        earlier = self.settings.time == "earlier"
        with self._transaction(write=bool(self.settings.noise)):
            reader = Reader(self._db, self.settings, self.width, user)
            for item, own, review in reader.past(category, newest, before):
                mean_E, peers = reader.peer_mean(item, own, own.time if earlier else before)
                diff = None if mean_E is None else torch.from_numpy((own.his_E - mean_E).astype(np.float32))
                found.append(PastVectors(review, torch.from_numpy(own.his_E.copy()), diff, peers))
        return found

    def peer_mean(
        self, category: str, item: str, without: str | None = None, before: int | None = None
    ) -> tuple[Tensor, int]:
        """Return the mean [E] of what others wrote about an item, and their number; zero and 0 if they are too few.

        Args:
            category: the category of the item.
            item: the item.
            without: the user whose review does not count; None to count all.
            before: as in `history`.

        Raises:
            DepError: peer means are private, and `before` is given.
        """
        with self._transaction(write=bool(self.settings.noise)):
            reader = Reader(self._db, self.settings, self.width, without)
            row = reader.item(category, item)
            mean_E, peers = reader.peer_mean(row, reader.own(row), before) if row else (None, 0)
        found_E = np.zeros(self.width) if mean_E is None else mean_E
        return torch.from_numpy(found_E.astype(np.float32)), peers

    def epsilon(self) -> float:
        """Return the epsilon, at `settings.delta`, that the user who took part in most private means has spent."""
        with self._transaction():
            return private_means.epsilon(self._db, self.settings)

    @contextmanager
    def _transaction(self, write: bool = False) -> Iterator[None]:
        with self._lock, transaction(self._db, write):
            yield

    def _cleaned(self, count: int) -> int:
        """Empty the log if reviews were deleted, and return their number."""
        if count:
            with self._lock:
                empty_log(self._db, self.path)
        return count
