"""One world of the experiment: its vectors, its labelled histories, and a user encoder pretrained on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, NamedTuple

import torch

from dep.config.schema import RunConfig
from dep.data.protocol import prepare
from dep.data.sources import SyntheticSource
from dep.data.synthetic.truth import truth_of
from dep.data.user_history import UserHistoryReader
from dep.data.vectors.store import Vectors, VectorStore
from dep.models.adapters.user_llm.encoder import UserEncoder
from dep.training.pretraining import PretrainMetrics, pretrain
from experiments.drift.labels import LabelledHistories, label_histories


class World(NamedTuple):
    """A world with everything that its history vectors are computed from."""

    vectors: dict[str, Vectors]
    labelled: LabelledHistories
    reader: UserHistoryReader
    encoder: UserEncoder
    untrained: UserEncoder
    metrics: PretrainMetrics


def build(config: RunConfig, source: SyntheticSource, drifting: SyntheticSource, cache: VectorStore) -> World:
    """Prepare, embed and pretrain like a run of User-LLM.

    As in a run, the encoder trains on the training targets of all users. It does not see their traits.

    Args:
        config: protocol and settings of the encoder.
        source: the world.
        drifting: the same world with drift, which says when a user's second half begins.
        cache: store of the vectors.
    """
    dataset = prepare(source, config.protocol)
    vectors = {category: cache.vectors(corpus, dataset.pool[category]) for category, corpus in dataset.corpora.items()}
    # No encoder reads a request here; without examples the reader does not embed any.
    reader = UserHistoryReader(dataset._replace(examples=[]), cache, vectors, config.prompt.max_user_history)
    train = [e for e in dataset.examples if e.split == "train"]
    sequences = reader.sequences(train)
    his_NE = torch.cat([history.his for of_category in sequences.values() for history, _ in of_category]).double()
    statistics = his_NE.mean(0).float(), his_NE.std(0).float()
    settings, seed = config.soft_prompt.user_llm, config.seeds[0]

    def encoder() -> UserEncoder:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return UserEncoder(
                settings.encoder, his_NE.shape[1], len(vectors), config.prompt.max_user_history, statistics
            )

    trained, catalogues = encoder(), {category: reader.catalogue(category) for category in sequences}
    metrics = pretrain(
        trained, sequences, catalogues, epochs=settings.pretrain_epochs, lr=settings.pretrain_lr, seed=seed
    )
    labelled = label_histories(dataset, _truth(source, vectors), _truth(drifting, vectors))
    return World(vectors, labelled, reader, trained, encoder(), metrics)


def worlds(config: RunConfig) -> tuple[SyntheticSource, SyntheticSource]:
    """Return the world of a configuration without and with its drift.

    Raises:
        ValueError: `source.drift` is 0.
    """
    plain = {k: v for k, v in vars(config.source).items() if k != "kind"}
    drifting = SyntheticSource.Config(**plain)
    if not drifting.drift:
        raise ValueError("source.drift: expected a share above 0, found 0; there would be nothing to compare")
    return SyntheticSource(replace(drifting, drift=0.0)), SyntheticSource(drifting)


def _truth(source: SyntheticSource, categories: Iterable[str]) -> dict[str, Any]:
    return {c: truth_of(source.path, c)["users"] for c in categories}
