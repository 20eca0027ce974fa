"""Reads and writes the files of an arm: those in its folder, and copies of its results in the cache.

An arm is one system of a comparison, here at one seed. `state.json` in the folder holds the key of each finished stage
and the digest of the stage's file. A stage is done if its current key is recorded and its file has the recorded digest.
The output of an interrupted stage is used only if the stage began under the same key. In the cache, a manifest beside
each file holds the file's digest.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from dep.models.adapters.files import is_intact
from dep.pipeline.arm import Arm
from dep.pipeline.keys import adapter_key, alignment_key, encoder_key, prediction_key, score_key, users_key
from dep.utils.atomic_io import read_json, write_json, write_text
from dep.utils.hashing import file_digest


class ArmStore:
    """Reads and writes the files of one arm.

    Args:
        arm: the arm.
    """

    def __init__(self, arm: Arm) -> None:
        self.arm, self.folder = arm, arm.folder

    @property
    def adapter_home(self) -> Path:
        """The cache's folder for the trained adapter, which all arms with the same adapter key share."""
        return Path(self.arm.config.cache) / "adapters" / adapter_key(self.arm)[:16]

    @property
    def encoder_home(self) -> Path:
        """The cache's folder for the arm's pretrained user encoder."""
        return Path(self.arm.config.cache) / "encoders" / encoder_key(self.arm)[:16]

    @property
    def alignment_home(self) -> Path:
        """The cache's folder for the aligned adapter from which the arm's training starts."""
        return Path(self.arm.config.cache) / "aligned" / alignment_key(self.arm)[:16]

    @property
    def alignment_is_cached(self) -> bool:
        """Whether the cache holds the aligned adapter."""
        return is_intact(self.alignment_home / "adapter.safetensors")

    @property
    def users_home(self) -> Path:
        """The cache's folder for the LoRAs of single users."""
        return Path(self.arm.config.cache) / "users" / users_key(self.arm)[:16]

    @property
    def adapter_is_cached(self) -> bool:
        """Whether the cache holds the trained adapter."""
        return is_intact(self.adapter_home / "adapter.safetensors")

    def finished(self, stage: str) -> bool:
        """Return whether the stage (`train`, `generate` or `evaluate`) has nothing left to do."""
        if stage == "train":
            adapter = self.folder / "adapter.safetensors"
            return not self.arm.method.trains or (self.done("adapter", adapter_key(self.arm)) and is_intact(adapter))
        name, key = self._file(stage)
        return self.done(name, key) and self._state().get(f"{name} sha256") == _digest(self.folder / f"{name}.jsonl")

    def complete(self, stage: str) -> None:
        """Record that the stage `generate` or `evaluate` is finished, and copy its file into the cache."""
        self._record(stage)
        name, key = self._file(stage)
        path, cached = self.folder / f"{name}.jsonl", self._cached_file(name, key)
        write_text(cached, path.read_text(encoding="utf-8"))
        cost = read_json(self.folder / "cost.json") if stage == "generate" else {}
        write_json(cached.with_suffix(".json"), {"sha256": _digest(cached), "cost": cost})

    def restore(self, stage: str) -> bool:
        """Copy the file of the stage `generate` or `evaluate` from the cache; return whether the cache had it."""
        if not self.is_cached(stage):
            return False
        name, key = self._file(stage)
        cached = self._cached_file(name, key)
        write_text(self.folder / f"{name}.jsonl", cached.read_text(encoding="utf-8"))
        if cost := read_json(cached.with_suffix(".json"))["cost"]:
            write_json(self.folder / "cost.json", cost)
        self._record(stage)
        self.finish(f"{name} taken from", str(cached))
        return True

    def is_cached(self, stage: str) -> bool:
        """Return whether the cache holds the complete file of the stage `generate` or `evaluate`."""
        cached = self._cached_file(*self._file(stage))
        return cached.is_file() and read_json(cached.with_suffix(".json")).get("sha256") == _digest(cached)

    def _record(self, stage: str) -> None:
        name, key = self._file(stage)
        self.finish(f"{name} sha256", _digest(self.folder / f"{name}.jsonl"))
        self.finish(name, key)

    def _file(self, stage: str) -> tuple[str, str]:
        return ("predictions", prediction_key(self.arm)) if stage == "generate" else ("scores", score_key(self.arm))

    def _cached_file(self, name: str, key: str) -> Path:
        return Path(self.arm.config.cache) / name / f"{key[:16]}.jsonl"

    def done(self, stage: str, key: str) -> bool:
        """Return whether `stage` is recorded as finished under `key`."""
        return bool(self._state().get(stage) == key)

    def forget(self, stages: Sequence[str]) -> None:
        """Remove the results of some stages from the folder's state and from the cache.

        Args:
            stages: any of `train`, `generate` and `evaluate`.
        """
        state = self._state()
        for stage in stages:
            if stage == "train":
                if self.arm.method.trains:
                    self._forget_adapter()
                names = ["adapter"]
            else:
                name, key = self._file(stage)
                cached = self._cached_file(name, key)
                for path in (cached, cached.with_suffix(".json")):
                    path.unlink(missing_ok=True)
                names = [name, "begun"] if stage == "generate" else [name]
                if stage == "generate" and self.arm.method.user_training:
                    shutil.rmtree(self.users_home, ignore_errors=True)
            for name in names:
                for mark in (name, f"{name} sha256", f"{name} taken from"):
                    state.pop(mark, None)
        if self.folder.is_dir():
            write_json(self.folder / "state.json", state)

    def _forget_adapter(self) -> None:
        view = self.arm.training_view
        for home in (self.adapter_home, ArmStore(view.uncalibrated).adapter_home):
            shutil.rmtree(home, ignore_errors=True)
        if view.warm_start:
            shutil.rmtree(ArmStore(view.warm_start).adapter_home, ignore_errors=True)
        if view.first.alignment_tasks:
            shutil.rmtree(ArmStore(view.first).alignment_home, ignore_errors=True)
        if self.arm.method.pretrains:
            shutil.rmtree(self.encoder_home, ignore_errors=True)

    def has_mark(self, name: str) -> bool:
        """Return whether `name` is recorded in the folder's state."""
        return name in self._state()

    def finish(self, stage: str, key: str) -> None:
        """Record that `stage` is finished under `key`; call this only after the stage's files are complete."""
        write_json(self.folder / "state.json", self._state() | {stage: key})

    def _state(self) -> dict[str, str]:
        return read_json(self.folder / "state.json")


def _digest(path: Path) -> str:
    return file_digest(path) if path.is_file() else ""
