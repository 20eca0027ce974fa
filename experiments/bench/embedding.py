"""Embedding reviews, against one call a user, each padded to the longest possible."""

from __future__ import annotations

from collections import defaultdict
from itertools import islice

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from dep.data.embed import EMBEDDERS
from experiments.bench.measure import Case
from experiments.bench.world import requests

LONGEST = 256
"""Tokens that MiniLM reads at most."""


def case(reviews: int = 600) -> Case:
    """Reviews of the built-in world; `python -m experiments.bench source=/path/to/amazon2014` takes real ones."""
    by_user: dict[str, list[str]] = defaultdict(list)
    for request in islice(requests(2), reviews):
        by_user[request.user].append(request.text)
    texts = [text for own in by_user.values() for text in own]
    kind = EMBEDDERS["minilm"]
    embedder = kind(kind.Config(batch_size=64))
    embedder.encode(texts[:2])
    transformer = embedder._model

    @torch.inference_mode()
    def by_users() -> Tensor:
        found = []
        for own in by_user.values():
            given = transformer.tokenizer(
                own, padding="max_length", max_length=LONGEST, truncation=True, return_tensors="pt"
            )
            found.append(transformer(dict(given))["sentence_embedding"])
        return normalize(torch.cat(found).float(), dim=1)

    return Case(
        "embedding", f"{len(texts)} reviews, all-MiniLM-L6-v2", f"a call a user, padded to {LONGEST} tokens",
        lambda: embedder.encode(texts), by_users,
        lambda ours, theirs: bool((cosine_similarity(ours, theirs) > 0.99999).all()),
        len(texts), "reviews/s", 4,
    )  # fmt: skip
