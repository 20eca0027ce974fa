"""Shared fixtures: an embedder without a model, a tiny tokenizer, tiny random models, and a simple collator."""

from __future__ import annotations

import gc
import hashlib
import sys
import threading
import types
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from torch.nn.functional import normalize
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    GPT2Config,
    LlamaConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

from dep.models.backbones.vocabulary import add_tokens
from dep.models.compressors.settings import SparseAutoencoderConfig
from dep.models.settings import ProjectorConfig, SoftPromptConfig
from dep.training.settings import TrainConfig
from dep.types import IGNORE, SLOT_TOKENS, SPECIAL_TOKENS, Batch, Prompt

VOCAB, WIDTH, EMBEDDER = 300, 32, 6
TEXT = "the item was good and the story is slow but the music is great i would read this book again " * 3


@pytest.fixture
def kept() -> Callable[..., list[str]]:
    """Return a function that names the types of what holds a text, given backwards, below some objects.

    It also looks into what other threads are doing.
    """

    def holders(backwards: str, *roots: object) -> list[str]:
        gc.collect()
        word, found, seen = backwards[::-1], [], {id(backwards)}
        todo: list[tuple[object, str]] = [(root, "") for root in roots]
        for thread, frame in sys._current_frames().items():
            while thread != threading.get_ident() and frame is not None:
                todo.append((dict(frame.f_locals), frame.f_code.co_name))
                frame = frame.f_back
        while todo:
            one, holder = todo.pop()
            if id(one) in seen or isinstance(one, type | types.ModuleType | types.CodeType | types.FrameType):
                continue
            seen.add(id(one))
            if isinstance(one, str):
                found += [holder] if word in one else []
            elif isinstance(one, bytes | bytearray):
                found += [holder] if word.encode() in one else []
            elif isinstance(one, types.FunctionType):  # not its module's globals
                todo += [(cell, one.__name__) for cell in (*(one.__closure__ or ()), *(one.__defaults__ or ()))]
            else:
                todo += [(inner, type(one).__name__) for inner in gc.get_referents(one)]
        return found

    return holders


class HashingEmbedder:
    """Embedder without a model: hashed word counts plus `common`, scaled to unit length; `seen` has all its texts."""

    kind = "hashing"

    def __init__(self, salt: str = "", fail_after: int | None = None, dim: int = 16, common: float = 1e-3) -> None:
        self.salt, self.fail_after, self.dim, self.common = salt, fail_after, dim, common
        self.name = f"hashing:{dim}"
        self.seen: list[str] = []

    def fingerprint(self) -> str:
        return hashlib.sha256(f"hashing {self.salt} {self.dim} {self.common}".encode()).hexdigest()

    def encode(self, texts: Sequence[str]) -> Tensor:
        if self.fail_after is not None and len(self.seen) >= self.fail_after:
            raise KeyboardInterrupt
        self.seen += texts
        return normalize(torch.stack([self._one(text) for text in texts]), dim=1)

    def _one(self, text: str) -> Tensor:
        x = torch.zeros(self.dim)
        for word in text.split():
            code = hashlib.sha256(f"{self.salt}{word}".encode()).digest()
            x[code[0] % self.dim] += 1 if code[1] % 2 else -1
        return x + self.common


@pytest.fixture(scope="session")
def hashing() -> type[HashingEmbedder]:
    """Return the class of the embedder without a model."""
    return HashingEmbedder


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer of at most 300 tokens with <pad> and </s>, without the package's tokens."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB,
        special_tokens=["<pad>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    core.train_from_iterator([TEXT], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", eos_token="</s>")


@pytest.fixture
def bare_model() -> Callable[..., PreTrainedModel]:
    """Return a function that builds a tiny random model by architecture name; its embedding has VOCAB rows."""

    def build(name: str = "qwen2", tie: bool = True, vocab: int = VOCAB) -> PreTrainedModel:
        shared = {"vocab_size": vocab, "tie_word_embeddings": tie, "bos_token_id": None, "eos_token_id": 1}
        llama = {
            "hidden_size": WIDTH,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "initializer_range": 0.3,
        }
        config = {
            "qwen2": lambda: Qwen2Config(**shared, **llama),
            "llama": lambda: LlamaConfig(**shared, **llama),
            "gpt2": lambda: GPT2Config(
                **shared, n_embd=WIDTH, n_layer=2, n_head=4, n_positions=128, initializer_range=0.3
            ),
            "gemma2": lambda: Gemma2Config(**shared, **llama, head_dim=8, final_logit_softcapping=5.0),
        }[name]()
        with torch.random.fork_rng():
            torch.manual_seed(7)
            return AutoModelForCausalLM.from_config(config).eval()

    return build


@pytest.fixture
def model(bare_model: Callable[..., PreTrainedModel], tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    """Return the Qwen2-shaped model with the special tokens added."""
    model = bare_model()
    add_tokens(model, tokenizer, SPECIAL_TOKENS)
    return model


@pytest.fixture
def prompts(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> list[Prompt]:
    """Return five prompts of unequal length; the first has a his without diff, the fourth has no history."""
    vocabulary = tokenizer.get_vocab()
    draw = torch.Generator().manual_seed(3)

    def build(number: int, his: int, diff: int, words: int) -> Prompt:
        ids = torch.randint(10, VOCAB - 50, (words,), generator=draw).tolist()
        for count, token in ((his, SLOT_TOKENS["his"]), (diff, SLOT_TOKENS["diff"])):
            for k in range(count):
                ids.insert(2 + 2 * k, vocabulary[token])
        target = [*torch.randint(10, VOCAB - 50, (2 + number,), generator=draw).tolist(), 1]
        vectors = {
            "his": list(torch.randn(his, EMBEDDER, generator=draw)),
            "diff": list(torch.randn(diff, EMBEDDER, generator=draw)),
        }
        positions = {"his": list(range(his)), "diff": list(range(1, diff + 1))}
        return Prompt(f"toy/{number}", ids, target, vectors, positions, his)

    return [build(0, 3, 2, 9), build(1, 1, 1, 5), build(2, 2, 2, 14), build(3, 0, 0, 4), build(4, 3, 3, 7)]


@pytest.fixture
def collate() -> Callable[..., Batch]:
    """Return a function that collates prompts; it is independent of the package's collator."""

    def build(prompts: Sequence[Prompt], side: str = "right", answers: bool = True) -> Batch:
        rows = [p.ids + (p.target if answers else []) for p in prompts]
        length = max(map(len, rows))
        slots = {b: max(len(p.vectors[b]) for p in prompts) for b in ("his", "diff")}
        batch = Batch(
            [p.key for p in prompts],
            torch.zeros(len(rows), length, dtype=torch.long),
            torch.zeros(len(rows), length, dtype=torch.long),
            torch.full((len(rows), length), IGNORE),
            {b: torch.full((len(rows), k, EMBEDDER), 99.0) for b, k in slots.items()},
            {b: torch.zeros(len(rows), k, dtype=torch.bool) for b, k in slots.items()},
            {b: torch.zeros(len(rows), k, dtype=torch.long) for b, k in slots.items()},
        )
        for b, (prompt, row) in enumerate(zip(prompts, rows, strict=True)):
            start = length - len(row) if side == "left" else 0
            batch.ids[b, start : start + len(row)] = torch.tensor(row)
            batch.attention_mask[b, start : start + len(row)] = 1
            if answers:
                first = start + len(prompt.ids)
                batch.labels[b, first : first + len(prompt.target)] = torch.tensor(prompt.target)
            for branch in slots:
                for k, vector in enumerate(prompt.vectors[branch]):
                    batch.vectors[branch][b, k] = vector
                    batch.present[branch][b, k] = True
                    batch.slot_index[branch][b, k] = prompt.positions[branch][k]
        return batch

    return build


@pytest.fixture
def make_lit(tokenizer, model) -> Callable[..., Any]:
    """Return a function that builds the training module on the tiny model; keywords go to `TrainConfig`."""
    from dep.models.soft_prompt import build_soft_prompt
    from dep.training.module import PersonalizationModule

    def make(backbone: PreTrainedModel | None = None, latent: int = 5, **train: Any) -> PersonalizationModule:
        backbone = backbone or deepcopy(model)
        soft = build_soft_prompt(
            SoftPromptConfig(),
            SparseAutoencoderConfig(latent=latent),
            ProjectorConfig(hidden=7, scale_to_embedding=True),
            width=EMBEDDER,
            model=backbone,
            tokenizer=tokenizer,
        )
        return PersonalizationModule(backbone, soft, TrainConfig(progress=False, monitor="val_nll", **train))

    return make
