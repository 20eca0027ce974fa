"""One world of the experiment: its reviews and vectors, what is asked, and a user encoder that learned from it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, NamedTuple

import torch

from dep.config.schema import RunConfig
from dep.data.protocol import prepare
from dep.data.sources import SyntheticSource
from dep.data.user_history import UserHistoryReader
from dep.data.vectors.store import Vectors, VectorStore
from dep.models.adapters.user_llm.encoder import UserEncoder
from dep.training.pretraining import PretrainMetrics, pretrain
from experiments.drift.asked import Asked, asked


class WorldOf(NamedTuple):
    """What pasts are made of."""

    vectors: dict[str, Vectors]
    asked: Asked
    reader: UserHistoryReader
    encoder: UserEncoder
    untrained: UserEncoder
    told: PretrainMetrics


def build(config: RunConfig, source: SyntheticSource, drifting: SyntheticSource, cache: VectorStore) -> WorldOf:
    """Prepare, embed and pretrain, as a run of User-LLM does.

    The encoder has read the training targets of the users who are asked, as in a run, and nothing of their traits.

    Args:
        config: protocol, and the encoder's settings.
        source: the world.
        drifting: the same with drift, for when a user's second half begins.
        cache: of vectors.
    """
    made = prepare(source, config.protocol)
    vectors = {category: cache.vectors(corpus, made.pool[category]) for category, corpus in made.corpora.items()}
    # Without examples it embeds no request: no encoder reads one.
    reader = UserHistoryReader(made._replace(examples=[]), cache, vectors, config.prompt.max_user_history)
    train = [e for e in made.examples if e.split == "train"]
    sequences = reader.sequences(train)
    his_NE = torch.cat([past.his for mine in sequences.values() for past, _ in mine]).double()
    statistics = his_NE.mean(0).float(), his_NE.std(0).float()
    settings, seed = config.soft_prompt.user_llm, config.seeds[0]

    def encoder() -> UserEncoder:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return UserEncoder(
                settings.encoder, his_NE.shape[1], len(vectors), config.prompt.max_user_history, statistics
            )

    trained, catalogues = encoder(), {category: reader.catalogue(category) for category in sequences}
    told = pretrain(trained, sequences, catalogues, epochs=settings.pretrain_epochs, lr=settings.pretrain_lr, seed=seed)
    found = asked(made, _truth(source, vectors), _truth(drifting, vectors))
    return WorldOf(vectors, found, reader, trained, encoder(), told)


def worlds(config: RunConfig) -> tuple[SyntheticSource, SyntheticSource]:
    """The world of a configuration without and with its drift.

    Raises:
        ValueError: it has none.
    """
    plain = {k: v for k, v in vars(config.source).items() if k != "kind"}
    drifting = SyntheticSource.Config(**plain)
    if not drifting.drift:
        raise ValueError("source.drift: expected a share above 0, found 0; there would be nothing to compare")
    return SyntheticSource(replace(drifting, drift=0.0)), SyntheticSource(drifting)


def _truth(source: SyntheticSource, categories: Iterable[str]) -> dict[str, Any]:
    return {c: json.loads((source.path / f"truth_{c}.json").read_text(encoding="utf-8"))["users"] for c in categories}
