"""Reads the reviews of a finished run, their vectors and its test requests, from any folder.

A run's configuration has paths that start from the folder in which the run was started. Here they start from the place
of the run's folder instead, so that the current folder does not matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import torch
from rich.console import Console
from torch import Tensor

from dep.config.loader import load_arms
from dep.config.schema import RunConfig
from dep.data.protocol import ReviewDataset
from dep.data.sources.synthetic import SyntheticSource
from dep.data.synthetic.trait_probe import sayings_of
from dep.evaluation.author_probe import ProbeRow, probe
from dep.evaluation.latents import Recovered, Unit, best_units, describe_units
from dep.models.compressors import COMPRESSORS
from dep.pipeline.personal.inputs import Ask
from dep.pipeline.resources import Resources
from dep.training.compressor_fit import code_of, fit_compressor
from dep.types import Corpus, Example, Review, Vectors
from dep.utils.errors import DepError, MissingFile


def open_run(folder: Path) -> tuple[RunConfig, dict[str, RunConfig]]:
    """Load the configuration of a run and those of its arms; relative paths of data and caches become absolute.

    Raises:
        MissingFile: the folder has no config.yaml.
    """
    path = folder.resolve() / "config.yaml"
    if not path.is_file():
        raise MissingFile(str(path), "the configuration of a run", "none", "name the folder of a finished run")
    run, arms = load_arms([path])
    started_in = path.parents[1 + len(Path(run.runs).parts)] if not Path(run.runs).is_absolute() else Path.cwd()
    return _anchored(run, started_in), {name: _anchored(config, started_in) for name, config in arms.items()}


def _anchored(config: RunConfig, started_in: Path) -> RunConfig:
    source = config.source
    if hasattr(source, "folder"):
        source = replace(source, **{"folder": str(started_in / source.folder)})
    warm_start = config.warm_start_config
    return replace(
        config, cache=str(started_in / config.cache), source=source,
        warm_start_config=None if warm_start is None else _anchored(warm_start, started_in),
    )  # fmt: skip


class TestRequest(NamedTuple):
    """A test request of a run, and what its user really wrote."""

    key: str
    """The key of the request in predictions and scores."""
    ask: Ask
    """The request, for a `dep.Personalizer`."""
    text: str
    """The user's real review."""


class FittedCode(NamedTuple):
    """A compressor that was fitted to differences alone, on users that it was not fitted to."""

    active_units: float
    """L0: the mean number of active units."""
    dead_units: float
    """The share of units that no vector activates."""
    explained_variance: float
    """1 for perfect reconstructions, 0 for those that are no better than the mean."""
    latents_NZ: Tensor
    """The latents of all reviews of the category."""


@dataclass(frozen=True)
class RunData:
    """The reviews of a finished run; each part is read or computed when it is first used.

    Args:
        folder: the run's folder.
    """

    folder: Path

    @cached_property
    def config(self) -> RunConfig:
        """The run's configuration, with absolute paths."""
        return open_run(self.folder)[0]

    @cached_property
    def resources(self) -> Resources:
        """What the run's arms share."""
        return Resources(self.config, Console(quiet=True))

    @cached_property
    def dataset(self) -> ReviewDataset:
        """The filtered reviews and the examples."""
        return self.resources.prepared(self.config)

    @property
    def categories(self) -> list[str]:
        """The names of the categories."""
        return list(self.dataset.corpora)

    def corpus(self, category: str) -> Corpus:
        """Return the reviews and items of a category.

        Raises:
            DepError: the run has no such category.
        """
        if category not in self.dataset.corpora:
            raise DepError(f"category {category!r}", f"one of {', '.join(self.categories)}", "none")
        return self.dataset.corpora[category]

    def vectors(self, category: str) -> Vectors:
        """Return the vectors of a category: `his_NE`, `diff_NE` and `peers_N`; row n belongs to review n.

        Raises:
            DepError: the run has no such category.
        """
        return self.resources.cache(self.config).vectors(self.corpus(category), self.dataset.pool[category])

    def requests(self, count: int | None = None) -> list[TestRequest]:
        """Return `count` test requests, evenly spaced over all categories; None for all."""
        examples = self._tests()
        if count is not None and count < len(examples):
            examples = [examples[(2 * at + 1) * len(examples) // (2 * count)] for at in range(count)]
        return [self._request(example) for example in examples]

    def past_reviews(self, key: str, newest: int = 2) -> list[Review]:
        """Return the newest past reviews of a test request, the newest first.

        Raises:
            DepError: the run has no test request of this key.
        """
        found = [example for example in self._tests() if example.key == key]
        if not found:
            raise DepError(f"request {key!r}", "the key of a test request", "none", "predictions.jsonl has the keys")
        reviews = self.corpus(found[0].category).reviews
        return [reviews[row] for row in found[0].profile[::-1][:newest]]

    def author_probe(self, category: str) -> list[ProbeRow]:
        """Measure how well the vectors of a category's reviews tell their author: for `his`, `diff` and `both`.

        Raises:
            DepError: fewer than two users have two reviews with peers.
        """
        corpus = self.corpus(category)
        return probe(corpus, self.vectors(category), range(len(corpus.reviews)))

    def planted(self, category: str) -> dict[str, set[str]]:
        """Return the concepts that each user of the built-in world often mentions, by the user's name.

        Raises:
            DepError: the reviews are not those of the built-in world.
        """
        if not isinstance(self.resources.source, SyntheticSource):
            raise DepError("planted traits", "a run on the built-in world", f"source.kind={self.config.source.kind}")
        return sayings_of(self.resources.source.path, category)

    def units(self, latents_NZ: Tensor, category: str, count: int = 8) -> list[Unit]:
        """Describe the units that vary most: how often each is active, its top reviews, its separating words.

        Args:
            latents_NZ: the latents of the category's reviews, from `Personalizer.latents`.
            category: the category.
            count: number of units.
        """
        return describe_units(latents_NZ, [review.text for review in self.corpus(category).reviews], count)

    def recovered(self, latents_NZ: Tensor, category: str) -> list[Recovered]:
        """Find the best unit for each planted saying on half of the users, and measure it on the other half.

        Args:
            latents_NZ: the latents of the category's reviews, from `Personalizer.latents`.
            category: the category.

        Raises:
            DepError: the reviews are not those of the built-in world.
        """
        users = [review.user for review in self.corpus(category).reviews]
        planted = self.planted(category)
        labels = sorted({saying for user in users for saying in planted[user]})
        has_NC = torch.tensor([[label in planted[user] for label in labels] for user in users])
        return best_units(latents_NZ, has_NC, labels, users)

    def codes(
        self, kinds: Mapping[str, Mapping[str, float]], category: str, latent: int = 128, steps: int = 200
    ) -> dict[str, FittedCode]:
        """Fit compressors to the differences of four fifths of a category's users, and measure them on the rest.

        Args:
            kinds: kinds of compressor that have a decoder, each with its settings where they are not the default.
                The activation is `relu`.
            category: the category.
            latent: number of units.
            steps: number of steps of each fit.
        """
        vectors, users = self.vectors(category), [review.user for review in self.corpus(category).reviews]
        number = {user: at for at, user in enumerate(sorted(set(users)))}
        held_out_N = torch.tensor([number[user] % 5 == 0 for user in users])
        seen_N = vectors.peers_N > 0
        mean_E, std_E = vectors.diff_NE[seen_N & ~held_out_N].mean(0), vectors.diff_NE[seen_N & ~held_out_N].std(0)
        diff_NE = (vectors.diff_NE - mean_E) / std_E.clamp(min=1e-6)
        found = {}
        for kind, own in kinds.items():
            settings = COMPRESSORS.config_class(kind)(latent=latent, activation="relu", **own)  # type: ignore[call-arg, arg-type]
            compressor = fit_compressor(settings, diff_NE[seen_N & ~held_out_N], steps=steps, progress=False)
            code = code_of(compressor, diff_NE[seen_N & held_out_N])
            with torch.no_grad():
                found[kind] = FittedCode(*code, compressor(diff_NE).latent)
        return found

    def _tests(self) -> list[Example]:
        return [example for example in self.dataset.examples if example.split == "test"]

    def _request(self, example: Example) -> TestRequest:
        corpus = self.corpus(example.category)
        review = corpus.reviews[example.row]
        item = corpus.items[review.item]
        ask = Ask(
            item=item.title, rating=review.rating, title=review.title, description=item.description, user=review.user,
            category=example.category, item_id=review.item,
        )  # fmt: skip
        return TestRequest(example.key, ask, review.text)
