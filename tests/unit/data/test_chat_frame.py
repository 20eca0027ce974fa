"""Chat templates of several families around the prompt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from dep.data.prompts.builder import PromptBuilder
from dep.data.prompts.chat_frame import chat_frame, without_thinking
from dep.data.prompts.settings import PromptConfig
from dep.inference.generator import decoded
from dep.models.backbones.load import DEMO
from dep.types import Item, Request, Review, Slot
from dep.utils.errors import DepError

Make = Callable[[str], PreTrainedTokenizerFast]
FAMILIES = ["llama2", "gemma", "without_bytes", "neox", "deepseek", "prefix_space", "t5"]

SYSTEM = "Write a review."
PHI3 = (
    "{% for m in messages %}{% if m.role == 'user' %}<|user|>\n{{ m.content }}<|end|>\n<|assistant|>\n"
    "{% elif m.role == 'assistant' %}{{ m.content }}<|end|>\n{% endif %}{% endfor %}"
)
QWEN3 = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
R1 = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<|a|><think>\n{% endif %}"
)
TWICE = "{% for m in messages %}<|im_start|>{{ m.content }}\n{% endfor %}Again: {{ messages[-1].content }}<|im_end|>"
DATED = "Today: {{ strftime_now('%d %b %Y') }}\n{% for m in messages %}{{ m.content }}\n{% endfor %}"
LLAMA2 = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}<<SYS>>\n{{ m.content }}\n<</SYS>>\n\n"
    "{% elif m.role == 'user' %}[INST] {{ m.content }} [/INST]{% else %} {{ m.content }} {{ eos_token }}{% endif %}"
    "{% endfor %}"
)


def tokenizer_of(template: str | None) -> Any:
    tokenizer = AutoTokenizer.from_pretrained(DEMO)
    tokenizer.chat_template = template
    return tokenizer


def slot(name: str) -> Slot:
    review = Review("u", name, f"I liked {name}, the story is slow!", 4.0, "Fine", 0)
    return Slot(review, Item(name, name, "A book."), torch.ones(3), torch.ones(3))


def request() -> Request:
    item = Item("t", "The Tower", "A plain book.")
    return Request("Books/1", "Books", "u", item, 5.0, "A favorite", "I loved it.", (slot("new"), slot("old")))


@pytest.mark.parametrize("template", [PHI3, QWEN3, R1, TWICE, DATED, LLAMA2, None])
def test_the_instruction_is_in_the_prompt_exactly_once(template: str | None) -> None:
    tokenizer = tokenizer_of(template)
    builder = PromptBuilder(tokenizer, PromptConfig(), ("his", "diff"))
    text = tokenizer.decode(builder.build(request()).ids)
    assert text.count(builder._system) == 1
    assert text.index(builder._system) < text.index("[Item Title]: The Tower")


def test_a_template_that_shows_the_message_twice_gets_two_copies_with_their_vectors() -> None:
    tokenizer = tokenizer_of(TWICE)
    prompt = PromptBuilder(tokenizer, PromptConfig(), ("his", "diff")).build(request())
    slots = prompt.ids.count(tokenizer.convert_tokens_to_ids("<his_slot>"))
    assert slots == len(prompt.vectors["his"]) == 4
    assert prompt.positions["his"] == [0, 1, 0, 1]
    assert tokenizer.decode(prompt.ids).count("[Item Title]: The Tower") == 2


def test_thinking_is_off_unless_the_template_arguments_turn_it_on() -> None:
    tokenizer = tokenizer_of(QWEN3)
    off = chat_frame(SYSTEM, PromptConfig(), tokenizer)
    on = chat_frame(SYSTEM, PromptConfig(template_arguments={"enable_thinking": True}), tokenizer)
    assert off.pieces[-1].endswith("assistant\n<think>\n\n</think>\n\n")
    assert on.pieces[-1].endswith("assistant\n")


def test_thoughts_that_a_template_opens_without_an_argument_are_closed() -> None:
    assert chat_frame(SYSTEM, PromptConfig(), tokenizer_of(R1)).pieces[-1] == "<|a|><think>\n\n</think>\n\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>\nThe user likes maps.\n</think>\n\nI loved it.", "I loved it."),
        ("The user likes maps.</think> I loved it.", "I loved it."),
        ("I loved it. <think>and so on", "I loved it."),
        ("[THINK]hm[/THINK]I loved it.", "I loved it."),
        ("I <b>loved</b> it & think so.", "I <b>loved</b> it & think so."),
    ],
)
def test_thoughts_are_no_part_of_a_text(text: str, expected: str) -> None:
    assert without_thinking(text) == expected


def test_generated_thoughts_are_not_scored() -> None:
    tokenizer = tokenizer_of(None)
    ids = tokenizer.encode("<think>\nThey like maps.\n</think>\n\nI loved it.")
    assert decoded(tokenizer, [*ids, tokenizer.eos_token_id], [tokenizer.eos_token_id]) == "I loved it."


def test_the_date_that_a_template_writes_is_in_the_digest() -> None:
    tokenizer = tokenizer_of(DATED)
    today = chat_frame(SYSTEM, PromptConfig(), tokenizer).digest
    assert chat_frame(SYSTEM, PromptConfig(), tokenizer).digest == today
    tokenizer.chat_template = DATED.replace("strftime_now('%d %b %Y')", "'01 Jan 1999'")
    assert chat_frame(SYSTEM, PromptConfig(), tokenizer).digest != today


def test_a_template_without_the_message_is_refused_with_the_way_out() -> None:
    with pytest.raises(DepError, match=r"chat template: .* set prompt\.chat=qwen"):
        chat_frame(SYSTEM, PromptConfig(), tokenizer_of("{{ messages[0].role }}"))
    with pytest.raises(DepError, match=r"found the error no chats; set prompt\.chat=qwen"):
        chat_frame(SYSTEM, PromptConfig(), tokenizer_of("{{ raise_exception('no chats') }}"))


def test_a_base_model_gets_the_tokens_that_its_tokenizer_begins_texts_with(make_tokenizer: Make) -> None:
    tokenizer = make_tokenizer("llama2")
    prompt = PromptBuilder(tokenizer, PromptConfig(), ("his",)).build(request())
    assert prompt.ids[0] == tokenizer.bos_token_id
    tokenizer.chat_template = LLAMA2
    ids = PromptBuilder(tokenizer, PromptConfig(), ("his",)).build(request()).ids
    assert ids.count(tokenizer.bos_token_id) == 1
    assert ids[0] == tokenizer.bos_token_id


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("template", [None, QWEN3, LLAMA2])
def test_the_ids_of_a_prompt_are_those_of_its_whole_text(
    make_tokenizer: Make, family: str, template: str | None
) -> None:
    tokenizer = make_tokenizer(family)
    tokenizer.chat_template = template
    builder = PromptBuilder(tokenizer, PromptConfig(), ("his", "diff"))
    prompt = builder.build(request())
    frame = builder.frame(builder._system)
    blocks = [line for k, s in enumerate(request().slots) for line in builder.block(k + 1, k, s, None).lines]
    message = "[Item Title]: The Tower\n[Item Description]: A plain book.\n[User's Past Reviews]:\n"
    message += "".join(part.text for line in blocks for part in line)
    message += "[Output Review Rating]: 5.0\n[Output Review Title]: A favorite\n"
    whole = frame.pieces[0] + message + frame.pieces[1]
    assert prompt.ids == [*frame.begins, *tokenizer.encode(whole, add_special_tokens=False)]


def test_an_answer_follows_the_prompt_as_in_the_template(make_tokenizer: Make) -> None:
    tokenizer = make_tokenizer("llama2")
    tokenizer.chat_template = LLAMA2
    builder = PromptBuilder(tokenizer, PromptConfig())
    whole = tokenizer.encode(f"[/INST] the story is slow {tokenizer.eos_token}", add_special_tokens=False)
    assert whole[-len(builder.target("the story is slow")) - 1 : -2] == builder.target("the story is slow")[:-1]
