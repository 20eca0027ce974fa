"""What each system changes, and nothing else."""

from __future__ import annotations

import pytest
import torch

from dep.data.cache import Vectors
from dep.data.prompt import PromptConfig
from dep.data.requests import Requests
from dep.data.retrieve import Recency
from dep.methods import METHODS
from dep.methods.shuffled import Shuffled, donors
from dep.methods.zeroed import Zeroed
from dep.model.soft_prompt import SoftPrompt
from dep.records import Corpus, Example, Item, Review


def requests(users: int, lonely: frozenset[int] = frozenset()) -> Requests:
    """Each user has three past reviews and a target; rows in `lonely` have no peers. Vectors hold their row."""
    reviews = [Review(f"u{u}", f"i{u}{k}", f"text {u} {k}", 3.0, "t", k) for u in range(users) for k in range(4)]
    corpus = Corpus("Books", reviews, {r.item: Item(r.item, r.item) for r in reviews})
    rows = torch.arange(len(reviews), dtype=torch.float32)[:, None]
    peers = torch.tensor([0 if row in lonely else 2 for row in range(len(reviews))])
    vectors = Vectors(rows, rows + 1000, peers)
    examples = [Example("Books", "test", 4 * u + 3, (4 * u, 4 * u + 1, 4 * u + 2)) for u in range(users)]
    return Requests(examples, {"Books": corpus}, {"Books": vectors}, Recency(), 8)


def shape(kind: str) -> tuple[PromptConfig, SoftPrompt.Config]:
    method = METHODS[kind](METHODS[kind].Config())
    found: tuple[PromptConfig, SoftPrompt.Config] = method.shape(PromptConfig(history=4), SoftPrompt.Config())
    return found


def test_non_perso_sees_nothing_of_the_user() -> None:
    prompt, soft = shape("non_perso")
    assert prompt.history == 0
    assert soft.branches == []


def test_rag_has_the_history_as_text_and_no_soft_tokens() -> None:
    prompt, soft = shape("rag")
    assert (prompt.history, prompt.text, soft.branches) == (4, True, [])


def test_the_constant_prompt_and_dep_differ_in_where_soft_tokens_come_from_alone() -> None:
    (dep_prompt, dep_soft), (constant_prompt, constant_soft) = shape("dep"), shape("constant")
    assert dep_prompt == constant_prompt
    assert (dep_soft.source, constant_soft.source) == ("user", "constant")
    assert dep_soft.branches == constant_soft.branches == ["his", "diff"]


def test_shuffled_is_trained_as_dep_is() -> None:
    assert shape("shuffled") == shape("dep")


@pytest.mark.parametrize("seed", range(5))
def test_nobody_is_their_own_donor_and_everybody_donates_once(seed: int) -> None:
    found = donors(requests(7), seed)
    assert sorted(found) == list(range(7))
    assert all(donor != at for at, donor in enumerate(found))
    assert found == donors(requests(7), seed)


def test_a_shuffled_request_keeps_its_text_and_has_only_the_donors_vectors() -> None:
    plain = requests(5)
    swapped = Shuffled(Shuffled.Config()).at_test(plain, 0)
    for before, after, donor in zip(plain, swapped, donors(plain, 0), strict=True):
        assert [s.review for s in after.slots] == [s.review for s in before.slots]
        assert [s.his.item() for s in after.slots] == [4 * donor + k for k in (2, 1, 0)]  # type: ignore[union-attr]
        assert [s.diff.item() for s in after.slots] == [1000 + 4 * donor + k for k in (2, 1, 0)]  # type: ignore[union-attr]


def test_a_shuffled_request_has_differences_exactly_where_the_plain_one_has() -> None:
    plain = requests(4, lonely=frozenset({0, 6}))
    for before, after in zip(plain, Shuffled(Shuffled.Config()).at_test(plain, 3), strict=True):
        assert [s.diff is None for s in after.slots] == [s.diff is None for s in before.slots]


@pytest.mark.parametrize("branch", ["his", "diff"])
def test_a_zeroed_branch_is_silent_and_the_other_speaks(branch: str) -> None:
    plain = requests(4, lonely=frozenset({0}))
    other = "diff" if branch == "his" else "his"
    for before, after in zip(plain, Zeroed(Zeroed.Config(branch)).at_test(plain, 0), strict=True):
        for old, new in zip(before.slots, after.slots, strict=True):
            assert getattr(new, other) == getattr(old, other)
            assert (getattr(new, branch) is None) == (getattr(old, branch) is None)
            assert getattr(new, branch) is None or getattr(new, branch).abs().sum() == 0
    assert shape("zeroed") == shape("dep")


def test_one_user_alone_has_no_donor() -> None:
    with pytest.raises(ValueError, match="two users"):
        donors(requests(1), 0)
