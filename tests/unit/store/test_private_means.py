"""Differentially private peer means: size of the noise, when it is drawn again, and what is spent."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from dep.store.peer_index import PeerIndex
from dep.store.settings import PeerSettings
from dep.utils.errors import DepError

from .conftest import E, review, vectors

PRIVATE = PeerSettings(noise=2.0, clip=0.5, refresh=0.25)


@pytest.fixture
def index(tmp_path: Path) -> PeerIndex:
    """A store of 40 users with a review of each of 30 items."""
    index = PeerIndex.open(tmp_path / "store.sqlite", E, PRIVATE)
    rows = [review(f"u{user}", f"i{item}", item) for user in range(40) for item in range(30)]
    index.add(rows, vectors(len(rows)))
    return index


def test_noise_has_the_size_that_one_review_can_hide_in(index: PeerIndex) -> None:
    x = vectors(1200).view(40, 30, E).double()
    errors, counts = [], []
    for item in range(30):
        mean, count = index.peer_mean("Music", f"i{item}")
        true = 0.5 * x[:, item].sum(0)  # the vectors have length 1 and are clipped to 0.5
        errors.append(mean.double() * count - true)
        counts.append(count - 40.0)
    deviation = torch.stack(errors).std().item()
    assert 1.15 < deviation / (math.sqrt(2) * 0.5) < 3.0  # 2.0 but for the rounded count
    assert 1.8 < torch.tensor(counts).std().item() < 4.2  # 2.83


def test_reading_again_gives_the_same_release_and_the_reader_s_own_review_is_subtracted(index: PeerIndex) -> None:
    whole, count = index.peer_mean("Music", "i0")
    assert torch.equal(index.peer_mean("Music", "i0")[0], whole)
    without, fewer = index.peer_mean("Music", "i0", without="u3")
    assert fewer == count - 1
    own = vectors(1200)[3 * 30]
    past = next(past for past in index.history("u3", newest=99) if past.review.item == "i0")
    assert torch.allclose(past.diff, own - without, atol=1e-6)
    assert index._db.execute("SELECT times FROM release WHERE item = 1").fetchone() == (1,)


def test_a_release_is_drawn_again_after_enough_new_reviews_and_after_any_deletion(index: PeerIndex) -> None:
    first, _ = index.peer_mean("Music", "i0")
    index.add([review(f"new{n}", "i0") for n in range(10)], vectors(10))
    assert torch.equal(index.peer_mean("Music", "i0")[0], first)
    assert torch.equal(index.peer_mean("Music", "i0", without="new1")[0], first)  # which is in no release yet
    index.add([review("one more", "i0")], vectors(1))
    second, _ = index.peer_mean("Music", "i0")
    assert not torch.equal(second, first)
    index.delete("Music", "u1", "i0")
    third, _ = index.peer_mean("Music", "i0")
    assert not torch.equal(third, second)
    index.add([review("u2", "i0", text="other words")], vectors(1, 7))
    assert not torch.equal(index.peer_mean("Music", "i0")[0], third)


def test_epsilon_is_that_of_the_gaussian_mechanism_and_outlives_a_deleted_user(index: PeerIndex) -> None:
    pytest.importorskip("opacus")
    assert index.epsilon() == 0
    index.history("u0", newest=4)
    four = index.epsilon()
    orders = [1 + x / 10.0 for x in range(1, 100)] + list(range(12, 64))
    bound = min(4 * a / (2 * 2.0**2) + math.log((a - 1) / a) - (math.log(1e-6) + math.log(a)) / (a - 1) for a in orders)
    assert four == pytest.approx(bound, rel=1e-3)
    index.delete_user("u0")
    assert index.epsilon() == four
    index.history("u5", newest=4)  # the deletion made four new releases necessary
    assert index.epsilon() > four
    spent = index.epsilon()
    for user in range(1, 40):
        index.delete_user(f"u{user}")
    assert len(index) == 0
    assert index.epsilon() == spent


def test_private_means_refuse_a_time(index: PeerIndex) -> None:
    with pytest.raises(DepError, match="before: expected no time with private peer means"):
        index.history("u0", before=9)
