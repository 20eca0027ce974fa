"""Benchmarks the embedding of reviews against one padded call for each user, and against sentence-transformers."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from dep.data.embedders import EMBEDDERS, MiniLM
from dep.data.embedders.base import Dtype, Runtime
from dep.data.sources.amazon2014 import Amazon2014
from experiments.bench.measure import Case
from experiments.bench.world import requests

LONGEST = 256
"""Token limit of MiniLM."""
REVIEWS = 400
"""Smallest number of reviews; all reviews of the last user are included."""
FOLDER = "data/amazon2014_digital_music"
"""Folder of Digital Music's two files; if they are missing, the built-in world's reviews are used."""


@cache
def texts() -> tuple[list[list[str]], str]:
    """Return the reviews by user, and the name of their data set."""
    by_user: dict[str, list[str]] = defaultdict(list)
    try:
        corpus = next(iter(Amazon2014(Amazon2014.Config(folder=FOLDER)).load().values()))
        data_set = "Digital Music"
        pairs = [(review.user, review.text) for review in corpus.reviews if review.text.strip()]
    except (FileNotFoundError, ValueError):
        data_set = "the built-in world"
        pairs = [(request.user, request.text) for request in requests(2)]
    for user, text in sorted(pairs):
        by_user[user].append(text)
    selected, count = [], 0
    for user_texts in islice(by_user.values(), REVIEWS):
        selected.append(user_texts)
        count += len(user_texts)
        if count >= REVIEWS:
            break
    return selected, data_set


@cache
def embedder(runtime: Runtime, dtype: Dtype = "float32") -> Any:
    """Return a warm MiniLM embedder on the CPU."""
    built = EMBEDDERS.build(MiniLM.Config(device="cpu", runtime=runtime, dtype=dtype))
    built.encode(["a first text"])
    return built


def has_bfloat16() -> bool:
    """Return whether the processor has bfloat16 instructions; other processors compute bfloat16 as float32."""
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _flat() -> list[str]:
    return [text for user_texts in texts()[0] for text in user_texts]


def by_users(runtime: str = "openvino", dtype: str = "float32") -> Case:
    """Benchmark against the authors' public code: float32, one call for each user, padded to the token limit."""
    transformer = embedder("torch")._model

    @torch.inference_mode()
    def one_by_one() -> Tensor:
        vectors = []
        for user_texts in texts()[0]:
            encoded = transformer.tokenizer(
                user_texts, padding="max_length", max_length=LONGEST, truncation=True, return_tensors="pt"
            )
            vectors.append(transformer(dict(encoded))["sentence_embedding"])
        return normalize(torch.cat(vectors).float(), dim=1)

    cosine = 0.99999 if (runtime, dtype) == ("openvino", "float32") else 0.999
    against = f"a call a user, padded to {LONGEST} tokens, float32"
    return _case("embedding by users", runtime, dtype, against, one_by_one, goal=4, cosine=cosine)


def by_encode(runtime: str = "openvino", dtype: str = "float32") -> Case:
    """Benchmark against sentence-transformers' `encode` in the same precision: sorted by length, 32 texts a batch."""
    transformer = embedder("torch", dtype)._model

    def encode() -> Tensor:
        return normalize(transformer.encode(_flat(), convert_to_tensor=True, show_progress_bar=False).float(), dim=1)

    against = f"sentence-transformers' `encode`, {dtype}"
    return _case("embedding", runtime, dtype, against, encode, goal=1.5, cosine=0.999)


def _case(name: str, runtime: str, dtype: str, against: str, alternative: Any, goal: float, cosine: float) -> Case:
    ours, (_, data_set) = embedder(runtime, dtype), texts()
    bits = "eight bits" if runtime == "openvino_int8" else dtype
    library = "torch" if runtime == "torch" else "OpenVINO"
    return Case(
        f"{name}, {bits}", f"{len(_flat())} reviews of {data_set}, MiniLM by {library}", against,
        lambda: ours.encode(_flat()), alternative,
        lambda a, b: bool((cosine_similarity(a, b) > cosine).all()), len(_flat()), "reviews/s", goal,
    )  # fmt: skip
