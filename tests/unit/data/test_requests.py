from __future__ import annotations

import pytest
import torch

from dep.data.prompts.requests import Requests
from dep.data.retrievers import Recency
from dep.data.vectors.store import Vectors
from dep.types import Corpus, Example, Item, Review

ITEMS = {f"i{n}": Item(f"i{n}", f"item {n}", f"about {n}") for n in range(4)}
CORPUS = Corpus("Books", [Review("u", f"i{n}", f"text {n}", 5.0 - n, f"title {n}", n) for n in range(4)], ITEMS)
EXAMPLE = Example("Books", "test", 3, (0, 1, 2))
VECTORS = Vectors(torch.eye(4), torch.eye(4) * 2, torch.tensor([1, 0, 3, 2]))


def test_a_request_holds_the_target_and_the_newest_reviews_first() -> None:
    request = Requests([EXAMPLE], {"Books": CORPUS}, {"Books": VECTORS}, Recency(), 2)[0]
    assert (request.key, request.user, request.item, request.title) == (
        "Books/3",
        "u",
        ITEMS["i3"],
        "title 3",
    )
    assert (request.rating, request.text) == (2.0, "text 3")
    assert [(slot.review.text, slot.item.title) for slot in request.slots] == [
        ("text 2", "item 2"),
        ("text 1", "item 1"),
    ]


def test_an_item_without_peers_gives_a_slot_without_a_difference() -> None:
    newest, middle, oldest = Requests([EXAMPLE], {"Books": CORPUS}, {"Books": VECTORS}, Recency(), 8)[0].slots
    assert middle.diff is None
    assert middle.his is not None
    for slot, row in ((newest, 2), (middle, 1), (oldest, 0)):
        assert slot.his is not None
        assert slot.his.tolist() == torch.eye(4)[row].tolist(), "the vectors of the slot's own review"
    assert newest.diff is not None
    assert newest.diff.tolist() == [0, 0, 2, 0]


def test_with_peers_pairs_texts_with_the_vectors_of_reviews_that_have_peers_as_the_authors_code_does() -> None:
    slots = Requests([EXAMPLE], {"Books": CORPUS}, {"Books": VECTORS}, Recency(), 2, "with_peers")[0].slots
    assert [slot.review.text for slot in slots] == ["text 2", "text 1"]
    assert [slot.his.tolist() for slot in slots if slot.his is not None] == torch.eye(4)[[2, 0]].tolist()
    *_, last = Requests([EXAMPLE], {"Books": CORPUS}, {"Books": VECTORS}, Recency(), 8, "with_peers")[0].slots
    assert (last.review.text, last.his, last.diff) == ("text 0", None, None), "no third review has peers"


def test_without_vectors_slots_hold_text_only() -> None:
    slots = Requests([EXAMPLE], {"Books": CORPUS}, None, Recency(), 8)[0].slots
    assert [(slot.his, slot.diff) for slot in slots] == [(None, None)] * 3


def test_requests_are_a_sequence_whose_items_are_built_when_indexed() -> None:
    requests = Requests([EXAMPLE, Example("Books", "val", 2, (0,))], {"Books": CORPUS}, None, Recency(), 8)
    assert len(requests) == 2
    assert [r.key for r in requests] == ["Books/3", "Books/2"]
    assert [r.key for r in requests[1:]] == ["Books/2"]
    assert requests[0] is not requests[0]


def test_vectors_of_another_corpus_are_refused() -> None:
    short = Vectors(torch.eye(3), torch.eye(3), torch.ones(3, dtype=torch.int64))
    with pytest.raises(ValueError, match="vectors of 4 reviews, found 3"):
        Requests([EXAMPLE], {"Books": CORPUS}, {"Books": short}, Recency(), 8)
    with pytest.raises(ValueError, match="vectors of 4 reviews, found none"):
        Requests([EXAMPLE], {"Books": CORPUS}, {}, Recency(), 8)
    with pytest.raises(ValueError, match="examples of 'Books': expected the corpus of their category"):
        Requests([EXAMPLE], {}, None, Recency(), 8)
