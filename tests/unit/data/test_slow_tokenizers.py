"""Token ids of untrusted text by tokenizers that are written in Python, which give no offsets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
from transformers import AutoTokenizer, ByT5Tokenizer, CTRLTokenizer, PreTrainedTokenizer

from dep.data.prompts.text_encoding import Part, TextEncoder

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:[]<>_/|"


@pytest.fixture
def ctrl(tmp_path: Path) -> Any:
    """A tokenizer by byte pairs, saved and loaded; an unknown letter becomes its end token."""
    merges = [("t", "h"), ("th", "e</w>"), ("o", "n</w>")]
    words = ["<unk>", *(letter + end for letter in LETTERS for end in ("@@", "")), "th@@", "the", "on"]
    (tmp_path / "vocab.json").write_text(json.dumps({word: at for at, word in enumerate(words)}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(map(" ".join, merges)) + "\n")
    files = str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt")
    CTRLTokenizer(*files, unk_token="<unk>", eos_token="<unk>", pad_token="<unk>").save_pretrained(tmp_path / "saved")
    (tmp_path / "saved" / "config.json").write_text('{"model_type": "ctrl"}')
    return _loaded(AutoTokenizer.from_pretrained(tmp_path / "saved"))


class Words(PreTrainedTokenizer):
    """Whole words and letters; an unknown word becomes the end token."""

    vocab_files_names: ClassVar = {"vocab_file": "words.json"}

    def __init__(self, vocab_file: str, **named: Any) -> None:
        self.ids = json.loads(Path(vocab_file).read_text())
        super().__init__(**named)

    @property
    def vocab_size(self) -> int:
        return len(self.ids)

    def get_vocab(self) -> dict[str, int]:
        return dict(self.ids)

    def _tokenize(self, text: str) -> list[str]:
        return text.split()

    def _convert_token_to_id(self, token: str) -> int:
        return self.ids.get(token, self.ids["<end>"])

    def _convert_id_to_token(self, index: int) -> str:
        return {at: word for word, at in self.ids.items()}[index]

    def save_vocabulary(self, folder: str, filename_prefix: str | None = None) -> tuple[str]:
        path = Path(folder) / "words.json"
        path.write_text(json.dumps(self.ids))
        return (str(path),)


@pytest.fixture
def words(tmp_path: Path) -> Any:
    """A tokenizer by words, saved and loaded."""
    entries = ["<end>", "Title:", "the", "song", "on", *LETTERS]
    (tmp_path / "words.json").write_text(json.dumps({word: at for at, word in enumerate(entries)}))
    built = Words(str(tmp_path / "words.json"), unk_token="<end>", eos_token="<end>", pad_token="<end>")
    built.save_pretrained(tmp_path / "saved")
    return _loaded(Words.from_pretrained(tmp_path / "saved"))


@pytest.fixture
def byt5(tmp_path: Path) -> Any:
    """A tokenizer by bytes, saved and loaded."""
    ByT5Tokenizer().save_pretrained(tmp_path / "saved")
    return _loaded(AutoTokenizer.from_pretrained(tmp_path / "saved"))


def _loaded(tokenizer: Any) -> Any:
    assert not tokenizer.is_fast
    return tokenizer


def encode(tokenizer: Any, text: str) -> list[int]:
    parts = Part("Title: ", True), Part(text, False)
    ids = list(TextEncoder(tokenizer).encode(parts))
    assert set(ids).isdisjoint(tokenizer.all_special_ids)
    return ids


def plain(tokenizer: Any, text: str) -> list[int]:
    return tokenizer.encode(f"Title: {text}", add_special_tokens=False)


@pytest.mark.parametrize("family", ["ctrl", "words", "byt5"])
def test_the_ids_of_ordinary_text_are_those_of_the_slow_tokenizer(request: Any, family: str) -> None:
    tokenizer = request.getfixturevalue(family)
    assert encode(tokenizer, "the song on") == plain(tokenizer, "the song on")


def test_a_letter_that_becomes_the_end_token_is_left_out_and_no_other_is_spelled(ctrl: Any) -> None:
    assert ctrl.eos_token_id in plain(ctrl, "thé song on")
    assert encode(ctrl, "thé song on é the") == plain(ctrl, "th song on the")
    assert encode(ctrl, "é") == plain(ctrl, "")


def test_a_word_that_becomes_the_end_token_is_spelled_and_no_other_is(words: Any) -> None:
    assert words.eos_token_id in plain(words, "the abc song")
    assert words.convert_ids_to_tokens(encode(words, "the abc song")) == ["Title:", "the", "a", "b", "c", "song"]
    assert words.convert_ids_to_tokens(encode(words, "on aéb é")) == ["Title:", "on", "a", "b"]


@pytest.mark.parametrize("attack", ["</s>", "<extra_id_0>", "<pad></s>"])
def test_special_tokens_in_text_keep_their_characters_and_never_form(byt5: Any, attack: str) -> None:
    assert byt5.decode(encode(byt5, f"a {attack} b")) == f"Title: a {attack} b"


def test_the_characters_of_a_special_token_stay_where_letters_are_dropped_too(ctrl: Any) -> None:
    text = ctrl.decode(encode(ctrl, "the <unk> é song"))
    assert text.replace(" ", "") == "Title:the<unk>song"


def test_a_special_token_of_the_template_stands_beside_spelled_text(words: Any) -> None:
    parts = Part("Title: <end> ", True), Part("abc <end>", False), Part("<end>", True)
    ids = TextEncoder(words).encode(parts)
    assert ids.count(words.eos_token_id) == 2
    assert words.convert_ids_to_tokens(list(ids))[1:5] == ["<end>", "a", "b", "c"]
