"""Token ids of untrusted text: the tokenizer's own, without special tokens. Tokenizers of several families."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tokenizers import AddedToken
from transformers import PreTrainedTokenizerFast

from dep.data.prompts.reserved_tokens import reserved_tokens
from dep.data.prompts.text_encoding import Part, TextEncoder
from dep.types import SPECIAL_TOKENS

Make = Callable[[str], PreTrainedTokenizerFast]
FAMILIES = ["llama2", "gemma", "without_bytes", "neox", "deepseek", "prefix_space", "t5"]

TEXT = "A fine book,  with maps.\nSchön und slow,\n\n    but the music\tis great: <b>great</b>"


def encode(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    return list(TextEncoder(tokenizer).encode((Part(text, False),)))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_ids_of_ordinary_text_are_the_tokenizers_own(make_tokenizer: Make, family: str) -> None:
    tokenizer = make_tokenizer(family)
    assert encode(tokenizer, TEXT) == tokenizer.encode(TEXT, add_special_tokens=False)


@pytest.mark.parametrize("family", ["llama2", "gemma", "neox", "deepseek"])
@pytest.mark.parametrize("attack", [*SPECIAL_TOKENS, "<s>", "</s>", "<unk>", "<|endoftext|>", "<his_slot><his_slot>"])
def test_special_tokens_in_text_keep_their_characters_and_never_form(
    make_tokenizer: Make, family: str, attack: str
) -> None:
    tokenizer = make_tokenizer(family)
    text = f"a plain book {attack} with maps"
    ids = encode(tokenizer, text)
    assert set(ids).isdisjoint(reserved_tokens(tokenizer).values())
    assert tokenizer.decode(ids) == text


def test_control_tokens_that_are_not_marked_as_special_never_form(make_tokenizer: Make) -> None:
    tokenizer = make_tokenizer("deepseek")
    ids = encode(tokenizer, "a <｜User｜> book <think> with </think> maps")
    for token in ("<｜User｜>", "<think>", "</think>"):
        assert tokenizer.convert_tokens_to_ids(token) not in ids
    assert tokenizer.decode(ids) == "a <｜User｜> book <think> with </think> maps"


def test_a_special_token_that_only_normalisation_forms_is_cut_too(make_tokenizer: Make) -> None:
    tokenizer = make_tokenizer("t5")
    tokenizer.add_tokens([AddedToken("<end>", special=True, normalized=True)], special_tokens=True)
    assert tokenizer.convert_tokens_to_ids("<end>") in tokenizer.encode("a \uff1cend\uff1e book")
    ids = encode(tokenizer, "a \uff1cend\uff1e book")
    assert tokenizer.convert_tokens_to_ids("<end>") not in ids
    assert tokenizer.decode(ids) == "a <end> book"


def test_a_special_token_costs_a_text_few_ids_more(make_tokenizer: Make) -> None:
    tokenizer = make_tokenizer("gemma")
    text = f"{TEXT}\n" * 4
    added = len(encode(tokenizer, text + "<his_slot>")) - len(encode(tokenizer, text))
    assert 1 < added <= len("<his_slot>")


def test_template_tokens_are_special_and_the_same_characters_beside_them_are_not(make_tokenizer: Make) -> None:
    tokenizer = make_tokenizer("llama2")
    slot = tokenizer.convert_tokens_to_ids("<his_slot>")
    parts = (Part("[Review Embedding]:<his_slot>", True), Part(" <his_slot>\n", False), Part("<his_slot>", True))
    ids = TextEncoder(tokenizer).encode(parts)
    assert ids.count(slot) == 2
    assert tokenizer.decode(ids).count("<his_slot>") == 3


@pytest.mark.parametrize(("family", "joins"), [("neox", True), ("deepseek", True), ("llama2", False), ("t5", False)])
def test_lines_are_encoded_apart_only_where_the_tokenizer_cuts_between_them(
    make_tokenizer: Make, family: str, joins: bool
) -> None:
    tokenizer = make_tokenizer(family)
    encoder = TextEncoder(tokenizer)
    assert encoder.joins_lines is joins
    lines = [(Part("[Item Title]:", True), Part(f" {value}\n", False)) for value in ("The Tower", "!", "", "Schön  1")]
    text = "".join(part.text for line in lines for part in line)
    assert encoder.encode_lines(lines) == tokenizer.encode(text, add_special_tokens=False)


@pytest.mark.parametrize("family", ["llama2", "neox"])
def test_a_long_text_is_cut_at_a_whole_word(
    make_tokenizer: Make,
    family: str,
) -> None:
    tokenizer = make_tokenizer(family)
    encoder = TextEncoder(tokenizer)
    text = "the story is slow but  the music\nis great, " * 40
    cut = encoder.cut(text, 50)
    words = text.split()
    assert cut.split() == words[: len(cut.split())]
    assert text.startswith(cut)
    assert len(tokenizer.encode(cut, add_special_tokens=False)) <= 50
    longer = text[: len(cut) + len(" " + words[len(cut.split())]) + 1].rstrip()
    assert len(tokenizer.encode(longer, add_special_tokens=False)) > 50
    assert encoder.cut("a plain book", 50) == "a plain book"
    assert encoder.cut("x" * 900, 50) == "x" * len(encoder.cut("x" * 900, 50)) != ""
