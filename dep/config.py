"""What a run is: YAML files and `key=value` overrides, checked against the classes that they choose.

The only importer of omegaconf. A slot with a `kind` (source, embedder, retriever, compressor, method) takes the Config
of the class so named, so that a typo, a value of the wrong type, or a key of another variant fails here, by name.
An *arm* is one system of a comparison: the run's own configuration with `conf/arm/<name>.yaml` merged over it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, make_dataclass
from difflib import get_close_matches
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any, Literal

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException

from dep.data.difference import DifferenceConfig
from dep.data.embed import EMBEDDERS
from dep.data.prompt import PromptConfig
from dep.data.protocol import ProtocolConfig
from dep.data.retrieve import RETRIEVERS
from dep.data.sources import SOURCES
from dep.eval.settings import EvaluateConfig
from dep.methods import METHODS
from dep.model.backbone import Backbone
from dep.model.compressor import COMPRESSORS
from dep.model.generate import Generate
from dep.model.projector import Projector
from dep.model.soft_prompt import SoftPrompt
from dep.model.train import Train
from dep.profile.writer import ProfileConfig

CHOICES: dict[str, tuple[dict[str, Any], str]] = {
    "source": (SOURCES, "world"),
    "embedder": (EMBEDDERS, "minilm"),
    "retriever": (RETRIEVERS, "recency"),
    "compressor": (COMPRESSORS, "sae"),
    "method": (METHODS, "dep"),
}
"""Slot -> (its classes by kind, the kind taken where none is named)."""


@dataclass
class RunConfig:
    """Everything that a run depends on."""

    source: Any = None
    """Where reviews come from; `kind` chooses the class."""
    embedder: Any = None
    """f_emb; `kind` chooses the class."""
    retriever: Any = None
    """Which past reviews; `kind` chooses the class."""
    compressor: Any = None
    """Eq. 5; `kind` chooses the class."""
    method: Any = None
    """Which system; `kind` chooses the class."""
    name: str = "run"
    """Folder under `runs`."""
    label: str = ""
    """What tables call this arm; the method's own name where empty."""
    runs: str = "runs"
    """Folder of all runs."""
    cache: str = "cache"
    """Folder of vectors, prepared data and trained adapters."""
    arms: list[str] = field(default_factory=list)
    """Names of files in conf/arm, compared in this run; without any, the run is its own single arm."""
    vary: dict[str, list[Any]] = field(default_factory=dict)
    """Dotted keys and their values: every arm is there once for each, as `arm@history=2` (Figure 2)."""
    compare: list[str] = field(default_factory=list)
    """Pairs of arms to test against each other, each `a - b` by their names."""
    seeds: list[int] = field(default_factory=lambda: [0])
    """Each arm is trained and generates once a seed."""
    threads: int = 0
    """CPU threads of an arm; 0: all."""
    jobs: int = 0
    """How many arms go side by side, a process each; 0: as many as the cores hold where `threads` is set, else one."""
    wandb: Literal["disabled", "offline", "online"] = "offline"
    """Weights & Biases mirrors every arm; offline, `wandb sync` sends it later."""
    protocol: ProtocolConfig = field(default_factory=ProtocolConfig)
    """Filters and splits."""
    difference: DifferenceConfig = field(default_factory=DifferenceConfig)
    """Eq. 4."""
    prompt: PromptConfig = field(default_factory=PromptConfig)
    """Figure 6."""
    soft_prompt: SoftPrompt.Config = field(default_factory=SoftPrompt.Config)
    """Which soft tokens there are."""
    projector: Projector.Config = field(default_factory=Projector.Config)
    """Eq. 6."""
    backbone: Backbone.Config = field(default_factory=Backbone.Config)
    """The frozen LLM."""
    train: Train.Config = field(default_factory=Train.Config)
    """Eq. 11 and its optimiser."""
    generate: Generate.Config = field(default_factory=Generate.Config)
    """Decoding."""
    profile: ProfileConfig = field(default_factory=ProfileConfig)
    """Who writes users' profiles for PAG and DPL."""
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    """Which scores."""


_LEAST = {
    "protocol.targets_used": 1, "protocol.val_examples": 1, "protocol.test_examples": 1, "prompt.history": 0,
    "train.epochs": 1, "train.effective_batch": 1, "train.micro_batch": 1, "generate.batch_size": 1,
    "generate.max_new_tokens": 1, "evaluate.batch_size": 1, "evaluate.n_boot": 1,
}  # fmt: skip
"""Dotted key -> the least that makes sense."""


class ConfigError(ValueError):
    """A configuration that cannot be meant; says which key, what was expected and what to write instead."""


def load(files: Sequence[str | Path], overrides: Sequence[str] = ()) -> RunConfig:
    """Merge YAML files, left to right, then `key=value` overrides, and check the result.

    Raises:
        ConfigError: a file is absent, or a key or value is not one that the chosen classes have.
    """
    return _typed(merge(files, overrides))


def merge(files: Sequence[str | Path], overrides: Sequence[str] = ()) -> DictConfig:
    """The raw merge of files (each may name others under `base`, relative to itself) and overrides."""
    raw = OmegaConf.create({})
    for file in files:
        raw = _merged(raw, _read(Path(file)))
    bad = [o for o in overrides if "=" not in o]
    if bad:
        raise ConfigError(f"{bad[0]!r}: expected a .yaml file or key=value")
    return _merged(raw, OmegaConf.from_dotlist(list(overrides)))


def _read(path: Path) -> DictConfig:
    if not path.is_file():
        there = sorted(p.name for p in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        near = get_close_matches(path.name, there, 3)
        meant = f"did you mean {' or '.join(near)}? " if near else ""
        raise ConfigError(f"{path}: no such configuration file; {meant}{path.parent} has {', '.join(there) or 'none'}")
    try:
        raw = OmegaConf.load(path)
    except Exception as error:  # yaml's errors have no base class that omegaconf re-exports
        raise ConfigError(f"{path}: not a YAML file ({error})") from error
    if not isinstance(raw, DictConfig):
        raise ConfigError(f"{path}: expected keys and values, found a {type(raw).__name__}")
    bases = raw.pop("base", [])
    below = OmegaConf.create({})
    for base in [bases] if isinstance(bases, str) else bases:
        below = _merged(below, _read(path.parent / base))
    return _merged(below, raw)


def _merged(below: DictConfig, above: DictConfig) -> DictConfig:
    """`above` over `below`; a slot that changes its kind starts anew, since fields of two classes do not mix."""
    for slot in CHOICES:
        ours, theirs = below.get(slot), above.get(slot)
        if ours is not None and theirs is not None and "kind" in theirs and theirs["kind"] != ours.get("kind"):
            below = OmegaConf.merge(below, {})  # type: ignore[assignment]
            del below[slot]
    merged = OmegaConf.merge(below, above)
    assert isinstance(merged, DictConfig)
    return merged


def _typed(raw: DictConfig, of: str = "") -> RunConfig:
    """Check `raw` against the schema of what it chooses; `of` begins what is said of a wrong one."""
    kinds = []
    for slot, (classes, default) in CHOICES.items():
        given = raw.get(slot) or {}
        kind = given.get("kind", default)
        if kind not in classes:
            raise ConfigError(f"{of}{slot}.kind: expected one of {', '.join(sorted(classes))}, found {kind!r}")
        kinds.append((slot, kind))
    try:
        merged = OmegaConf.merge(_schema(tuple(kinds)), raw)
        typed = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        where = f"{error.full_key}: " if getattr(error, "full_key", None) else ""
        raise ConfigError(f"{of}{where}{_first_lines(error)}{_keys(error, _schema(tuple(kinds)))}") from error
    assert isinstance(typed, RunConfig)
    _check(typed, of)
    return typed


def _check(config: RunConfig, of: str) -> None:
    """Refuse values that a type alone lets through."""
    for key, least in _LEAST.items():
        part, name = key.split(".")
        value = getattr(getattr(config, part), name)
        if value is not None and value < least:
            raise ConfigError(f"{of}{key}: expected {least} or more, found {value}")
    if not config.seeds or len(set(config.seeds)) < len(config.seeds):
        raise ConfigError(f"{of}seeds: expected one or more different numbers, as in [0,1], found {config.seeds}")
    if config.name != Path(config.name).name or config.name in ("", ".", ".."):
        raise ConfigError(f"{of}name: expected the name of a folder in {config.runs}, found {config.name!r}")
    twice = [name for at, name in enumerate(config.arms) if name in config.arms[:at]]
    if twice:
        raise ConfigError(f"{of}arms: {twice[0]} is there twice; name each arm once")


@lru_cache
def _schema(kinds: tuple[tuple[str, str], ...]) -> DictConfig:
    """What a run of these kinds may hold; made once, for a run has dozens of arms and few kinds."""
    schema = OmegaConf.structured(RunConfig)
    for slot, kind in kinds:
        config_class = CHOICES[slot][0][kind].Config
        with_kind = make_dataclass(
            f"{config_class.__module__}.{config_class.__qualname__}", [("kind", str, kind)], bases=(config_class,),
            kw_only=True,
        )  # fmt: skip
        OmegaConf.update(schema, slot, OmegaConf.structured(with_kind), force_add=True)
    assert isinstance(schema, DictConfig)
    return schema


def _keys(error: OmegaConfBaseException, schema: DictConfig) -> str:
    """Where a key is unknown and none is like it, those that there are."""
    if not isinstance(error, ConfigKeyError) or "Did you mean" in str(error):
        return ""
    above = str(error.full_key or "").rpartition(".")[0]
    there = OmegaConf.select(schema, above) if above else schema
    return f"; expected one of {', '.join(map(str, there))}" if isinstance(there, DictConfig) else ""


def _first_lines(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = " ".join(line for line in lines if not line.startswith(("full_key:", "object_type=", "reference_type=")))
    return "expected a list, as in [0,1]" if "is not a ListConfig" in said else said


def choose(config: RunConfig, slot: str) -> Any:
    """The object that a slot's configuration describes."""
    given = getattr(config, slot)
    chosen = CHOICES[slot][0][given.kind]
    fields = {k: v for k, v in vars(given).items() if k != "kind"}
    return chosen(chosen.Config(**fields))


def compressor_config(config: RunConfig) -> Any:
    """The Config of the chosen compressor, without the `kind`."""
    given = config.compressor
    return COMPRESSORS[given.kind].Config(**{k: v for k, v in vars(given).items() if k != "kind"})


def as_dict(config: RunConfig) -> dict[str, Any]:
    """The resolved configuration as plain values."""
    return asdict(config)


def to_yaml(config: RunConfig) -> str:
    """The resolved configuration as a file that `load` takes."""
    return OmegaConf.to_yaml(OmegaConf.create(as_dict(config)))


def identity(config: RunConfig, *keys: str) -> str:
    """Hash of the named parts of a configuration (dotted keys), in any order of fields."""
    plain = as_dict(config)
    parts = {}
    for key in keys:
        value: Any = plain
        for name in key.split("."):
            value = value[name]
        parts[key] = value
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def load_arms(files: Sequence[str | Path], overrides: Sequence[str] = ()) -> tuple[RunConfig, dict[str, RunConfig]]:
    """A run and its arms by name: files, then the arm's file, then overrides.

    Raises:
        ConfigError: as `load`; also where a pair in `compare` names no arm.
    """
    run = load(files, overrides)
    if not run.arms:
        if merge(files).get("arms"):
            raise ConfigError("arms: expected names of arms, found none; without the key a run has those of its file")
        return run, {run.method.kind: run}
    folder = Path(files[0]).parent / "arm" if files else Path("conf/arm")
    configs: dict[str, RunConfig] = {}
    below, above = merge(files), merge((), overrides)
    for name in run.arms:
        path = folder / f"{name}.yaml"
        merged = _merged(_merged(below, _read(path)), above)
        for suffix, settings in _varied(run.vary):
            config = _typed(_merged(merged, merge((), settings)), of=f"arm {name} ({path}): ")
            if suffix:
                config.label = f"{label(config)}, {suffix[1:].replace('@', ', ')}"
            configs[f"{name}{suffix}"] = config
    for a, b in pairs(run):
        unknown = [name for name in (a, b) if name not in configs]
        if unknown:
            raise ConfigError(
                f"compare: expected arms of this run ({', '.join(configs)}), found {unknown[0]!r}; name it in `arms`, "
                "or say what to compare (compare=[] for nothing)"
            )
    return run, configs


def _varied(vary: Mapping[str, Sequence[Any]]) -> list[tuple[str, list[str]]]:
    """Every combination of values: what it adds to an arm's name, and the overrides that it stands for."""
    combinations = list(product(*([(key, value) for value in values] for key, values in vary.items())))
    return [
        ("".join(f"@{key.rsplit('.', 1)[-1]}={value}" for key, value in chosen), [f"{k}={v}" for k, v in chosen])
        for chosen in combinations
    ]


def pairs(run: RunConfig) -> list[tuple[str, str]]:
    """`compare` as pairs of arm names."""
    split = [[name.strip() for name in pair.split(" - ")] for pair in run.compare]
    bad = [pair for pair, names in zip(run.compare, split, strict=True) if len(names) != 2]
    if bad:
        raise ConfigError(f"compare: expected 'arm - arm', found {bad[0]!r}")
    return [(a, b) for a, b in split]


def label(config: RunConfig) -> str:
    """What tables call this arm."""
    return config.label or str(METHODS[config.method.kind].label)
