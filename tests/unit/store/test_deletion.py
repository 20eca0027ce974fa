"""Deleted users leave no trace, neither in what a store returns nor in the bytes of its files."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from dep.store.peer_index import PeerIndex
from dep.store.reviews import StoredReview

from .conftest import E, review, vectors


def bytes_of(path: Path) -> bytes:
    """The bytes of a store's file, its write-ahead log and the log's index."""
    return b"".join(file.read_bytes() for file in sorted(path.parent.glob(f"{path.name}*")))


def people(seed: int) -> tuple[list[StoredReview], torch.Tensor]:
    """Sixty users with long texts that hold their name, some of which fill a page of the file."""
    rng = random.Random(seed)
    rows = [
        review(f"person-{user:02}-{seed}", f"i{item}", rng.randrange(99), f"person-{user:02}-{seed} wrote " * length)
        for user in range(60)
        for item in rng.sample(range(40), 6)
        for length in [rng.choice([1, 10, 60, 700])]
    ]
    rng.shuffle(rows)
    return rows, vectors(len(rows), seed)


@pytest.mark.parametrize("seed", range(2))
def test_a_store_without_a_deleted_user_equals_one_that_never_saw_them(
    tmp_path: Path, seed: int, contents: Callable[[Path], object]
) -> None:
    rows, x = people(seed)
    gone = rows[0].user
    stay = [at for at, row in enumerate(rows) if row.user != gone]
    only_theirs = review(gone, "an item that nobody else reviewed", category="a category of their own")
    with PeerIndex.open(tmp_path / "a.sqlite", E) as index:
        for start in range(0, len(rows), 50):
            index.add(rows[start : start + 50], x[start : start + 50])
        index.add([only_theirs], vectors(1))
        assert index.delete_user(gone) == len(rows) - len(stay) + 1
        assert index.delete_user(gone) == 0
        assert index.history(gone) == []
        assert index.categories() == ["Music"]
    with PeerIndex.open(tmp_path / "b.sqlite", E) as never:
        never.add([rows[at] for at in stay[::-1]], x[stay[::-1]])
    assert contents(tmp_path / "a.sqlite") == contents(tmp_path / "b.sqlite")


def test_no_byte_of_a_deleted_user_stays_in_the_files(tmp_path: Path) -> None:
    rows, x = people(0)
    path = tmp_path / "store.sqlite"
    users = sorted({row.user for row in rows})
    with PeerIndex.open(path, E) as index:
        for start in range(0, len(rows), 50):
            index.add(rows[start : start + 50], x[start : start + 50])
        gone = users[::3]
        index.add([review(user, rows[0].item, text=f"{user} again") for user in gone], vectors(len(gone), 5))
        secrets = [user.encode() for user in gone]
        secrets += [x[at].numpy().tobytes() for at, row in enumerate(rows) if row.user in gone]
        assert secrets[0] in bytes_of(path)
        for user in gone:
            index.delete_user(user)
        index.rewrite()
        left = bytes_of(path)
        assert [secret for secret in secrets if secret in left] == []
        assert users[1].encode() in left
        assert {past.review.user for past in index.history(users[1])} == {users[1]}


def test_deletion_alone_overwrites_texts_and_empties_the_log(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with PeerIndex.open(path, E) as index:
        index.add([review("a", "i", text="nobody may read this"), review("b", "i")], vectors(2))
        index.delete("Music", "a", "i")
        assert (tmp_path / "store.sqlite-wal").stat().st_size == 0
        assert b"nobody may read this" not in bytes_of(path)
        assert vectors(2)[0].numpy().tobytes() not in bytes_of(path)
        assert not index.delete("Music", "a", "i")
