"""Several embedders side by side, as one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dep.data.embedders.base import Embedder
from dep.utils.errors import DepError
from dep.utils.hashing import sequence_digest
from dep.utils.registry import ComponentConfig

if TYPE_CHECKING:
    from torch import Tensor


class Joined:
    """Puts the vectors of n embedders side by side: e = (e_1, ..., e_n) / sqrt(n), which has unit length.

    The difference is linear (Eq. 4: e_diff = e_his minus a mean of peers' e), so that each part's difference stands
    side by side in the same way: e_diff = (e_diff_1, ..., e_diff_n) / sqrt(n).

    Args:
        config: the settings of the parts.

    Raises:
        DepError: no part is named, or a part's settings are invalid.
        MissingFile: `config.fitted` has no fitted embedder.
    """

    kind = "joined"

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """Which embedders stand side by side, as in `{kind: joined, parts: [{kind: minilm}, {kind: style}]}`."""

        kind: Literal["joined"] = "joined"
        parts: list[dict[str, Any]]
        """The settings of each part, with its `kind`."""
        fitted: str = ""
        """A folder with the fitted weights of all parts that need fitting (embedder.safetensors), such as that of a
        trained adapter; if empty, they are fitted to the run's training population."""

    def __init__(self, config: Config) -> None:
        from dep.data.embedders.fitting import read_fitted

        if not config.parts:
            raise DepError("embedder.parts", "one embedder or more", "none", "name them, as in [{kind: minilm}]")
        self.parts: list[Embedder] = [_build(at, dict(part)) for at, part in enumerate(config.parts)]
        if config.fitted:
            read_fitted(Path(config.fitted), self)

    @property
    def name(self) -> str:
        """The name that reports show."""
        return " + ".join(part.name for part in self.parts)

    @property
    def dim(self) -> int:
        """E, the sum of the parts' widths."""
        return sum(part.dim for part in self.parts)

    @property
    def scale(self) -> float:
        """The factor of each part's vector: 1 / sqrt(number of parts)."""
        return 1 / math.sqrt(len(self.parts))

    def fingerprint(self) -> str:
        """Return a SHA-256 of the parts' fingerprints, in order."""
        return sequence_digest((part.fingerprint() for part in self.parts), salt=self.kind)

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Embed n texts with every part; return [n, E] float32, L2-normalised, on the CPU."""
        import torch

        return torch.cat([part.encode(texts) for part in self.parts], dim=1) * self.scale


def _build(number: int, settings: dict[str, Any]) -> Embedder:
    """Build a part from its settings."""
    from dep.data.embedders import EMBEDDERS

    config_class = EMBEDDERS.config_class(settings.get("kind", EMBEDDERS.default))
    known = [field.name for field in fields(config_class)]
    if unknown := [name for name in settings if name not in known]:
        raise DepError(f"embedder.parts.{number}.{unknown[0]}", f"one of {', '.join(known)}", "an unknown key")
    return EMBEDDERS.build(config_class(**{"kind": EMBEDDERS.default} | settings))
