"""Past reviews that are too long are cut; they neither vanish nor take others with them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from dep.data.prompts.builder import PromptBuilder
from dep.data.prompts.chat_request import ChatRequest, review_lines
from dep.data.prompts.settings import PromptConfig
from dep.models.backbones.load import DEMO
from dep.types import Item, Prompt, Request, Review, Slot

LONG = "the story is slow but the music is great and " * 700  # more than 30,000 characters


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(DEMO)


def slots(*long: int, count: int = 8, description: str = "A book.") -> tuple[Slot, ...]:
    """Past reviews, newest first, each with its own number in text and vectors; those at `long` have a long text."""
    return tuple(
        Slot(
            Review("u", f"i{k}", f"number {k}, " + (LONG if k in long else "fine"), 4.0, "Fine", 0),
            Item(f"i{k}", f"item {k}", description), torch.full((3,), float(k)), torch.full((3,), 10.0 + k),
        )
        for k in range(count)
    )  # fmt: skip


def build(tokenizer: Any, *past: Slot, **fields: Any) -> Prompt:
    item = Item("t", "The Tower", "A plain book.")
    request = Request("Books/1", "Books", "u", item, 5.0, "A favorite", "I loved it.", past)
    return PromptBuilder(tokenizer, PromptConfig(**fields), ("his", "diff")).build(request)


@pytest.mark.parametrize("long", [(0,), (2,), (7,), (0, 2, 5)])
def test_a_review_of_30000_characters_is_cut_and_no_review_is_lost(tokenizer: Any, long: tuple[int, ...]) -> None:
    prompt = build(tokenizer, *slots(*long))
    assert (prompt.asked, prompt.kept) == (8, 8)
    assert len(prompt.ids) <= 2048


def test_each_block_has_the_text_and_the_vectors_of_one_review(tokenizer: Any) -> None:
    prompt = build(tokenizer, *slots(0, 2), max_input_tokens=1100)
    blocks = tokenizer.decode(prompt.ids).split("[Review Text]: number ")[1:]
    numbers = [int(block.split(",")[0]) for block in blocks]
    assert len(numbers) == prompt.kept
    assert [int(vector[0]) for vector in prompt.vectors["his"]] == numbers
    assert [int(vector[0]) - 10 for vector in prompt.vectors["diff"]] == numbers
    assert prompt.positions["his"] == numbers


@pytest.mark.parametrize("limit", [20, 100])
def test_a_text_is_cut_at_a_whole_word_to_the_number_of_tokens(tokenizer: Any, limit: int) -> None:
    text = tokenizer.decode(build(tokenizer, *slots(0, count=1), max_review_tokens=limit).ids)
    shown = text.split("[Review Text]: ")[1].split("\n")[0]
    words = f"number 0, {LONG}".split()
    assert shown.split() == words[: len(shown.split())]
    assert limit - 3 <= len(tokenizer.encode(shown)) <= limit


def test_without_a_limit_the_first_review_that_does_not_fit_ends_the_list(tokenizer: Any) -> None:
    assert build(tokenizer, *slots(2), max_review_tokens=None).kept == 2
    assert build(tokenizer, *slots(0), max_review_tokens=None).kept == 0


def test_the_newest_review_is_cut_further_where_the_prompt_has_less_room(tokenizer: Any) -> None:
    bare = len(build(tokenizer).ids)
    prompt = build(tokenizer, *slots(0, 1), max_input_tokens=bare + 110)
    assert prompt.kept == 1
    assert prompt.vectors["his"][0][0] == 0
    assert bare + 100 < len(prompt.ids) <= bare + 110


def test_a_review_that_cannot_fit_is_passed_over(tokenizer: Any) -> None:
    (whale,), (small,) = slots(count=1, description=LONG), slots(count=2)[1:]
    prompt = build(tokenizer, whale, small)
    assert (prompt.asked, prompt.kept, prompt.positions["his"]) == (2, 1, [1])


def test_a_question_about_long_reviews_keeps_all_of_them(tokenizer: Any) -> None:
    blocks = tuple(review_lines(k + 1, slot) for k, slot in enumerate(slots(0, 3)))
    ids = PromptBuilder(tokenizer, PromptConfig()).ask(ChatRequest("Who is it?", blocks=blocks))
    assert tokenizer.decode(ids).count("[Review Text]: number") == 8
