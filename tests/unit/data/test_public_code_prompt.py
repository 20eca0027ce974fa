"""The prompt of the authors' code, written out here from its description, and Figure 6's list markers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from dep.data.prompts.builder import PromptBuilder
from dep.data.prompts.settings import PromptConfig
from dep.models.backbones.load import DEMO
from dep.types import Item, Request, Review, Slot

SYSTEM = (
    "Given the title and description of an item, along with the user's past reviews (including item title, item "
    "description, review rating, review title, review text, review embedding, review difference embedding), and the "
    "output review rating and review title, generate a personalized item review for the user.\n"
    "Note: [Review Embedding] denotes a soft prompt of the review text and [Review Difference Embedding] denotes a "
    "soft prompt showing the difference between the review text and other reviews on the same item. [Review Embedding] "
    "and [Review Difference Embedding] should serve as hints for personalized review text generation.\n"
)
CODE: dict[str, Any] = {
    "chat": "public_code",
    "list_markers": "indented",
    "embedding_line": "same",
    "strip_fields": False,
    "overflow": "cut",
    "close_cut_targets": True,
    "max_review_tokens": None,
}


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(DEMO)


def slot(k: int) -> Slot:
    review = Review("u", f"i{k}", f"I liked number {k}. ", 4.0, f"Fine {k}", 0)
    return Slot(review, Item(f"i{k}", f"Item {k}", f"About {k}."), torch.full((3,), float(k)), torch.full((3,), -1.0))


def request(slots: int, text: str = " I loved it.\n") -> Request:
    past = tuple(slot(k) for k in range(slots))
    return Request("Books/1", "Books", "u", Item("t", "The Tower ", "A book."), 5.0, "A favorite", text, past)


def code_text(slots: int) -> str:
    """The whole prompt as the code assembles it, for as many reviews as are kept."""
    blocks = "".join(
        f"- [Review {k + 1}]:\n"
        f"  - [Item Title]: Item {k}\n"
        f"  - [Item Description]: About {k}.\n"
        f"  - [Review Rating]: 4.0\n"
        f"  - [Review Title]: Fine {k}\n"
        f"  - [Review Text]: I liked number {k}. \n"
        "  - [Review Embedding]: <his_token_start><his_slot><his_token_end>\n"
        "  - [Review Difference Embedding]: <diff_token_start><diff_slot><diff_token_end>\n"
        for k in range(slots)
    )
    user = (
        "[Item Title]: The Tower \n"
        "[Item Description]: A book.\n"
        f"[User's Past Reviews]:\n{blocks}"
        "[Output Review Rating]: 5.0\n"
        "[Output Review Title]: A favorite\n"
    )
    return f"<|im_start|>system\n{SYSTEM}<|im_end|><|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n"


def build(tokenizer: Any, asked: Request, **fields: Any) -> Any:
    return PromptBuilder(tokenizer, PromptConfig(**(CODE | fields)), ("his", "diff")).build(asked)


def test_the_prompt_is_the_codes_to_the_letter(tokenizer: Any) -> None:
    prompt = build(tokenizer, request(2))
    assert tokenizer.decode(prompt.ids) == code_text(2)
    assert [v[0].item() for v in prompt.vectors["his"]] == [0.0, 1.0]


def test_the_codes_targets_keep_their_white_space_and_always_end_in_the_end_token(tokenizer: Any) -> None:
    whole = build(tokenizer, request(1)).target
    assert tokenizer.decode(whole[:-1]) == " I loved it.\n"
    for most in range(1, len(whole) + 2):
        target = build(tokenizer, request(1), max_target_tokens=most).target
        assert target == [*whole[:-1][:most], tokenizer.eos_token_id]
    assert build(tokenizer, request(1), close_cut_targets=False, max_target_tokens=2).target == whole[:2]


def test_the_code_leaves_out_the_oldest_reviews_while_the_newest_fits(tokenizer: Any) -> None:
    two = len(tokenizer.encode(code_text(2), add_special_tokens=False))
    prompt = build(tokenizer, request(4), max_input_tokens=two)
    assert tokenizer.decode(prompt.ids) == code_text(2)
    assert prompt.kept == 2
    assert [v[0].item() for v in prompt.cut_vectors["his"]] == [2.0, 3.0]


@pytest.mark.parametrize("missing", [1, 30, 60, 10_000])
def test_where_nothing_fits_the_code_keeps_one_review_and_cuts_the_end_of_the_prompt(
    tokenizer: Any, missing: int
) -> None:
    one = tokenizer.encode(code_text(1), add_special_tokens=False)
    most = max(5, len(one) - missing)
    prompt = build(tokenizer, request(3), max_input_tokens=most)
    assert prompt.ids == one[:most]
    for branch in ("his", "diff"):
        slots = prompt.ids.count(tokenizer.convert_tokens_to_ids(f"<{branch}_slot>"))
        assert len(prompt.vectors.get(branch, [])) == len(prompt.positions.get(branch, [])) == slots
        assert slots + len(prompt.cut_vectors[branch]) == 3, "the losses still see all of them"


def test_the_papers_list_markers_are_those_of_figure_6(tokenizer: Any) -> None:
    config = PromptConfig(chat="qwen", list_markers="flat")
    text = tokenizer.decode(PromptBuilder(tokenizer, config, ("his", "diff")).build(request(1)).ids)
    assert (
        "[User's Past Reviews]:\n"
        "- [Review 1]:\n"
        "- [Item Title]: Item 0\n"
        "- [Item Description]: About 0.\n"
        "- [Review Rating]: 4.0\n"
        "- [Review Title]: Fine 0\n"
        "- [Review Text]: I liked number 0.\n"
        "- [Review Embedding]:\n"
        "- <his_token_start><his_slot><his_token_end>\n"
        "- [Review Difference Embedding]:\n"
        "- <diff_token_start><diff_slot><diff_token_end>\n"
        "[Output Review Rating]: 5.0\n"
    ) in text
