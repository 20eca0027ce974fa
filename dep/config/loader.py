"""Loads a run's configuration from YAML files and `key=value` overrides, and checks it against the chosen classes.

A typo, a value of the wrong type, or a key of a class that is not chosen raises an error that names the key. An *arm*
is one system of a comparison; its configuration is the run's, with `conf/arm/<name>.yaml` merged over it. Only this
module imports omegaconf.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException

from dep.config.schema import SLOTS, ConfigError, RunConfig, as_dict, check, label, pairs
from dep.config.words import plain, read_override, read_yaml
from dep.evaluation.metrics import METRICS, load_metric
from dep.utils.errors import DepError
from dep.utils.registry import Registry


def load(files: Sequence[str | Path], overrides: Sequence[str] = ()) -> RunConfig:
    """Merge YAML files from left to right, then `key=value` overrides, and check the result.

    Raises:
        ConfigError: a file is missing, or the chosen classes have no such key or do not accept its value.
    """
    return _typed(merge(files, overrides))


def from_dict(values: Mapping[str, Any]) -> RunConfig:
    """Build a configuration from plain values, and check it like one from files."""
    raw = OmegaConf.create(dict(values))
    assert isinstance(raw, DictConfig)
    return _typed(raw)


def merge(files: Sequence[str | Path], overrides: Sequence[str] = ()) -> DictConfig:
    """Merge files and then overrides, without checks. A file is merged over those that its `base` names."""
    raw = OmegaConf.create({})
    for file in files:
        raw = _merged(raw, _read(locate(file)))
    bad = [o for o in overrides if "=" not in o]
    if bad:
        raise ConfigError(f"{bad[0]!r}: expected a .yaml file or key=value")
    above = OmegaConf.create({})
    for key, value in map(read_override, overrides):
        if key == "backbone" and isinstance(value, str):
            key = "backbone.name_or_path"
        OmegaConf.update(above, key, value, force_add=True)
    return _merged(raw, above)


def packaged() -> Path:
    """Return the folder of the package's own configurations: `dep/conf` in a wheel, `conf` beside `dep` elsewhere."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def locate(file: str | Path) -> Path:
    """Find a configuration's file by its path, or by its name in `conf` of the current folder or of the package.

    Raises:
        ConfigError: there is no such file.
    """
    path = Path(file)
    if path.is_file() or len(path.parts) > 1:
        return path
    name = path.name if path.suffix in (".yaml", ".yml") else f"{path.name}.yaml"
    for candidate in (Path("conf") / name, packaged() / name):
        if candidate.is_file():
            return candidate
    if path.suffix in (".yaml", ".yml"):
        return path
    names = sorted(p.stem for p in packaged().glob("*.yaml"))
    near = get_close_matches(path.name, names, 3)
    meant = f"did you mean {' or '.join(near)}? " if near else ""
    raise ConfigError(
        repr(path.name), "a .yaml file, the name of a configuration or key=value", "none of them",
        f"{meant}the configurations are {', '.join(names)}",
    )  # fmt: skip


def _arm_file(folder: Path, name: str) -> Path:
    """Return the path of an arm's file: in the run's own `arm` folder, or else in that of the package."""
    own, packaged_file = folder / f"{name}.yaml", packaged() / "arm" / f"{name}.yaml"
    return packaged_file if not own.is_file() and packaged_file.is_file() else own


def _read(path: Path) -> DictConfig:
    if not path.is_file():
        names = sorted(p.name for p in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        near = get_close_matches(path.name, names, 3)
        meant = f"did you mean {' or '.join(near)}? " if near else ""
        raise ConfigError(f"{path}: no such configuration file; {meant}{path.parent} has {', '.join(names) or 'none'}")
    raw = OmegaConf.create(read_yaml(path) or {})
    if not isinstance(raw, DictConfig):
        raise ConfigError(f"{path}: expected keys and values, found a {type(raw).__name__}")
    bases = raw.pop("base", [])
    below = OmegaConf.create({})
    for base in [bases] if isinstance(bases, str) else bases:
        below = _merged(below, _read(path.parent / base))
    return _merged(below, raw)


def _merged(below: DictConfig, above: DictConfig) -> DictConfig:
    """Merge `above` over `below`; if the kind of a slot changes, the fields of the earlier kind are dropped."""
    for slot in SLOTS:
        old, new = below.get(slot), above.get(slot)
        if old is not None and new is not None and "kind" in new and new["kind"] != old.get("kind"):
            below = OmegaConf.merge(below, {})  # type: ignore[assignment]
            del below[slot]
    merged = OmegaConf.merge(below, above)
    assert isinstance(merged, DictConfig)
    return merged


def _typed(raw: DictConfig, prefix: str = "") -> RunConfig:
    """Check `raw` against the schema of the components that it chooses; error messages begin with `prefix`."""
    kinds = []
    for slot, registry in SLOTS.items():
        kind = (raw.get(slot) or {}).get("kind", registry.default)
        try:
            registry.config_class(kind)
        except DepError as error:
            raise ConfigError(f"{prefix}{error}") from error
        kinds.append((slot, kind))
    try:
        merged = OmegaConf.merge(_schema(tuple(kinds), _own_metrics(raw)), raw)
        typed = OmegaConf.to_object(merged)
        for slot, registry in SLOTS.items():
            if parts := getattr(getattr(typed, slot), "parts", None):
                getattr(typed, slot).parts = [_part(registry, part, prefix) for part in parts]
    except OmegaConfBaseException as error:
        where = f"{error.full_key}: " if getattr(error, "full_key", None) else ""
        raise ConfigError(f"{prefix}{where}{_first_lines(error)}{_keys(error, _schema(tuple(kinds)))}") from error
    assert isinstance(typed, RunConfig)
    typed.prompt.template_arguments = plain(typed.prompt.template_arguments)
    check(typed, prefix)
    return typed


def _part(registry: Registry[Any], settings: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Check and type the settings of a component that is part of another one, as in a joined embedder."""
    kind = settings.get("kind", registry.default)
    try:
        schema = OmegaConf.structured(registry.config_class(kind))
    except DepError as error:
        raise ConfigError(f"{prefix}{error}") from error
    typed = OmegaConf.to_container(OmegaConf.merge(schema, settings, {"kind": kind}))
    assert isinstance(typed, dict)
    found = {str(name): value for name, value in typed.items()}
    if inner := found.get("parts"):
        found["parts"] = [_part(registry, part, prefix) for part in inner]
    return found


@lru_cache
def _schema(kinds: tuple[tuple[str, str], ...], metrics: tuple[str, ...] = ()) -> DictConfig:
    """Build the schema for slots of the given kinds; it is cached, since a run has dozens of arms but few kinds."""
    schema = OmegaConf.structured(RunConfig)
    for slot, kind in kinds:
        fields = OmegaConf.structured(SLOTS[slot].config_class(kind))
        fields["kind"] = kind  # a user's own component may leave it empty
        OmegaConf.update(schema, slot, fields, force_add=True)
    for name in metrics:
        load_metric(name)
        schema.evaluate.metrics.settings[name] = OmegaConf.structured(METRICS.config_class(name)(kind=name))
    assert isinstance(schema, DictConfig)
    return schema


def _own_metrics(raw: DictConfig) -> tuple[str, ...]:
    """List the metrics requested in `raw` that are not in the registry, such as `my_module:MyMetric`."""
    names = OmegaConf.select(raw, "evaluate.metrics.names")
    return tuple(str(name) for name in names if name not in METRICS) if OmegaConf.is_list(names) else ()


def _keys(error: OmegaConfBaseException, schema: DictConfig) -> str:
    """List the valid keys for an error message about an unknown key; empty if the message already suggests a key."""
    if not isinstance(error, ConfigKeyError) or "Did you mean" in str(error):
        return ""
    above = str(error.full_key or "").rpartition(".")[0]
    section = OmegaConf.select(schema, above) if above else schema
    return f"; expected one of {', '.join(map(str, section))}" if isinstance(section, DictConfig) else ""


def _first_lines(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    message = " ".join(line for line in lines if not line.startswith(("full_key:", "object_type=", "reference_type=")))
    return "expected a list, as in [0,1]" if "is not a ListConfig" in message else message


def to_yaml(config: RunConfig) -> str:
    """Format a configuration as YAML that `load` can read."""
    return OmegaConf.to_yaml(OmegaConf.create(as_dict(config)))


def load_arms(files: Sequence[str | Path], overrides: Sequence[str] = ()) -> tuple[RunConfig, dict[str, RunConfig]]:
    """Load a run and its arms by name; for an arm, the run's files, the arm's file and the overrides are merged.

    Raises:
        ConfigError: for the reasons of `load`, or `compare` names something that is not an arm of the run.
    """
    below, above = merge(files), merge((), overrides)
    run = _typed(_merged(below, above))
    folder = locate(files[0]).parent / "arm" if files else Path("conf/arm")
    if not run.arms:
        if below.get("arms"):
            raise ConfigError("arms: expected names of arms, found none; omit the override to run those of the file")
        run.warm_start_config = _warm_start(run.method.kind, run, folder, below, above, ())
        return run, {run.method.kind: run}
    configs: dict[str, RunConfig] = {}
    for name in run.arms:
        for suffix, settings in _varied(run.vary):
            config = _arm(name, folder, below, _merged(above, merge((), settings)))
            if suffix:
                config.label = f"{label(config)}, {suffix[1:].replace('@', ', ')}"
            if f"{name}{suffix}" in configs:
                raise ConfigError(
                    "vary", "a name of its own for each arm", f"two arms called {name}{suffix}",
                    "give each value once, and vary no two settings whose keys end in the same word",
                )  # fmt: skip
            configs[f"{name}{suffix}"] = config
    for a, b in pairs(run):
        unknown = [name for name in (a, b) if name not in configs]
        if unknown:
            raise ConfigError(
                f"compare: expected arms of this run ({', '.join(configs)}), found {unknown[0]!r}; name it in `arms`, "
                "or change the comparisons (compare=[] for none)"
            )
    return run, configs


def _arm(name: str, folder: Path, below: DictConfig, above: DictConfig, earlier: tuple[str, ...] = ()) -> RunConfig:
    """Load the configuration of an arm and of its warm start.

    Args:
        name: the arm's name.
        folder: the folder of the run's own arm files.
        below: the run's configuration.
        above: the overrides.
        earlier: names of the arms for whose warm start this arm is loaded, by which a cycle is found.
    """
    path = _arm_file(folder, name)
    config = _typed(_merged(_merged(below, _read(path)), above), prefix=f"arm {name} ({path}): ")
    config.warm_start_config = _warm_start(name, config, folder, below, above, earlier)
    return config


def _warm_start(
    name: str, config: RunConfig, folder: Path, below: DictConfig, above: DictConfig, earlier: tuple[str, ...]
) -> RunConfig | None:
    """Load the configuration of the arm that `config` names as its warm start; None if there is no warm start.

    Raises:
        ConfigError: there is no such arm, warm starts form a cycle, or the warm start leaves no epoch for the arm.
    """
    if not config.warm_start or not config.train.warm_start_epochs:
        return None
    chain = (*earlier, name)
    if config.warm_start in chain:
        cycle = " -> ".join((*chain, config.warm_start))
        raise ConfigError(f"arm {name}: warm_start", "an arm that does not start from this one", cycle, "name another")
    if config.train.epochs <= config.train.warm_start_epochs:
        raise ConfigError(
            f"arm {name}: train.warm_start_epochs",
            f"fewer than train.epochs = {config.train.epochs}, which includes them",
            str(config.train.warm_start_epochs),
            f"set train.warm_start_epochs=0, or train.epochs={config.train.warm_start_epochs + 1} or more",
        )
    if not _arm_file(folder, config.warm_start).is_file():
        raise ConfigError(f"arm {name}: warm_start", f"an arm in {folder}", config.warm_start, "name one of its files")
    first = merge((), [f"train.epochs={config.train.warm_start_epochs}", "train.calibrate=null"])
    return _arm(config.warm_start, folder, below, _merged(above, first), chain)


def _varied(vary: Mapping[str, Sequence[Any]]) -> list[tuple[str, list[str]]]:
    """List every combination of the values in `vary` as (suffix of the arm's name, overrides)."""
    combinations = list(product(*([(key, value) for value in values] for key, values in vary.items())))
    return [
        ("".join(f"@{key.rsplit('.', 1)[-1]}={value}" for key, value in chosen), [f"{k}={v}" for k, v in chosen])
        for chosen in combinations
    ]
