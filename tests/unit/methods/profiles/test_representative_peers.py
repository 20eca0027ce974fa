"""DPL's choice of peers, on known clusters."""

from __future__ import annotations

import pytest
import torch

from dep.data.vectors.store import Vectors
from dep.methods.profiles.representative_peers import Peers, representatives
from dep.types import Corpus, Item, Review, Slot

CENTRES = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0], [20.0, 20.0]])
OFFSETS = torch.tensor([[0.1, 0.0], [0.5, 0.5], [-0.6, 0.3]])
PEERS = (CENTRES[:, None] + OFFSETS).reshape(-1, 2)
"""Three peers around each of five centres; the first of each lies nearest to their mean."""


def test_one_peer_is_chosen_from_each_cluster_except_the_user_s_own() -> None:
    nearest = [
        3 * c + int(torch.linalg.norm(PEERS[3 * c : 3 * c + 3] - PEERS[3 * c : 3 * c + 3].mean(0), dim=1).argmin())
        for c in range(5)
    ]
    for own in range(5):
        chosen = representatives(CENTRES[own] + 0.2, PEERS, 4)
        assert chosen == [nearest[c] for c in range(5) if c != own]


def test_with_few_peers_all_are_chosen_and_the_choice_is_reproducible() -> None:
    assert representatives(torch.zeros(2), PEERS[:4], 4) == [0, 1, 2, 3]
    assert representatives(torch.zeros(2), PEERS[:0], 4) == []
    assert representatives(torch.zeros(2), PEERS, 2, seed=3) == representatives(torch.zeros(2), PEERS, 2, seed=3)


@pytest.mark.filterwarnings("error")
def test_equal_reviews_are_chosen_once_and_without_a_warning() -> None:
    equal = torch.cat([torch.zeros(5, 2), torch.ones(1, 2)])
    assert representatives(torch.zeros(2), equal, 4) in ([0, 5], [5])


def test_peers_are_other_users_reviews_of_the_same_item_in_the_pool() -> None:
    written = [("me", "a", 0), ("x", "a", 1), ("y", "a", 2), ("me", "a", 3), ("x", "b", 4), ("z", "a", 5)]
    reviews = [Review(user, item, f"{user} on {item} at {time}", 3.0, "", time) for user, item, time in written]
    corpus = Corpus("Books", reviews, {i: Item(i, i) for i in "ab"})
    his = torch.eye(6)
    pool = torch.tensor([True, True, True, True, True, False])
    peers = Peers({"Books": corpus}, {"Books": Vectors(his, his, torch.zeros(6))}, {"Books": pool})
    assert peers("Books", Slot(reviews[0], corpus.items["a"]), 4, 0) == ["x on a at 1", "y on a at 2"]
    assert peers("Books", Slot(reviews[4], corpus.items["b"]), 4, 0) == []
