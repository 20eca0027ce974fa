"""One arm of a run at one seed: its folder, and the keys that say what in the folder is still good.

    adapter key      everything that training depends on
    prediction key   that, the method at test time, and decoding
    score key        that, and the metrics

`state.json` in the folder holds the key of each finished stage, and what its file hashes to. A stage whose key stands
there, with its file as it was left, is not done again; any other is, and what an interrupted stage left behind is used
only if it was begun under the same key. In the cache a manifest beside a file says the same of it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from dep.config.schema import RunConfig, build, identity, label
from dep.data.prompts.settings import PromptConfig
from dep.methods import Method
from dep.models.adapters.files import is_intact
from dep.models.backbones.load import stamp
from dep.models.settings import SoftPromptConfig
from dep.training.settings import TrainConfig
from dep.utils.atomic_io import read_json, write_json, write_text
from dep.utils.errors import DepError

TEXTLESS = "_textless"
"""Ends the name of an arm that another goes on from."""
_DATA = ("embedder", "retriever", "difference", "protocol")
_ADAPTER = ("compressor", "projector", "backbone", "train")
_DISPLAY = ("train.progress", "train.devices")


@dataclass(frozen=True)
class Arm:
    """A system of the comparison, ready to be trained or asked.

    `source` is the fingerprint of the reviews, so that the same configuration on other reviews is another arm.
    """

    name: str
    config: RunConfig
    seed: int
    source: str

    @property
    def label(self) -> str:
        """What tables call it."""
        return label(self.config)

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return Path(self.config.runs) / self.config.name / self.name / f"seed{self.seed}"

    @cached_property
    def method(self) -> Method:
        """The method."""
        chosen: Method = build(self.config, "method")
        return chosen

    @cached_property
    def configured(self) -> tuple[PromptConfig, SoftPromptConfig]:
        """The prompt and soft prompt that the method makes of the run's."""
        prompt, soft = self.method.configure(self.config.prompt, self.config.soft_prompt)
        if not prompt.reads_user_history:
            prompt = replace(
                prompt, max_user_history=PromptConfig.max_user_history
            )  # not read, so no part of what is the same
        return prompt, replace(soft, slots=prompt.history)

    @property
    def needs_vectors(self) -> bool:
        """Whether anything of it reads the reviews' vectors."""
        return bool(self.configured[1].branches) or self.method.needs_peers

    @property
    def settings(self) -> TrainConfig:
        """How it is trained, after what `first` has learned."""
        train = replace(self.config.train, seed=self.seed)
        return replace(train, epochs=train.epochs - train.textless_epochs) if self.warm_start else train

    @cached_property
    def training_view(self) -> Arm:
        """The arm as its adapter is trained: with `train.history` past reviews a prompt, where that is set."""
        history = self.config.train.history
        fixed = self.configured[1].source == "constant"  # it has a vector of its own for each place
        if not history or fixed or not self.configured[0].history or history == self.config.prompt.history:
            return self
        named = f"{self.label}, taught on {history} past reviews"
        prompt = replace(self.config.prompt, history=history)
        return replace(self, config=replace(self.config, label=named, prompt=prompt))

    @cached_property
    def warm_start(self) -> Arm | None:
        """The arm whose adapter its training goes on from: the same without texts; None where there is none.

        Raises:
            ValueError: where no epoch would be left for the prompts with texts.
        """
        train, (prompt, _) = self.config.train, self.configured
        if not (self.method.trains and train.textless_epochs and prompt.text and prompt.history):
            return None
        if train.epochs <= train.textless_epochs:
            raise DepError(
                f"train.textless_epochs: expected fewer than train.epochs = {train.epochs}, of which they are a part, "
                f"found {train.textless_epochs}; set train.textless_epochs=0, or train.epochs="
                f"{train.textless_epochs + 1} or more"
            )
        config = replace(
            self.config,
            label=f"{self.label}, first without texts",
            prompt=replace(self.config.prompt, text=False),
            train=replace(train, epochs=train.textless_epochs, textless_epochs=0),
        )
        return replace(self, name=self.name + TEXTLESS, config=config)

    @cached_property
    def _stands_on(self) -> list[str]:
        """What no field of the configuration tells: which reviews, and which weights."""
        return [self.source, stamp(self.config.backbone)]

    @property
    def _taught_on(self) -> str:
        """The part of the configuration that says which examples there are to learn from; tests are none of them."""
        return identity(replace(self.config, protocol=replace(self.config.protocol, test_examples=None)), *_DATA)

    @cached_property
    def adapter_key(self) -> str:
        """Names the trained weights. Equal for two arms that differ at test time alone."""
        if self.training_view is not self:
            return self.training_view.adapter_key
        prompt, soft = self.configured
        quiet = {name.split(".")[1]: None for name in _DISPLAY}
        config = replace(self.config, train=replace(self.config.train, seed=self.seed))
        parts = [*self._stands_on, self._taught_on, identity(config, *_ADAPTER[:-1]), vars(prompt), vars(soft)]
        trained = {name: value for name, value in vars(config.train).items() if name != "history"}  # see `taught`
        encoder = [self.encoder_key] if self.method.pretrains else []
        return _hash([*parts, trained | quiet, *encoder])

    @property
    def encoder_key(self) -> str:
        """Names what a user encoder learned by itself; the LLM and the way into it have no part in that."""
        user = self.configured[1].user_llm
        learned = [user.encoder, user.pretrain_epochs, user.pretrain_lr, self.configured[0].max_user_history, self.seed]
        return _hash([self.source, self._taught_on, learned, self.configured[1].standardize])

    @property
    def adapter_home(self) -> Path:
        """Where in the cache its trained weights are, for all arms that share them."""
        return Path(self.config.cache) / "adapters" / self.adapter_key[:16]

    @property
    def adapter_is_cached(self) -> bool:
        """Whether its trained weights are in the cache."""
        return is_intact(self.adapter_home / "adapter.safetensors")

    @cached_property
    def prediction_key(self) -> str:
        """Names the generated texts and likelihoods."""
        decoding = {k: v for k, v in vars(self.config.generate).items() if k not in ("progress", "batch_size")}
        soft = self.method.trains or bool(self.configured[1].branches)
        trained: Any = self.adapter_key if soft else [*self._stands_on, *map(vars, self.configured)]
        if self.training_view is not self:
            trained = [trained, *map(vars, self.configured)]
        profile = ("profile",) if self.method.profiles else ()
        parts = identity(self.config, *_DATA, "backbone", "method", *profile)
        return _hash([trained, parts, decoding, self.seed, self.config.evaluate.texts])

    @cached_property
    def score_key(self) -> str:
        """Names the scores."""
        return _hash([self.prediction_key, identity(self.config, "evaluate.metrics")])

    def finished(self, stage: str) -> bool:
        """Whether `train`, `generate` or `evaluate` has nothing left to do."""
        if stage == "train":
            adapter = self.folder / "adapter.safetensors"
            return not self.method.trains or (self.done("adapter", self.adapter_key) and is_intact(adapter))
        name, key = self._file(stage)
        return self.done(name, key) and self._state().get(f"{name} sha256") == _digest(self.folder / f"{name}.jsonl")

    def complete(self, stage: str) -> None:
        """Note that `generate` or `evaluate` is finished, and keep its file in the cache for other runs."""
        self._note(stage)
        name, key = self._file(stage)
        path, kept = self.folder / f"{name}.jsonl", self._cached_file(name, key)
        write_text(kept, path.read_text(encoding="utf-8"))
        cost = read_json(self.folder / "cost.json") if stage == "generate" else {}
        write_json(kept.with_suffix(".json"), {"sha256": _digest(kept), "cost": cost})

    def restore(self, stage: str) -> bool:
        """Take the file of `generate` or `evaluate` from the cache, where another run has made it."""
        if not self.is_cached(stage):
            return False
        name, key = self._file(stage)
        kept = self._cached_file(name, key)
        write_text(self.folder / f"{name}.jsonl", kept.read_text(encoding="utf-8"))
        if cost := read_json(kept.with_suffix(".json"))["cost"]:
            write_json(self.folder / "cost.json", cost)
        self._note(stage)
        self.finish(f"{name} taken from", str(kept))
        return True

    def is_cached(self, stage: str) -> bool:
        """Whether another run has left the file of `generate` or `evaluate` in the cache, and nothing has cut it."""
        kept = self._cached_file(*self._file(stage))
        return kept.is_file() and read_json(kept.with_suffix(".json")).get("sha256") == _digest(kept)

    def _note(self, stage: str) -> None:
        name, key = self._file(stage)
        self.finish(f"{name} sha256", _digest(self.folder / f"{name}.jsonl"))
        self.finish(name, key)

    def _file(self, stage: str) -> tuple[str, str]:
        return {"generate": ("predictions", self.prediction_key), "evaluate": ("scores", self.score_key)}[stage]

    def _cached_file(self, name: str, key: str) -> Path:
        return Path(self.config.cache) / name / f"{key[:16]}.jsonl"

    def done(self, stage: str, key: str) -> bool:
        """Whether `stage` was finished under `key`."""
        return bool(self._state().get(stage) == key)

    def has_mark(self, name: str) -> bool:
        """Whether anything was noted under `name`."""
        return name in self._state()

    def finish(self, stage: str, key: str) -> None:
        """Note that `stage` is finished under `key`; called after its files are in place."""
        write_json(self.folder / "state.json", self._state() | {stage: key})

    def _state(self) -> dict[str, str]:
        return read_json(self.folder / "state.json")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
