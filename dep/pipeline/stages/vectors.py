"""The two stages before the arms: prepare, which filters and splits reviews, and embed, which computes vectors."""

from __future__ import annotations

import time
from collections.abc import Mapping

import torch
from rich.markup import escape

from dep.config.schema import RunConfig, identity
from dep.data.protocol import ReviewDataset
from dep.data.statistics import statistics_of
from dep.pipeline.arm import Arm
from dep.pipeline.resources import Resources


def prepare(resources: Resources, run: RunConfig) -> None:
    """Filter and split the reviews of the source, and print statistics of the result (Table 4)."""
    prepared = resources.prepared(run)
    statistics = statistics_of(prepared.corpora, prepared.examples)
    sizes = "; ".join(f"{c.category} {c.reviews} reviews, {c.users} users, {c.items} items" for c in statistics.corpora)
    splits: dict[str, int] = {}
    for row in statistics.splits:
        splits[row.split] = splits.get(row.split, 0) + row.examples
    shares = ", ".join(f"{count} {split}" for split, count in splits.items())
    resources.console.print(f"[bold]prepare[/] {sizes}\n        examples: {shares}; in {resources.prepared_folder}")
    print_notes(resources, prepared)


def print_notes(resources: Resources, prepared: ReviewDataset) -> None:
    """Print what the source lacks and what the filters left out for it."""
    for note in prepared.notes:
        resources.console.print(f"        [yellow]{escape(note)}[/]", highlight=False)


def embed(resources: Resources, configs: Mapping[str, RunConfig]) -> None:
    """Compute the vectors that the arms need, unless they are in the cache."""
    done: set[str] = set()
    for config in configs.values():
        key = identity(config, "embedder", "difference", "protocol")
        if key in done or not Arm("", config, 0, "").needs_vectors:
            continue
        done.add(key)
        start = time.time()
        prepared, cache = resources.prepared(config), resources.cache(config)
        pool = prepared.pool
        peers_N = torch.cat([cache.vectors(c, pool[name]).peers_N for name, c in prepared.corpora.items()])
        resources.console.print(
            f"[bold]embed[/] {len(peers_N)} reviews by {cache.embedder.name}, {peers_N.float().mean():.1f} peers each, "
            f"{int((peers_N == 0).sum())} without; {time.time() - start:.1f} s; in {config.cache}"
        )
