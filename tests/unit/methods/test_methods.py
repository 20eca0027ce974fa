"""Each method changes exactly its part of the prompt, soft prompt and requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from dep.data.prompts.chat_request import ChatRequest
from dep.data.prompts.requests import Requests
from dep.data.prompts.settings import PromptConfig
from dep.data.retrievers import Recency
from dep.data.vectors.store import Vectors
from dep.methods import METHODS
from dep.methods.base import ProfileContext, Step
from dep.methods.controls.rag_stranger import RAGStranger
from dep.methods.controls.shuffled import Shuffled, donors
from dep.methods.controls.zeroed import Zeroed
from dep.models.settings import BackboneConfig, SoftPromptConfig
from dep.types import Corpus, Example, Item, Review, UserHistory


def requests(users: int, lonely: frozenset[int] = frozenset()) -> Requests:
    """Each user has three past reviews and a target; rows in `lonely` have no peers. Vectors hold their row."""
    reviews = [Review(f"u{u}", f"i{u}{k}", f"text {u} {k}", 3.0, "t", k) for u in range(users) for k in range(4)]
    corpus = Corpus("Books", reviews, {r.item: Item(r.item, r.item) for r in reviews})
    rows = torch.arange(len(reviews), dtype=torch.float32)[:, None]
    peers = torch.tensor([0 if row in lonely else 2 for row in range(len(reviews))])
    vectors = Vectors(rows, rows + 1000, peers)
    examples = [Example("Books", "test", 4 * u + 3, (4 * u, 4 * u + 1, 4 * u + 2)) for u in range(users)]
    return Requests(examples, {"Books": corpus}, {"Books": vectors}, Recency(), 8)


def configured(kind: str) -> tuple[PromptConfig, SoftPromptConfig]:
    method = METHODS.build(METHODS.config_class(kind)())
    result: tuple[PromptConfig, SoftPromptConfig] = method.configure(PromptConfig(history=4), SoftPromptConfig())
    return result


def test_non_perso_has_no_past_reviews_and_no_soft_tokens() -> None:
    prompt, soft = configured("non_perso")
    assert prompt.history == 0
    assert soft.branches == []


def test_rag_has_the_history_as_text_and_no_soft_tokens() -> None:
    prompt, soft = configured("rag")
    assert (prompt.history, prompt.text, soft.branches) == (4, True, [])


def test_the_constant_prompt_differs_from_dep_only_in_its_adapter() -> None:
    (dep_prompt, dep_soft), (constant_prompt, constant_soft) = configured("dep"), configured("constant")
    assert dep_prompt == constant_prompt
    assert (dep_soft.adapter, constant_soft.adapter) == ("dep", "constant")
    assert dep_soft.branches == constant_soft.branches == ["his", "diff"]


def test_shuffled_is_trained_like_dep() -> None:
    assert configured("shuffled") == configured("dep")


def test_the_user_encoder_keeps_the_run_s_past_reviews_and_adds_its_soft_tokens() -> None:
    prompt, soft = configured("dep_user")
    assert (prompt.history, prompt.text, prompt.user_tokens) == (4, True, soft.dep_user.tokens)
    assert prompt.reads_user_history
    assert prompt.reads_differences
    assert (soft.adapter, soft.branches) == ("dep_user", ["user"])


@pytest.mark.parametrize("kind", ["dep_user", "user_llm", "pplug", "e2p", "lpm", "style_vector"])
def test_a_shuffled_method_is_trained_like_that_method_and_gets_the_donor_s_past_with_its_own_request(
    kind: str,
) -> None:
    method = Shuffled(Shuffled.Config(of=kind))
    trained = METHODS.build(METHODS.config_class(kind)())
    assert method.configure(PromptConfig(), SoftPromptConfig()) == trained.configure(PromptConfig(), SoftPromptConfig())
    assert method.pretrains == trained.pretrains

    def past(example: Example) -> UserHistory:
        mark, rows = torch.tensor([float(example.row)]), torch.tensor(example.profile).float()
        return UserHistory(
            rows[:, None], rows[:, None] + 1, rows + 2, rows + 3, example.row, mark, rows[:, None] + 4, rows + 5,
            float(example.row), mark + 6, example.row + 7,
        )  # fmt: skip

    plain = requests(4)
    plain.user_history = past
    for before, after, donor in zip(plain, method.transform_test_requests(plain, 0), donors(plain, 0), strict=True):
        own, got, theirs = before.user_history, after.user_history, plain[donor].user_history
        for name in ("his", "item", "rating", "days", "diff", "peers"):
            assert torch.equal(getattr(got, name), getattr(theirs, name))
            assert not torch.equal(getattr(got, name), getattr(own, name))
        for name in ("category", "query", "asked_rating", "item_peers", "item_peer_count"):
            assert getattr(got, name) == getattr(own, name)
        assert [slot.review for slot in after.slots] == [slot.review for slot in before.slots]


def test_a_shuffled_style_vector_is_not_trained_and_reads_activations() -> None:
    control = Shuffled(Shuffled.Config(of="style_vector"))
    assert (control.trains, control.reads_activations) == (False, True)


def test_a_method_without_vectors_cannot_be_shuffled() -> None:
    with pytest.raises(ValueError, match=r"method\.of=rag.*neither"):
        Shuffled(Shuffled.Config(of="rag"))


def test_e2p_keeps_the_run_s_past_reviews_and_has_one_soft_token_for_the_user() -> None:
    prompt, soft = configured("e2p")
    assert (prompt.history, prompt.text, prompt.reads_user_history, prompt.user_tokens) == (4, True, True, 1)
    assert (soft.adapter, soft.branches) == ("e2p", ["user"])


def test_lpm_keeps_the_run_s_past_reviews_and_has_several_soft_tokens_for_the_user() -> None:
    prompt, soft = configured("lpm")
    assert (prompt.history, prompt.text, prompt.reads_user_history) == (4, True, True)
    assert prompt.user_tokens == soft.lpm.tokens
    assert (soft.adapter, soft.branches) == ("lpm", ["user"])


def test_style_vector_has_non_perso_s_prompt_and_no_soft_tokens() -> None:
    prompt, soft = configured("style_vector")
    assert (prompt.history, prompt.reads_user_history, prompt.user_tokens) == (0, True, 0)
    assert (soft.adapter, soft.branches) == ("style_vector", [])


@pytest.mark.parametrize("seed", range(5))
def test_nobody_is_their_own_donor_and_everybody_donates_once(seed: int) -> None:
    chosen = donors(requests(7), seed)
    assert sorted(chosen) == list(range(7))
    assert all(donor != at for at, donor in enumerate(chosen))
    assert chosen == donors(requests(7), seed)


def test_a_shuffled_request_keeps_its_text_and_gets_only_the_donor_s_vectors() -> None:
    plain = requests(5)
    swapped = Shuffled(Shuffled.Config()).transform_test_requests(plain, 0)
    for before, after, donor in zip(plain, swapped, donors(plain, 0), strict=True):
        assert [s.review for s in after.slots] == [s.review for s in before.slots]
        assert [s.his.item() for s in after.slots] == [4 * donor + k for k in (2, 1, 0)]  # type: ignore[union-attr]
        assert [s.diff.item() for s in after.slots] == [1000 + 4 * donor + k for k in (2, 1, 0)]  # type: ignore[union-attr]


def test_a_shuffled_request_has_differences_exactly_where_the_plain_one_has() -> None:
    plain = requests(4, lonely=frozenset({0, 6}))
    for before, after in zip(plain, Shuffled(Shuffled.Config()).transform_test_requests(plain, 3), strict=True):
        assert [s.diff is None for s in after.slots] == [s.diff is None for s in before.slots]


@pytest.mark.parametrize("branch", ["his", "diff"])
def test_a_zeroed_branch_is_zero_and_the_other_is_unchanged(branch: str) -> None:
    plain = requests(4, lonely=frozenset({0}))
    other = "diff" if branch == "his" else "his"
    zeroed = Zeroed(Zeroed.Config(branch=branch)).transform_test_requests(plain, 0)
    for before, after in zip(plain, zeroed, strict=True):
        for old, new in zip(before.slots, after.slots, strict=True):
            assert getattr(new, other) == getattr(old, other)
            assert (getattr(new, branch) is None) == (getattr(old, branch) is None)
            assert getattr(new, branch) is None or getattr(new, branch).abs().sum() == 0
    assert configured("zeroed") == configured("dep")


def test_a_donor_has_not_reviewed_the_requested_item_where_anybody_has_not() -> None:
    plain = requests(6)
    books = plain.corpora["Books"].reviews
    target = books[plain.examples[0].row].item
    usual = donors(plain, 0)[0]
    peer = plain.examples[usual].profile[0]
    books[peer] = replace(books[peer], item=target)
    assert donors(plain, 0)[0] not in {0, usual}
    for example in plain.examples[1:]:
        books[example.profile[0]] = replace(books[example.profile[0]], item=target)
    assert donors(plain, 0)[0] == usual


def test_a_donor_fits_where_anybody_does() -> None:
    plain = requests(6)
    chosen = donors(plain, 0, lambda example, donor: donor.row < 8)
    assert {chosen[at] for at in range(2, 6)} <= {0, 1}
    assert chosen[:2] == [1, 0]
    assert donors(plain, 0, lambda example, donor: False) == donors(plain, 0)


def test_rag_with_a_strangers_reviews_has_as_many_texts_all_of_one_other_user() -> None:
    plain = requests(5)
    for before, after in zip(plain, stranger().transform_test_requests(plain, 0), strict=True):
        writers = {slot.review.user for slot in after.slots}
        assert len(writers - {before.user}) == len(writers) == 1
        assert len(after.slots) == len(before.slots) == 3
        assert replace(after, slots=()) == replace(before, slots=())
    assert configured("rag_stranger") == configured("rag")


def test_a_stranger_who_reviewed_the_item_or_has_fewer_reviews_gives_nothing_where_others_can() -> None:
    plain = requests(4)
    target = plain.corpora["Books"].reviews[3]
    for user in (1, 2):  # both have reviewed the first user's item, the one early and the other with a short past
        plain.corpora["Books"].reviews[4 * user] = replace(target, user=f"u{user}")
    plain.examples = [replace(e, profile=e.profile[: 2 if at == 2 else 3]) for at, e in enumerate(plain.examples)]
    for seed in range(5):
        changed = stranger().transform_test_requests(plain, seed)
        assert {slot.review.user for slot in changed[0].slots} == {"u3"}
        assert len(changed[2].slots) == 2


def stranger() -> RAGStranger:
    return RAGStranger(RAGStranger.Config())


def test_one_user_alone_has_no_donor() -> None:
    with pytest.raises(ValueError, match="two users"):
        donors(requests(1), 0)


def written(
    kind: str, peers: dict[str, list[str]] | None = None
) -> tuple[Requests, list[list[Step]], list[list[ChatRequest]]]:
    """Requests, steps and rounds of questions of a method; the answers name the round and the question's index."""
    rounds: list[list[ChatRequest]] = []

    def answer(questions: Sequence[ChatRequest]) -> list[str]:
        rounds.append(list(questions))
        return [f"round {len(rounds)} answer {at}" for at in range(len(questions))]

    both = requests(2)
    method = METHODS.build(METHODS.config_class(kind)())
    look = None if peers is None else lambda category, slot, count, seed: peers.get(slot.item.item, [])[:count]
    return both, method.write(both, ProfileContext(answer, "taught", look)), rounds


def test_pag_asks_for_a_profile_from_the_reviews_in_the_prompt() -> None:
    prompt, soft = configured("pag")
    assert prompt.profile
    assert (prompt.history, soft.branches) == (4, [])
    asked, steps, rounds = written("pag")
    assert [len(questions) for questions in rounds] == [2]
    assert [own_steps[-1].answer for own_steps in steps] == ["round 1 answer 0", "round 1 answer 1"]
    for request, (step,) in zip(asked, steps, strict=True):
        for slot in request.slots:
            assert f"[Review Text]: {slot.review.text}\n" in step.question.text
        assert request.text not in step.question.text


def test_dpl_asks_for_differences_from_peers_and_then_for_a_profile_from_them() -> None:
    peers = {"i01": ["peer one", "peer two"], "i02": [f"peer {n}" for n in range(9)], "i10": ["peer of the other"]}
    asked, steps, rounds = written("dpl", peers)
    assert [len(questions) for questions in rounds] == [3, 2]
    first, second = steps
    assert [step.answer for step in first] == ["round 1 answer 0", "round 1 answer 1", "round 2 answer 0"]
    assert [step.answer for step in second] == ["round 1 answer 2", "round 2 answer 1"]
    newest = first[0].question.text
    assert "[User's Review]: text 0 2\n[Other Review 1]: peer 0\n" in newest
    assert "[Other Review 4]" in newest
    assert "[Other Review 5]" not in newest
    summary = first[-1].question.text
    assert "[Review Text]: text 0 2\n[Difference from Other Reviews]: round 1 answer 0\n[Review 2]" in summary
    assert summary.rstrip().endswith("[Review Text]: text 0 0")
    for request, own_steps in zip(asked, steps, strict=True):
        assert not any(request.text in step.question.text for step in own_steps)


@pytest.mark.parametrize("kind", ["pag", "dpl"])
def test_a_method_writes_as_many_texts_as_calls_says(kind: str) -> None:
    everything = {f"i{user}{item}": ["one peer"] for user in range(2) for item in range(9)}
    asked, steps, _ = written(kind, everything)
    for request, own_steps in zip(asked, steps, strict=True):
        assert len(own_steps) == METHODS.build(METHODS.config_class(kind)()).calls(len(request.slots))


def test_a_profile_stands_in_the_prompt_and_in_the_system_text() -> None:
    from dep.data.prompts.builder import PromptBuilder
    from dep.data.prompts.template import system_text
    from dep.models.backbones.load import load

    _, tokenizer = load(BackboneConfig())
    prompt, _ = configured("pag")
    request = replace(requests(1)[0], profile="Speaks of brass.")
    text = tokenizer.decode(PromptBuilder(tokenizer, prompt).build(request).ids)
    assert "[User Profile]: Speaks of brass.\n[User's Past Reviews]:" in text
    assert "along with the user's profile and past reviews (" in system_text(prompt, [])
    assert "profile" not in system_text(PromptConfig(), [])
