"""Prompts whose soft tokens stand after the past reviews, and where keys and values may be kept."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from dep.data.prompts.builder import PromptBuilder
from dep.data.prompts.cuts import cut_positions
from dep.data.prompts.settings import PromptConfig
from dep.data.prompts.template import system_text
from dep.models.backbones.load import DEMO
from dep.types import SLOT_TOKENS, SPECIAL_TOKENS, Item, Prompt, Request, Review, Slot, UserHistory

PAST = """[Item Title]: The Tower
[Item Description]: A plain book.
[User's Past Reviews]:
[Review 1]:
[Item Title]: Newest
[Item Description]: About newest.
[Review Rating]: 4.0
[Review Title]: Fine
[Review Text]: I liked newest.
[Review 2]:
[Item Title]: Older
[Item Description]: About older.
[Review Rating]: 4.0
[Review Title]: Fine
[Review Text]: I liked older.
"""
LATE = """[Review Embeddings and Differences]:
<his_token_start><his_slot><his_token_end><diff_token_start><diff_slot><diff_token_end>
<his_token_start><his_slot><his_token_end>
"""
OUTPUT = """[Output Review Rating]: 5.0
[Output Review Title]: A favorite
"""


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(DEMO)


def slot(name: str, diff: float | None = 2.0, text: str | None = None) -> Slot:
    review = Review("u", name, text or f"I liked {name}.", 4.0, "Fine", 0)
    vector = None if diff is None else torch.full((3,), diff)
    return Slot(review, Item(name, name.capitalize(), f"About {name}."), torch.full((3,), 1.0), vector)


def request(*slots: Slot, **fields: Any) -> Request:
    item = Item("t", "The Tower", "A plain book.")
    return Request("Books/1", "Books", "u", item, 5.0, "A favorite", "I loved it.", slots, **fields)


def build(tokenizer: Any, asked: Request, branches: tuple[str, ...] = ("his", "diff"), **fields: Any) -> Prompt:
    config = PromptConfig(slots="late", **fields)
    return PromptBuilder(tokenizer, config, branches, keeps_prefixes=True).build(asked)  # type: ignore[arg-type]


def user_text(tokenizer: Any, prompt: Prompt) -> str:
    return str(tokenizer.decode(prompt.ids)).partition("<|im_start|>user\n")[2].partition("<|im_end|>")[0]


def test_soft_tokens_stand_after_all_texts_and_before_the_output(tokenizer: Any) -> None:
    prompt = build(tokenizer, request(slot("newest"), slot("older", diff=None)), guidance=False)
    assert user_text(tokenizer, prompt) == PAST + LATE + OUTPUT
    assert [float(v[0]) for v in prompt.vectors["diff"]] == [2.0]
    assert prompt.positions == {"his": [0, 1], "diff": [0]}


@pytest.mark.parametrize("slots", ["late", "inline"])
def test_several_soft_tokens_of_a_vector_stand_side_by_side_between_its_boundary_tokens(
    tokenizer: Any, slots: str
) -> None:
    asked, config = request(slot("newest"), slot("older", diff=None)), PromptConfig(slots=slots)  # type: ignore[arg-type]
    one, three = (PromptBuilder(tokenizer, config, ("his", "diff"), tokens=n).build(asked) for n in (1, 3))
    placeholders = set(tokenizer.convert_tokens_to_ids(list(SLOT_TOKENS.values())))
    assert three.ids == [i for i in one.ids for _ in range(3 if i in placeholders else 1)]
    assert three.positions == one.positions == {"his": [0, 1], "diff": [0]}
    assert {branch: len(vectors) for branch, vectors in three.vectors.items()} == {"his": 2, "diff": 1}


def test_a_cut_never_leaves_a_part_of_a_vector_s_slots(tokenizer: Any) -> None:
    asked = request(slot("newest"), slot("older"))
    his, diff = (tokenizer.convert_tokens_to_ids(SLOT_TOKENS[branch]) for branch in ("his", "diff"))
    whole = PromptBuilder(tokenizer, PromptConfig(), ("his", "diff"), tokens=3).build(asked)
    for longest in range(whole.ids.index(his) - 1, len(whole.ids)):
        config = PromptConfig(overflow="cut", max_input_tokens=longest, max_review_tokens=None)
        cut = PromptBuilder(tokenizer, config, ("his", "diff"), tokens=3).build(asked)
        assert cut.ids.count(his) == 3 * len(cut.vectors.get("his", []))
        assert cut.ids.count(diff) == 3 * len(cut.vectors.get("diff", []))


def test_guidance_stands_beside_the_soft_tokens_and_not_in_the_system_text(tokenizer: Any) -> None:
    asked = request(slot("newest"), slot("older", diff=None))
    note, without = (user_text(tokenizer, build(tokenizer, asked, guidance=on)) for on in (True, False))
    assert "soft prompt of the review text" in note
    assert note.startswith(PAST)
    assert note.endswith(LATE + OUTPUT)
    assert len(note) > len(without)
    config = PromptConfig(slots="late")
    assert system_text(config, ("his", "diff")) == system_text(PromptConfig(), ())


def test_all_arms_share_the_ids_before_the_soft_tokens(tokenizer: Any) -> None:
    asked = request(slot("newest"), slot("older"))
    beginnings = {
        tuple(prompt.ids[: prompt.cuts[1]])
        for branches in (("his", "diff"), ("his",), ("diff",), ())
        if (prompt := build(tokenizer, asked, branches))
    }
    ((ids),) = beginnings
    assert str(tokenizer.decode(list(ids))).endswith(PAST)


def test_the_last_cut_is_the_first_soft_token(tokenizer: Any) -> None:
    special = {tokenizer.convert_tokens_to_ids(token) for token in SPECIAL_TOKENS}
    prompt = build(tokenizer, request(slot("newest"), slot("older")))
    assert prompt.ids[prompt.cuts[-1]] in special
    assert not special & set(prompt.ids[: prompt.cuts[-1]])
    inline = PromptBuilder(tokenizer, PromptConfig(), ("his",), keeps_prefixes=True).build(request(slot("newest")))
    assert inline.ids[inline.cuts[-1]] in special
    assert not special & set(inline.ids[: inline.cuts[-1]])


def test_a_user_embedding_stands_late_too(tokenizer: Any) -> None:
    vectors = torch.zeros(2, 3)
    numbers = torch.zeros(2)
    history = UserHistory(vectors, vectors, numbers, numbers, 0, vectors[0])
    asked = request(user_history=history)
    prompt = build(tokenizer, asked, ("user",), history=0, reads_user_history=True, user_tokens=2)
    text = user_text(tokenizer, prompt)
    slots = SLOT_TOKENS["user"] * 2
    assert text.endswith(f"[User Embedding]:\n<his_token_start>{slots}<his_token_end>\n{OUTPUT}")
    assert text.startswith("[Item Title]: The Tower\n")


def test_a_late_prompt_keeps_its_limit_and_drops_text_and_soft_tokens_together(tokenizer: Any) -> None:
    slots = [slot(f"thing{n}", text="a word or two " * 9) for n in range(6)]
    whole = build(tokenizer, request(*slots))
    for limit in range(len(whole.ids) - 1, 200, -17):
        prompt = build(tokenizer, request(*slots), max_input_tokens=limit, max_review_tokens=None)
        assert len(prompt.ids) <= limit
        assert len(prompt.vectors.get("his", [])) == prompt.kept
        assert user_text(tokenizer, prompt).count("[Review Text]") == prompt.kept


def test_cuts_end_where_a_merge_begins_and_never_behind_a_soft_token() -> None:
    assert cut_positions([1, 2, 3, 4, 5], [[1, 2], [1, 2, 9, 9]], {4}) == (2, 3)
    assert cut_positions([1, 2, 3, 4, 5], [[1, 2], [1, 2, 3, 4, 5]], ()) == (2, 4)
    assert cut_positions([4, 2, 3], [[4, 2]], {4}) == ()
