"""A trained adapter from a folder, without training: it generates for users on whom nothing was trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dep.methods.dep import DEP
from dep.utils.errors import MissingFile
from dep.utils.registry import ComponentConfig

SHIPPED = Path(__file__).resolve().parents[1] / "models" / "adapters" / "trained"
"""Folder of the adapters that come with the package, one folder each."""


class Trained(DEP):
    """DEP with the adapter of a folder, whose compressor, projector and soft prompt the run must have too."""

    kind = "trained"
    label = "DEP, trained before"
    trains = False

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """The adapter that is used."""

        kind: Literal["trained"] = "trained"
        adapter: str = "smollm2_english"
        """A folder with adapter.safetensors, such as runs/demo/dep/seed0, or the name of an adapter that comes with the
        package."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.adapter = config.adapter

    @property
    def adapter_file(self) -> Path:
        """The file of the trained tensors.

        Raises:
            MissingFile: there is no such folder.
        """
        for folder in (SHIPPED / self.adapter, Path(self.adapter).expanduser()):
            if (file := folder / "adapter.safetensors").is_file():
                return file
        shipped = sorted(path.name for path in SHIPPED.iterdir() if path.is_dir()) if SHIPPED.is_dir() else []
        raise MissingFile(
            f"method.adapter={self.adapter}: expected a folder with adapter.safetensors, found none; name the folder "
            f"of a trained arm, or one of {', '.join(shipped) or 'none'} that come with the package"
        )
