"""Finds the folder of an adapter: by its path, in a run, among those of the package, or on a model hub."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

from dep.data.embedders.fitting import FITTED_FILE
from dep.methods.trained import SHIPPED
from dep.pipeline.adapter_folder import FILES
from dep.utils.atomic_io import read_json
from dep.utils.errors import MissingFile

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


class Found(NamedTuple):
    """An adapter's folder."""

    folder: Path
    from_hub: bool = False
    """Whether a stranger may have written the folder, so that it may choose no code and start no download."""


def find(name: str | Path, **download: Any) -> Found:
    """Find an adapter's folder.

    Args:
        name: an adapter's folder (`runs/demo/dep/seed0`), an arm's (`runs/demo/dep`, its first seed), a run's
            (`runs/demo`, its first arm of the project's own method), the name of an adapter of the package, or
            `owner/name` on a model hub, if no folder `owner` is here.
        download: arguments for `huggingface_hub.snapshot_download`.

    Raises:
        MissingFile: there is no such adapter.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return Found(_in_folder(path))
    if (SHIPPED / str(name)).is_dir():
        return Found(SHIPPED / str(name))
    if _HUB_NAME.fullmatch(str(name)) and not Path(str(name).partition("/")[0]).exists():
        return Found(_downloaded(str(name), **download), from_hub=True)
    shipped = ", ".join(sorted(folder.name for folder in SHIPPED.iterdir() if folder.is_dir()))
    raise MissingFile(
        f"adapter {name}", "a folder with adapter_config.json", "none",
        f"name the folder of a trained arm, as runs/demo/dep/seed0, an adapter of the package ({shipped}), or "
        "owner/name on a model hub",
    )  # fmt: skip


def run_of(folder: Path) -> Path | None:
    """Return the folder of the finished run that an arm's folder is in; None if there is none around it."""
    run = folder.resolve().parents[1] if len(folder.resolve().parents) > 1 else None
    return run if run is not None and (run / "results.json").is_file() and (run / "config.yaml").is_file() else None


def _in_folder(path: Path) -> Path:
    if (path / "adapter_config.json").is_file() or run_of(path):
        return path
    if seeds := sorted(path.glob("seed*/")):
        return next((seed for seed in seeds if (seed / "adapter_config.json").is_file()), seeds[0])
    arms: dict[str, dict[str, Any]] = read_json(path / "results.json").get("arms", {})
    ours = sorted(arms, key=lambda arm: arms[arm]["role"] != "own")
    for arm in ours:
        if trained := sorted(path.glob(f"{arm}/seed*/adapter_config.json")):
            return trained[0].parent
    raise MissingFile(
        str(path / "adapter_config.json"), "the configuration of an adapter", "none",
        "name the folder of a trained arm, as runs/demo/dep/seed0",
    )  # fmt: skip


def _downloaded(name: str, **download: Any) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=[*FILES, FITTED_FILE], **download))
    except Exception as error:  # absent, offline and refused have no common base in the hub's client
        raise MissingFile(
            f"adapter {name}", "a folder here, or a repository on the model hub",
            f"no such folder, and the hub gave {type(error).__name__}", "check the name, the connection and the token",
        ) from error  # fmt: skip
