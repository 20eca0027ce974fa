"""Embedding reviews: against one call a user, each padded to the longest possible, and against `encode` as it comes."""

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
"""Tokens that MiniLM reads at most."""
REVIEWS = 400
FOLDER = "data/amazon2014_digital_music"
"""Where Digital Music's two files are looked for; without them the built-in world's reviews are read."""


@cache
def texts() -> tuple[list[list[str]], str]:
    """Reviews user by user, and whose they are."""
    by_user: dict[str, list[str]] = defaultdict(list)
    try:
        corpus = next(iter(Amazon2014(Amazon2014.Config(folder=FOLDER)).load().values()))
        named, pairs = "Digital Music", [(review.user, review.text) for review in corpus.reviews if review.text.strip()]
    except (FileNotFoundError, ValueError):
        named, pairs = "the built-in world", [(request.user, request.text) for request in requests(2)]
    for user, text in sorted(pairs):
        by_user[user].append(text)
    found, count = [], 0
    for own in islice(by_user.values(), REVIEWS):
        found.append(own)
        count += len(own)
        if count >= REVIEWS:
            break
    return found, named


@cache
def embedder(runtime: Runtime, dtype: Dtype = "float32") -> Any:
    made = EMBEDDERS.build(MiniLM.Config(device="cpu", runtime=runtime, dtype=dtype))
    made.encode(["a first text"])
    return made


def has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 in units of its own; others compute it as float32."""
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _flat() -> list[str]:
    return [text for own in texts()[0] for text in own]


def by_users(runtime: str = "openvino", dtype: str = "float32") -> Case:
    """As the authors' public code does it, in float32."""
    transformer = embedder("torch")._model

    @torch.inference_mode()
    def one_by_one() -> Tensor:
        found = []
        for own in texts()[0]:
            given = transformer.tokenizer(
                own, padding="max_length", max_length=LONGEST, truncation=True, return_tensors="pt"
            )
            found.append(transformer(dict(given))["sentence_embedding"])
        return normalize(torch.cat(found).float(), dim=1)

    cosine = 0.99999 if (runtime, dtype) == ("openvino", "float32") else 0.999
    against = f"a call a user, padded to {LONGEST} tokens, float32"
    return _case("embedding by users", runtime, dtype, against, one_by_one, goal=4, cosine=cosine)


def by_encode(runtime: str = "openvino", dtype: str = "float32") -> Case:
    """As sentence-transformers does it, in the same precision: sorted by length, 32 at a time."""
    transformer = embedder("torch", dtype)._model

    def encode() -> Tensor:
        return normalize(transformer.encode(_flat(), convert_to_tensor=True, show_progress_bar=False).float(), dim=1)

    against = f"sentence-transformers' `encode`, {dtype}"
    return _case("embedding", runtime, dtype, against, encode, goal=1.5, cosine=0.999)


def _case(name: str, runtime: str, dtype: str, against: str, alternative: Any, goal: float, cosine: float) -> Case:
    ours, (_, named) = embedder(runtime, dtype), texts()
    bits = "eight bits" if runtime == "openvino_int8" else dtype
    library = "torch" if runtime == "torch" else "OpenVINO"
    return Case(
        f"{name}, {bits}", f"{len(_flat())} reviews of {named}, MiniLM by {library}", against,
        lambda: ours.encode(_flat()), alternative,
        lambda a, b: bool((cosine_similarity(a, b) > cosine).all()), len(_flat()), "reviews/s", goal,
    )  # fmt: skip
