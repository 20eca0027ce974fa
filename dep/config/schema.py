"""The schema of a run's configuration: its fields, the registries of its slots, and the ranges of its values.

A slot is a field whose `kind` chooses a component: source, embedder, retriever, compressor or method. It holds the
`Config` of the chosen component. `loader.py` makes a RunConfig from files and overrides.
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
from dep.store.settings import StoreConfig
from dep.training.settings import TrainConfig
from dep.utils.errors import DepError
from dep.utils.fields import RUNTIME, numeric
from dep.utils.hashing import json_digest
from dep.utils.registry import ComponentConfig, Registry

SLOTS: dict[str, Registry[Any]] = {
    registry.slot: registry for registry in (SOURCES, EMBEDDERS, RETRIEVERS, COMPRESSORS, METHODS)
}
"""The registry of each slot; the slot holds the settings of one component of this registry."""


@dataclass
class RunConfig:
    """All settings of a run or of an arm."""

    source: ComponentConfig = field(default_factory=ComponentConfig)
    """Where the reviews come from; `kind` chooses the format."""
    embedder: ComponentConfig = field(default_factory=ComponentConfig)
    """The text embedding model f_emb; `kind` chooses how it is run."""
    retriever: ComponentConfig = field(default_factory=ComponentConfig)
    """Which past reviews enter the prompt; `kind` chooses the strategy."""
    compressor: ComponentConfig = field(default_factory=ComponentConfig)
    """How embeddings are compressed (Eq. 5); `kind` chooses the compressor."""
    method: ComponentConfig = field(default_factory=ComponentConfig)
    """Which system generates the reviews; `kind` chooses the method."""
    name: str = "run"
    """Name of the run's folder under `runs`."""
    label: str = ""
    """Name of this arm in tables; if empty, the method's label."""
    runs: str = "runs"
    """The folder that holds the folders of all runs."""
    cache: str = "cache"
    """The folder for vectors, prepared data and trained adapters, which runs share."""
    arms: list[str] = field(default_factory=list)
    """The arms of this run, by the names of their files in conf/arm; if empty, the run's configuration is the only
    arm."""
    vary: dict[str, list[Any]] = field(default_factory=dict)
    """Values to try for some settings, by dotted key; each arm runs once with each combination, as `arm@history=2`."""
    warm_start: str = ""
    """Name of the arm (in conf/arm) from whose trained adapter the training starts. That arm is trained for
    `train.warm_start_epochs` epochs, and this arm for the rest of `train.epochs`."""
    warm_start_config: RunConfig | None = field(default=None, repr=False, metadata={"omegaconf_ignore": True} | RUNTIME)
    """The configuration of the arm that `warm_start` names; the loader sets this."""
    compare: list[str] = field(default_factory=list)
    """Pairs of arms that are tested against each other, each written as `a - b` with the arms' names."""
    seeds: list[int] = field(default_factory=lambda: [0])
    """Each arm is trained, and generates its reviews, once with each of these seeds."""
    threads: int = 0
    """Number of CPU threads for each arm; 0 for all."""
    jobs: int = 0
    """Number of arms that run in parallel, each in a process. With 0 it is the number of cores divided by `threads`, or
    one if `threads` is 0."""
    wandb: Literal["disabled", "offline", "online"] = "offline"
    """Whether arms are logged to Weights & Biases; `wandb sync` uploads an `offline` run later."""
    protocol: ProtocolConfig = field(default_factory=ProtocolConfig)
    """How reviews are filtered and split."""
    difference: DifferenceConfig = field(default_factory=DifferenceConfig)
    """How differences are computed (Eq. 4)."""
    prompt: PromptConfig = field(default_factory=PromptConfig)
    """What the prompt holds (Figure 6)."""
    soft_prompt: SoftPromptConfig = field(default_factory=SoftPromptConfig)
    """Which soft tokens the prompt has, and which adapter computes them."""
    projector: ProjectorConfig = field(default_factory=ProjectorConfig)
    """How latents are projected to soft tokens (Eq. 6)."""
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    """Which frozen LLM is used."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """How the adapter is trained (Eq. 11)."""
    generate: GenerateConfig = field(default_factory=GenerateConfig)
    """How reviews are generated."""
    profile: ProfileConfig = field(default_factory=ProfileConfig)
    """Which model writes users' profiles for PAG and DPL."""
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    """Which metrics are computed, and how intervals are."""
    store: StoreConfig = field(default_factory=StoreConfig, metadata=RUNTIME)
    """How `dep update` keeps reviews that come after the run."""


_MINIMA = {
    "protocol.targets_used": 1, "protocol.val_examples": 1, "protocol.test_examples": 1,
    "protocol.held_out_targets": 1, "prompt.history": 0, "projector.tokens": 1, "train.align.epochs": 0,
    "train.align.held_out": 1, "train.epochs": 1, "train.max_examples": 1,
    "train.effective_batch": 1, "train.micro_batch": 1,
    "generate.batch_size": 1, "generate.max_new_tokens": 1, "generate.contrast": 0, "generate.contrast_floor": 0,
    "evaluate.batch_size": 1, "evaluate.n_boot": 1,
}  # fmt: skip
"""The smallest valid values of settings, by dotted key."""


class ConfigError(DepError):
    """Raised for an invalid configuration; the message names the key, what was expected and what to write instead."""


def check(config: RunConfig, prefix: str = "") -> None:
    """Check that values are in their ranges and names are valid; error messages begin with `prefix`.

    Raises:
        ConfigError: a value is outside its range, or a name is empty or repeated.
    """
    for key, minimum in _MINIMA.items():
        value: Any = config
        for name in key.split("."):
            value = getattr(value, name)
        if value is not None and value < minimum:
            raise ConfigError(f"{prefix}{key}: expected {minimum} or more, found {value}")
    shares = config.protocol.val_users, config.protocol.test_users
    if min(shares) <= 0 or sum(shares) >= 1:
        found = f"{shares[0]} and {shares[1]}"
        raise ConfigError(f"{prefix}protocol.val_users, test_users", "shares above 0, below 1 together", found)
    if (floor := config.generate.contrast_floor) > 1:
        raise ConfigError(f"{prefix}generate.contrast_floor: expected a share from 0 to 1, found {floor:g}")
    if not config.seeds or len(set(config.seeds)) < len(config.seeds):
        raise ConfigError(f"{prefix}seeds: expected one or more different numbers, as in [0,1], found {config.seeds}")
    if config.name != Path(config.name).name or config.name in ("", ".", ".."):
        raise ConfigError(f"{prefix}name: expected the name of a folder in {config.runs}, found {config.name!r}")
    if config.projector.start == "words" and config.projector.scale_to_embedding:
        raise ConfigError(
            f"{prefix}projector.scale_to_embedding: expected false with projector.start=words, whose soft tokens have "
            "the norm of words already, found true; set one of them to its default"
        )
    repeated = [name for at, name in enumerate(config.arms) if name in config.arms[:at]]
    if repeated:
        raise ConfigError(f"{prefix}arms: {repeated[0]} is named twice; name each arm once")


def build(config: RunConfig, slot: str, *args: Any) -> Any:
    """Build the component that `config` chooses for `slot`; further arguments are passed to its class."""
    return SLOTS[slot].build(getattr(config, slot), *args)


def as_dict(config: RunConfig) -> dict[str, Any]:
    """Convert a configuration to plain values."""
    values = asdict(replace(config, warm_start_config=None))
    del values["warm_start_config"]
    return values


def identity(config: RunConfig, *keys: str) -> str:
    """Hash some parts of a configuration, given by dotted `keys`; fields that do not affect results are left out."""
    plain = numeric(config)
    parts = {}
    for key in keys:
        value: Any = plain
        for name in key.split("."):
            value = value[name]
        parts[key] = value
    return json_digest(parts)


def pairs(run: RunConfig) -> list[tuple[str, str]]:
    """Parse `compare` into pairs of arms' names.

    Raises:
        ConfigError: an entry is not of the form `arm - arm`.
    """
    split = [[name.strip() for name in pair.split(" - ")] for pair in run.compare]
    bad = [pair for pair, names in zip(run.compare, split, strict=True) if len(names) != 2]
    if bad:
        raise ConfigError(f"compare: expected 'arm - arm', found {bad[0]!r}")
    return [(a, b) for a, b in split]


def label(config: RunConfig) -> str:
    """Return the name of an arm in tables: its own label, or else that of its method."""
    return config.label or str(METHODS.component(config.method.kind).label)
