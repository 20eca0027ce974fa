"""A trained adapter from a folder, used without training on users on whom nothing was trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from dep.data.prompts.requests import Requests
from dep.data.prompts.settings import PromptConfig
from dep.methods.base import ActivationContext, Method, Role
from dep.methods.controls.shuffled import with_others_vectors
from dep.models.settings import SoftPromptConfig
from dep.types import Example, Request, UserHistory
from dep.utils.atomic_io import read_json
from dep.utils.errors import DepError, MissingFile
from dep.utils.registry import ComponentConfig

SHIPPED = Path(__file__).resolve().parents[1] / "models" / "adapters" / "trained"
"""Folder of the adapters that come with the package, one folder each."""


class Trained(Method):
    """The adapter of a folder. The run must have the compressor, projector and backbone that it was trained with."""

    kind = "trained"
    label = "DEP, trained on other people"
    role: Role = "own"

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """Which adapter is used, and with whose vectors."""

        kind: Literal["trained"] = "trained"
        adapter: str = "smollm2_english"
        """A folder with adapter.safetensors and adapter_config.json, such as runs/demo/dep/seed0, or the name of an
        adapter that comes with the package."""
        vectors: Literal["own", "others"] = "own"
        """Whose vectors a prompt holds: the user's `own`, or as a control those of another user, `others`."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.adapter, self.vectors = config.adapter, config.vectors
        with suppress(MissingFile):  # which `adapter_file` raises where the adapter is needed
            self.reads_activations = self._trained_by.reads_activations

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
            f"method.adapter={self.adapter}", "a folder with adapter.safetensors", "none",
            f"name the folder of a trained arm, or an adapter of the package ({', '.join(shipped) or 'there is none'})",
        )  # fmt: skip

    @cached_property
    def _trained_by(self) -> Method:
        """The method that trained the adapter."""
        from dep.methods import METHODS

        path = self.adapter_file.with_name("adapter_config.json")
        kind = read_json(path).get("config", {}).get("method", {}).get("kind")
        if kind is None:
            raise DepError(str(path), "the configuration of the training", "none", "copy it beside adapter.safetensors")
        method: Method = METHODS.build(METHODS.config_class(kind)())
        return method

    def configure(self, prompt: PromptConfig, soft: SoftPromptConfig) -> tuple[PromptConfig, SoftPromptConfig]:
        """Configure prompt and soft prompt as the method that trained the adapter."""
        return self._trained_by.configure(prompt, soft)

    def history_reader(self, soft: SoftPromptConfig, context: ActivationContext) -> Callable[[Example], UserHistory]:
        """Return what reads the history of an example's user, as the method that trained the adapter does."""
        return self._trained_by.history_reader(soft, context)

    def transform_test_requests(self, requests: Requests, seed: int) -> Sequence[Request]:
        """Give the requests another user's vectors if the settings say so."""
        return requests if self.vectors == "own" else with_others_vectors(requests, seed)
