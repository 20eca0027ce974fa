"""Real reviews if they are there, small corpora, and small tokenizers of several families."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from dep.types import SPECIAL_TOKENS, Corpus, Item, Review

SHARED_DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


@pytest.fixture
def shared_data() -> Path:
    """The real reviews; skips where they are absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no real reviews at {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture
def random_corpus() -> Callable[..., Corpus]:
    """A maker of random corpora: who writes of what, when, with repeated items and texts among it."""

    def make(seed: int, users: int = 12, items: int = 8, reviews: int = 150, category: str = "Books") -> Corpus:
        rng = random.Random(seed)
        rows = []
        for number in range(reviews):
            user, item = f"u{rng.randrange(users):02d}", f"i{min(rng.randrange(items), rng.randrange(items))}"
            text = f"text  {number if rng.random() < 0.9 else rng.randrange(number + 1)} " + "word " * rng.randrange(4)
            rows.append(Review(user, item, text, float(rng.randint(1, 5)), "title", rng.randrange(1, 10**6)))
        rows.sort(key=lambda r: (r.user, r.time, r.item))
        names = sorted({r.item for r in rows})
        return Corpus(category, rows, {name: Item(name, f"item {name}", "d" * 20) for name in names})

    return make


LINES = [
    "[Item Title]: The Tower",
    "[Review 1]:",
    "a plain book, with maps",
    "the story is slow but the music is great",
]
CORPUS = LINES * 20
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def with_slots(core: Tokenizer, **named: str) -> PreTrainedTokenizerFast:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, **named)
    tokenizer.add_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIAL_TOKENS], special_tokens=True)
    return tokenizer


def sentencepiece(dummy_blank: bool, byte_fallback: bool = True) -> Tokenizer:
    """BPE over text whose blanks are ▁, as Llama 2's (with a dummy blank) and Gemma's (without)."""
    core: Any = Tokenizer(models.BPE(byte_fallback=byte_fallback, unk_token="<unk>", fuse_unk=True))
    core.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    core.normalizer = normalizers.Replace(" ", "▁")
    special = ["<unk>", "<s>", "</s>"]
    core.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=460, special_tokens=[*special, *BYTES] if byte_fallback else special)
    )
    vocabulary = core.get_vocab()
    merges = json.loads(core.to_str())["model"]["merges"]
    model = models.BPE(
        vocabulary, [tuple(pair) for pair in merges], byte_fallback=byte_fallback, unk_token="<unk>", fuse_unk=True
    )
    core = Tokenizer(model)
    blank = normalizers.Replace(" ", "▁")
    core.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), blank]) if dummy_blank else blank
    strip = [decoders.Strip(" ", 1, 0)] if dummy_blank else []
    core.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *strip])
    core.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return core


def llama2() -> PreTrainedTokenizerFast:
    return with_slots(sentencepiece(True), bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def gemma() -> PreTrainedTokenizerFast:
    core = sentencepiece(False)
    core.add_tokens([AddedToken(t, normalized=False) for t in ("\n", "\n\n", "▁▁", "ö", "<b>", "</b>")])
    return with_slots(core, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def without_bytes() -> PreTrainedTokenizerFast:
    return with_slots(sentencepiece(False, False), bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def byte_level(add_prefix_space: bool = False) -> Tokenizer:
    core: Any = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=400, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet)
    )
    return core


def neox() -> PreTrainedTokenizerFast:
    core = byte_level()
    core.add_tokens([AddedToken(" " * count, normalized=False) for count in (2, 3, 4)] + [AddedToken("\n")])
    end = "<|endoftext|>"
    return with_slots(core, bos_token=end, eos_token=end, unk_token=end)


def deepseek() -> PreTrainedTokenizerFast:
    core = byte_level()
    core.add_tokens([AddedToken(t, normalized=False) for t in ("ö", "ü", "<｜User｜>", "<think>", "</think>")])
    tokenizer = with_slots(core, eos_token="<|endoftext|>")
    tokenizer.chat_template = "{% for m in messages %}<｜User｜>{{ m.content }}{% endfor %}<think>"
    return tokenizer


def prefix_space() -> PreTrainedTokenizerFast:
    return with_slots(byte_level(True), eos_token="<|endoftext|>")


def t5() -> PreTrainedTokenizerFast:
    core: Any = Tokenizer(models.Unigram())
    core.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("\n", " ")])
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    letters = ["abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789 .,!?-_<>|/():[]"] * 5
    special = ["<pad>", "</s>", "<unk>"]
    core.train_from_iterator(
        CORPUS + letters, trainers.UnigramTrainer(vocab_size=120, special_tokens=special, unk_token="<unk>")
    )
    core.decoder = decoders.Metaspace()
    core.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return with_slots(core, eos_token="</s>", pad_token="<pad>", unk_token="<unk>")


@pytest.fixture
def make_tokenizer() -> Callable[[str], PreTrainedTokenizerFast]:
    """A maker of small tokenizers by the name of their family."""
    makers = (llama2, gemma, without_bytes, neox, deepseek, prefix_space, t5)
    return lambda name: {make.__name__: make for make in makers}[name]()
