"""Base class of the built-in worlds: files in the schema of Amazon 2023, written on first use and read like others."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from dep.data.sources.amazon2023 import Amazon2023
from dep.types import Corpus


class GeneratedSource:
    """Reads the files of a world from `path`, which a subclass writes on first use."""

    @cached_property
    def path(self) -> Path:
        """The folder of the world's files."""
        raise NotImplementedError

    def load(self) -> dict[str, Corpus]:
        """Write the world to disk if it is not there yet, and read it."""
        return self._files.load()

    def fingerprint(self) -> str:
        """Return the SHA-256 of the world's files."""
        return self._files.fingerprint()

    @cached_property
    def _files(self) -> Amazon2023:
        return Amazon2023(Amazon2023.Config(folder=str(self.path)))
