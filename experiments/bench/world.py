"""Makes the input of the benchmarks: requests of a small world with random vectors, and a random backbone."""

from __future__ import annotations

from functools import cache

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Qwen2Config, Qwen2ForCausalLM

from dep.data.prompts.requests import Requests
from dep.data.protocol import prepare
from dep.data.retrievers import RETRIEVERS, Recency
from dep.data.settings import ProtocolConfig
from dep.data.sources.base import Source
from dep.data.sources.synthetic import SyntheticSource
from dep.data.sources.synthetic_english import EnglishSource
from dep.data.vectors.store import Vectors
from dep.models.backbones.gqa_attention import use_gqa_attention
from dep.models.backbones.load import load
from dep.models.settings import BackboneConfig
from dep.types import Request

WIDTH = 384
VOCABULARY = 151_936
"""Number of rows of Qwen2.5's embedding matrix."""


@cache
def requests(history: int, users: int = 60) -> list[Request]:
    """Return all requests of world 0 with `history` past reviews; their vectors are random."""
    return _requests(
        SyntheticSource(SyntheticSource.Config(users=users, reviews_per_user=22)),
        ProtocolConfig(
            min_text_chars=40, min_description_chars=20, min_user_reviews=12, min_item_reviewers=3,
            min_profile_reviewers=1, min_profile=3, targets_used=4,
        ),
        history,
    )  # fmt: skip


def _requests(source: Source, protocol: ProtocolConfig, history: int) -> list[Request]:
    """Prepare a source and return all its requests, with random vectors."""
    dataset = prepare(source, protocol)
    draw = torch.Generator().manual_seed(0)
    vectors = {}
    for category, corpus in dataset.corpora.items():
        his_NE, diff_NE = torch.randn(2, len(corpus.reviews), WIDTH, generator=draw) / WIDTH**0.5
        vectors[category] = Vectors(his_NE, diff_NE, torch.ones(len(his_NE), dtype=torch.long))
    return list(Requests(dataset.examples, dataset.corpora, vectors, RETRIEVERS.build(Recency.Config()), history))


@cache
def english_requests(history: int) -> list[Request]:
    """Return all requests of English world 0 with `history` past reviews; their vectors are random."""
    return _requests(
        EnglishSource(EnglishSource.Config(users=60)),
        ProtocolConfig(
            min_text_chars=60, min_description_chars=20, min_user_reviews=12, min_item_reviewers=3,
            min_profile_reviewers=1, min_profile=history, targets_used=4,
        ),
        history,
    )  # fmt: skip


@cache
def backbone() -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Return a random Qwen2-shaped model, 5.5 M parameters plus 151,936 embedding rows, and the demo's tokenizer."""
    _, tokenizer = load(BackboneConfig())
    torch.manual_seed(0)
    shape = Qwen2Config(
        vocab_size=VOCABULARY, hidden_size=256, intermediate_size=768, num_hidden_layers=7, num_attention_heads=4,
        num_key_value_heads=2, tie_word_embeddings=True, max_position_embeddings=4096, pad_token_id=0, eos_token_id=2,
    )  # fmt: skip
    model = Qwen2ForCausalLM(shape).eval()
    use_gqa_attention(model)
    model.requires_grad_(False)
    return model, tokenizer
