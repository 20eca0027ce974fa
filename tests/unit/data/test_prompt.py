"""Figure 6's prompt: its content, special tokens in untrusted text, and prompts that are too long."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from dep.data.collate import Collator
from dep.data.prompts.builder import PromptBuilder
from dep.data.prompts.settings import PromptConfig
from dep.data.prompts.template import system_text
from dep.models.backbones.load import DEMO
from dep.types import IGNORE, SPECIAL_TOKENS, Item, Request, Review, Slot

SYSTEM_OF_FIGURE_6 = (
    "Given the title and description of an item, along with the user's past reviews (including item title, item "
    "description, review rating, review title, review text, review embedding, review difference embedding), and the "
    "output review rating and review title, generate a personalized item review for the user.\n"
    "Note: [Review Embedding] denotes a soft prompt of the review text and [Review Difference Embedding] denotes a "
    "soft prompt showing the difference between the review text and other reviews on the same item. [Review Embedding] "
    "and [Review Difference Embedding] should serve as hints for personalized review text generation."
)
USER_OF_FIGURE_6 = """[Item Title]: The Tower
[Item Description]: A plain book.
[User's Past Reviews]:
[Review 1]:
[Item Title]: Newest
[Item Description]: About newest.
[Review Rating]: 4.0
[Review Title]: Fine
[Review Text]: I liked newest.
[Review Embedding]:
<his_token_start><his_slot><his_token_end>
[Review Difference Embedding]:
<diff_token_start><diff_slot><diff_token_end>
[Review 2]:
[Item Title]: Older
[Item Description]: About older.
[Review Rating]: 4.0
[Review Title]: Fine
[Review Text]: I liked older.
[Review Embedding]:
<his_token_start><his_slot><his_token_end>
[Output Review Rating]: 5.0
[Output Review Title]: A favorite
"""


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(DEMO)


def slot(name: str, his: float = 1.0, diff: float | None = 2.0, text: str | None = None) -> Slot:
    review = Review("u", name, text or f"I liked {name}.", 4.0, "Fine", 0)
    vector = None if diff is None else torch.full((3,), diff)
    return Slot(review, Item(name, name.capitalize(), f"About {name}."), torch.full((3,), his), vector)


def request(*slots: Slot, text: str = "I loved it.", title: str = "A favorite") -> Request:
    return Request("Books/1", "Books", "u", Item("t", "The Tower", "A plain book."), 5.0, title, text, slots)


def build(tokenizer: Any, *slots: Slot, branches: tuple[str, ...] = ("his", "diff"), **fields: Any) -> Any:
    return PromptBuilder(tokenizer, PromptConfig(**fields), branches).build(request(*slots))  # type: ignore[arg-type]


def test_the_system_text_is_figure_6s_word_for_word() -> None:
    assert system_text(PromptConfig(), ("his", "diff")) == SYSTEM_OF_FIGURE_6


def test_the_turn_is_figure_6s_and_a_review_without_peers_has_no_difference_line(tokenizer: Any) -> None:
    prompt = build(tokenizer, slot("newest"), slot("older", diff=None))
    assert tokenizer.decode(prompt.ids) == (
        f"<|im_start|>system\n{SYSTEM_OF_FIGURE_6}<|im_end|>\n<|im_start|>user\n{USER_OF_FIGURE_6}<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert prompt.positions == {"his": [0, 1], "diff": [0]}


def test_the_tokenizers_own_chat_template_gives_the_literal_qwen_form(tokenizer: Any) -> None:
    assert build(tokenizer, slot("a"), chat="qwen").ids == build(tokenizer, slot("a"), chat="tokenizer").ids


def test_piecewise_tokens_are_those_of_the_whole_string(tokenizer: Any) -> None:
    ids = build(tokenizer, slot("newest"), slot("older", diff=None)).ids
    assert ids == tokenizer.encode(tokenizer.decode(ids), add_special_tokens=False)


@pytest.mark.parametrize("evil", [*SPECIAL_TOKENS, "<|im_end|>", "<|endoftext|>", "<his_slot><his_slot>"])
def test_text_of_users_and_items_never_becomes_a_special_token(tokenizer: Any, evil: str) -> None:
    review = Review("u", "i", f"nice {evil} end", 3.0, evil, 0)
    bad = Slot(review, Item("i", evil, evil), torch.zeros(3), torch.zeros(3))
    builder = PromptBuilder(tokenizer, PromptConfig(), ("his", "diff"))
    poisoned = builder.build(request(bad, text=f"so {evil} it", title=evil))
    clean = builder.build(request(slot("i")))
    added = set(tokenizer.get_added_vocab().values())
    assert [i for i in poisoned.ids if i in added] == [i for i in clean.ids if i in added]
    assert [i for i in poisoned.target if i in added] == [tokenizer.eos_token_id]
    assert tokenizer.decode(poisoned.ids).count(evil) >= 5, "the characters themselves stay readable"


def test_a_prompt_that_is_too_long_loses_whole_blocks_beginning_with_the_oldest(tokenizer: Any) -> None:
    slots = [slot(f"item{k}", his=float(k)) for k in range(5)]
    whole = build(tokenizer, *slots)
    two = build(tokenizer, *slots[:2])
    cut = build(tokenizer, *slots, max_input_tokens=len(two.ids))
    assert (whole.kept, cut.kept) == (5, 2)
    assert cut.ids == two.ids
    assert [v[0].item() for v in cut.vectors["his"]] == [0.0, 1.0]
    assert [v[0].item() for v in cut.cut_vectors["his"]] == [2.0, 3.0, 4.0]
    batch = Collator(tokenizer.pad_token_id)([whole, cut])
    assert batch.cut_present["his"].tolist() == [[False] * 3, [True] * 3]
    assert batch.cut_vectors["his"][1, :, 0].tolist() == [2.0, 3.0, 4.0]
    one_less = build(tokenizer, *slots, max_input_tokens=len(two.ids) - 1)
    assert one_less.kept == 1


def test_an_item_that_does_not_fit_at_all_is_an_error_that_names_the_example(tokenizer: Any) -> None:
    with pytest.raises(ValueError, match=r"Books/1.*max_input_tokens"):
        build(tokenizer, slot("a"), max_input_tokens=20)


def test_without_text_and_without_history_the_sections_are_absent(tokenizer: Any) -> None:
    blank = tokenizer.decode(build(tokenizer, slot("a"), text=False).ids)
    assert "[Review Text]" not in blank
    assert "review text, " not in blank
    bare = build(tokenizer, slot("a"), history=0)
    assert "Past Reviews" not in tokenizer.decode(bare.ids)
    assert bare.vectors == {}


def test_guidance_can_be_turned_off_and_names_only_branches_that_the_prompt_has() -> None:
    assert "Note:" not in system_text(PromptConfig(guidance=False), ("his", "diff"))
    his = system_text(PromptConfig(), ("his",))
    assert "Note:" in his
    assert "ifference" not in his


def test_a_template_without_a_system_role_gets_the_system_text_in_the_users_turn(tokenizer: Any) -> None:
    strict = AutoTokenizer.from_pretrained(DEMO)
    strict.chat_template = (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
        "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    )
    text = strict.decode(build(strict, slot("a")).ids)
    assert text.startswith("<|im_start|>user\nGiven the title")


def test_a_model_without_a_chat_template_gets_a_plain_prompt() -> None:
    plain = AutoTokenizer.from_pretrained(DEMO)
    plain.chat_template = None
    assert plain.decode(build(plain, slot("a")).ids).endswith("A favorite\n\n[Output Review Text]:")


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_batch_holds_the_tokens_labels_and_vectors_of_each_row_padded_on_either_side(
    tokenizer: Any, side: Any
) -> None:
    prompts = [
        build(tokenizer, slot("a", 1.0, None)),
        build(tokenizer, slot("b", 2.0, 3.0), slot("c", 4.0, 5.0)),
        build(tokenizer),
    ]
    batch = Collator(tokenizer.pad_token_id, side)(prompts)
    for b, prompt in enumerate(prompts):
        real = batch.attention_mask[b].bool()
        assert batch.ids[b][real].tolist() == prompt.ids + prompt.target
        assert batch.labels[b][real].tolist() == [IGNORE] * len(prompt.ids) + prompt.target
        assert (batch.labels[b][~real] == IGNORE).all()
    assert batch.present["his"].tolist() == [[True, False], [True, True], [False, False]]
    assert batch.present["diff"].tolist() == [[False, False], [True, True], [False, False]]
    assert batch.vectors["diff"][1, :, 0].tolist() == [3.0, 5.0]
    assert batch.slot_index["his"][1].tolist() == [0, 1]


def test_missing_fields_leave_their_lines_out_of_the_target_and_of_past_reviews(tokenizer: Any) -> None:
    nan = float("nan")
    review = Review("u", "i", "Fine.", nan, "", 1)
    item = Item("i", "")
    bare = Request("k", "c", "u", item, nan, " ", "Good.", (Slot(review, item, torch.ones(3), torch.ones(3)),))
    builder = PromptBuilder(tokenizer, PromptConfig(history=1), ("his", "diff"))
    text = tokenizer.decode(builder.build(bare).ids)
    user = text.partition("<|im_start|>user\n")[2].partition("<|im_end|>")[0]
    assert user == (
        "[User's Past Reviews]:\n[Review 1]:\n[Review Text]: Fine.\n"
        "[Review Embedding]:\n<his_token_start><his_slot><his_token_end>\n"
        "[Review Difference Embedding]:\n<diff_token_start><diff_slot><diff_token_end>\n"
    )
    titled = replace(bare, title="Short", item=Item("i", "A harp"), slots=())
    user = tokenizer.decode(builder.build(titled).ids).partition("<|im_start|>user\n")[2]
    assert user.startswith("[Item Title]: A harp\n[Output Review Title]: Short\n<|im_end|>")


def test_a_request_of_which_nothing_is_known_is_still_a_prompt(tokenizer: Any) -> None:
    request = Request("k", "c", "u", Item("i", ""), float("nan"), "", "Good.")
    text = tokenizer.decode(PromptBuilder(tokenizer, PromptConfig()).build(request).ids)
    assert text.endswith("<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\n")
