"""The built-in world as a source: written to disk in the schema of Amazon 2023, then read as any other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dep.data.sources.amazon2023 import Amazon2023
from dep.data.synthetic.write import write_world
from dep.types import Corpus
from dep.utils.errors import DepError
from dep.utils.hashing import json_digest
from dep.utils.registry import ComponentConfig

if TYPE_CHECKING:
    from dep.data.synthetic.trait_probe import TraitRow
    from dep.data.vectors.store import Vectors


class SyntheticSource:
    """Three categories of reviews whose truth is known; no download."""

    kind = "synthetic"

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """Seed and sizes of the world; sizes are for each of the three categories."""

        kind: Literal["synthetic"] = "synthetic"
        folder: str = "cache/worlds"
        """Where its files go."""
        seed: int = 0
        """Seed of the world, below 900,000; the built-in backbone was trained on worlds above."""
        users: int = 130
        """Number of users."""
        reviews_per_user: int = 14
        """Reviews of each user."""
        circles: int = 6
        """Groups of users with much the same items and one greeting."""
        items_per_circle: int = 30
        """Items that the members of a circle mostly review."""
        drift: float = 0.0
        """Share of a user's traits, 0 to 1, that change halfway through their reviews."""

    def __init__(self, config: Config) -> None:
        if not 0 <= config.seed < 900_000:
            raise DepError(
                f"source.seed: expected 0 to 899,999, found {config.seed}; the built-in backbone was trained on "
                "worlds of the other seeds"
            )
        if not 0 <= config.drift <= 1:
            raise DepError(f"source.drift: expected a share between 0 and 1, found {config.drift}")
        self.config = config

    def load(self) -> dict[str, Corpus]:
        """Write the world if need be, and read it back."""
        return self._files.load()

    def fingerprint(self) -> str:
        """A SHA-256 of the files."""
        return self._files.fingerprint()

    def planted(self, corpora: Mapping[str, Corpus], vectors: Mapping[str, Vectors]) -> list[TraitRow]:
        """Probe the vectors for the planted sayings."""
        from dep.data.synthetic.trait_probe import planted

        return planted(corpora, vectors, self.path)

    @cached_property
    def path(self) -> Path:
        """The folder of this very world, written if need be; holds `truth_<Category>.json` too."""
        size = {name: value for name, value in asdict(self.config).items() if name not in ("kind", "folder", "seed")}
        if not self.config.drift:
            del size["drift"]  # the folder of a world without is the one that it had before there was any
        short = json_digest(size)[:8]
        folder = Path(self.config.folder) / f"seed{self.config.seed}-{short}"
        write_world(folder, self.config.seed, **size)
        return folder

    @cached_property
    def _files(self) -> Amazon2023:
        return Amazon2023(Amazon2023.Config(folder=str(self.path)))
