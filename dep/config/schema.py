"""Schema of a run's configuration: its fields, the registries that fill its slots, and the ranges of its values.

A slot with a `kind` (source, embedder, retriever, compressor, method) holds the `Config` of the component of that kind.
`loader.py` makes a RunConfig from files and overrides.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from dep.data.embedders import EMBEDDERS
from dep.data.prompts.settings import PromptConfig
from dep.data.retrievers import RETRIEVERS
from dep.data.settings import ProtocolConfig
from dep.data.sources import SOURCES
from dep.data.vectors.settings import DifferenceConfig
from dep.evaluation.settings import EvaluateConfig
from dep.inference.settings import GenerateConfig
from dep.methods import METHODS
from dep.methods.profiles.settings import ProfileConfig
from dep.models.compressors import COMPRESSORS
from dep.models.settings import BackboneConfig, ProjectorConfig, SoftPromptConfig
from dep.training.settings import TrainConfig
from dep.utils.errors import DepError
from dep.utils.fields import RUNTIME, numeric
from dep.utils.hashing import json_digest
from dep.utils.registry import ComponentConfig, Registry

SLOTS: dict[str, Registry[Any]] = {
    registry.slot: registry for registry in (SOURCES, EMBEDDERS, RETRIEVERS, COMPRESSORS, METHODS)
}
"""Slot name -> registry; each slot of a configuration holds the settings of one component of its registry."""


@dataclass
class RunConfig:
    """All settings of a run or of one arm."""

    source: ComponentConfig = field(default_factory=ComponentConfig)
    """Where reviews come from; `kind` chooses the class."""
    embedder: ComponentConfig = field(default_factory=ComponentConfig)
    """f_emb; `kind` chooses the class."""
    retriever: ComponentConfig = field(default_factory=ComponentConfig)
    """Which past reviews enter the prompt; `kind` chooses the class."""
    compressor: ComponentConfig = field(default_factory=ComponentConfig)
    """Eq. 5; `kind` chooses the class."""
    method: ComponentConfig = field(default_factory=ComponentConfig)
    """Which system of the comparison; `kind` chooses the class."""
    name: str = "run"
    """Folder under `runs`."""
    label: str = ""
    """Name of this arm in tables; empty: the method's label."""
    runs: str = "runs"
    """Folder of all runs."""
    cache: str = "cache"
    """Folder of vectors, prepared data and trained adapters."""
    arms: list[str] = field(default_factory=list)
    """Names of files in conf/arm to compare in this run; empty: the run's own configuration is the only arm."""
    vary: dict[str, list[Any]] = field(default_factory=dict)
    """Dotted keys and their values: every arm is run once for each combination, as `arm@history=2` (Figure 2)."""
    warm_start: str = ""
    """Arm whose trained adapter is the starting point of the training, which then takes `train.epochs` less
    `train.warm_start_epochs` epochs; an arm in conf/arm, loaded with the same run and overrides."""
    warm_start_config: RunConfig | None = field(default=None, repr=False, metadata={"omegaconf_ignore": True} | RUNTIME)
    """The configuration of that arm; the loader fills it in."""
    compare: list[str] = field(default_factory=list)
    """Pairs of arms to test against each other, each `a - b` by their names."""
    seeds: list[int] = field(default_factory=lambda: [0])
    """Each arm is trained and generates once with each seed."""
    threads: int = 0
    """CPU threads for each arm; 0: all."""
    jobs: int = 0
    """Arms that run in parallel, one process each; 0: cores divided by `threads` where that is set, else one."""
    wandb: Literal["disabled", "offline", "online"] = "offline"
    """Weights & Biases logging of every arm; `wandb sync` uploads an offline run later."""
    protocol: ProtocolConfig = field(default_factory=ProtocolConfig)
    """Filters and splits."""
    difference: DifferenceConfig = field(default_factory=DifferenceConfig)
    """Eq. 4."""
    prompt: PromptConfig = field(default_factory=PromptConfig)
    """Figure 6."""
    soft_prompt: SoftPromptConfig = field(default_factory=SoftPromptConfig)
    """Which soft tokens the prompt has."""
    projector: ProjectorConfig = field(default_factory=ProjectorConfig)
    """Eq. 6."""
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    """The frozen LLM."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """Eq. 11 and its optimiser."""
    generate: GenerateConfig = field(default_factory=GenerateConfig)
    """Decoding."""
    profile: ProfileConfig = field(default_factory=ProfileConfig)
    """Who writes users' profiles for PAG and DPL."""
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    """Which metrics are computed."""


_MINIMA = {
    "protocol.targets_used": 1, "protocol.val_examples": 1, "protocol.test_examples": 1, "prompt.history": 0,
    "train.epochs": 1, "train.effective_batch": 1, "train.micro_batch": 1, "generate.batch_size": 1,
    "generate.max_new_tokens": 1, "evaluate.batch_size": 1, "evaluate.n_boot": 1,
}  # fmt: skip
"""Dotted key -> smallest valid value."""


class ConfigError(DepError):
    """An invalid configuration; the message names the key, what was expected and what to write instead."""


def check(config: RunConfig, prefix: str = "") -> None:
    """Refuse values that have the right type and are still invalid; `prefix` is prepended to error messages.

    Raises:
        ConfigError: a value is outside its range, or a name is empty or repeated.
    """
    for key, minimum in _MINIMA.items():
        part, name = key.split(".")
        value = getattr(getattr(config, part), name)
        if value is not None and value < minimum:
            raise ConfigError(f"{prefix}{key}: expected {minimum} or more, found {value}")
    if not config.seeds or len(set(config.seeds)) < len(config.seeds):
        raise ConfigError(f"{prefix}seeds: expected one or more different numbers, as in [0,1], found {config.seeds}")
    if config.name != Path(config.name).name or config.name in ("", ".", ".."):
        raise ConfigError(f"{prefix}name: expected the name of a folder in {config.runs}, found {config.name!r}")
    repeated = [name for at, name in enumerate(config.arms) if name in config.arms[:at]]
    if repeated:
        raise ConfigError(f"{prefix}arms: {repeated[0]} is named twice; name each arm once")


def build(config: RunConfig, slot: str, *args: Any) -> Any:
    """Build the component that fills `slot`; further arguments are passed to its class."""
    return SLOTS[slot].build(getattr(config, slot), *args)


def as_dict(config: RunConfig) -> dict[str, Any]:
    """The resolved configuration as plain values."""
    values = asdict(replace(config, warm_start_config=None))
    del values["warm_start_config"]
    return values


def identity(config: RunConfig, *keys: str) -> str:
    """Hash the parts of a configuration that `keys` name (dotted), without the fields that change no number."""
    plain = numeric(config)
    parts = {}
    for key in keys:
        value: Any = plain
        for name in key.split("."):
            value = value[name]
        parts[key] = value
    return json_digest(parts)


def pairs(run: RunConfig) -> list[tuple[str, str]]:
    """Parse `compare` into pairs of arm names.

    Raises:
        ConfigError: an entry is not of the form `arm - arm`.
    """
    split = [[name.strip() for name in pair.split(" - ")] for pair in run.compare]
    bad = [pair for pair, names in zip(run.compare, split, strict=True) if len(names) != 2]
    if bad:
        raise ConfigError(f"compare: expected 'arm - arm', found {bad[0]!r}")
    return [(a, b) for a, b in split]


def label(config: RunConfig) -> str:
    """Name of this arm in tables: its own label, or else the method's."""
    return config.label or str(METHODS.component(config.method.kind).label)
