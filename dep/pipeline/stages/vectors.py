"""What comes before any arm: filtered reviews, and their vectors."""

from __future__ import annotations

import time
from collections.abc import Mapping

import torch

from dep.config.schema import RunConfig, identity
from dep.data.statistics import statistics_of
from dep.pipeline.arm import Arm
from dep.pipeline.resources import Resources


def prepare(resources: Resources, run: RunConfig) -> None:
    """Filter and split the source, and say what is left (Table 4)."""
    made = resources.prepared(run)
    counted = statistics_of(made.corpora, made.examples)
    sizes = "; ".join(f"{c.category} {c.reviews} reviews, {c.users} users, {c.items} items" for c in counted.corpora)
    splits: dict[str, int] = {}
    for row in counted.splits:
        splits[row.split] = splits.get(row.split, 0) + row.examples
    shares = ", ".join(f"{count} {split}" for split, count in splits.items())
    resources.console.print(f"[bold]prepare[/] {sizes}\n        examples: {shares}; in {resources.prepared_folder}")


def embed(resources: Resources, configs: Mapping[str, RunConfig]) -> None:
    """Fill the vector caches of all arms."""
    asked: set[str] = set()
    for config in configs.values():
        key = identity(config, "embedder", "difference", "protocol")
        if key in asked or not Arm("", config, 0, "").needs_vectors:
            continue
        asked.add(key)
        began = time.time()
        made, cache = resources.prepared(config), resources.cache(config)
        peers = [cache.vectors(corpus, made.pool[category]).peers_N for category, corpus in made.corpora.items()]
        every = torch.cat(peers)
        resources.console.print(
            f"[bold]embed[/] {len(every)} reviews by {cache.embedder.name}, {every.float().mean():.1f} peers each, "
            f"{int((every == 0).sum())} without; {time.time() - began:.1f} s; in {config.cache}"
        )
