"""Fits embedders that need it, and keeps what was fitted in files.

    <cache>/embedders/<kind>-<12 digits of the key>.safetensors    one fitted embedder; the key hashes settings and data
    <an adapter's folder>/embedder.safetensors                     all fitted parts of the adapter's embedder

An embedder that is fitted (`Fittable`) is fitted to the training population alone: the reviews that training examples
show. Reviews that are validation or test targets are not among them, nor, with `protocol.split=users`, any review of a
validation or test user.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

from dep.data.embedders.base import Embedder, Fittable
from dep.utils.atomic_io import replacing
from dep.utils.errors import DepError, MissingFile
from dep.utils.hashing import json_digest
from dep.utils.locks import file_lock

FITTED_FILE = "embedder.safetensors"
"""The file of fitted weights in a folder that `embedder.fitted` names."""


def fittable_parts(embedder: Embedder) -> list[Fittable]:
    """Return what needs fitting: the embedder itself, or parts of a `joined` one."""
    parts: Sequence[Embedder] | None = getattr(embedder, "parts", None)
    if parts is not None:
        return [fittable for part in parts for fittable in fittable_parts(part)]
    # `isinstance` of a protocol would read all properties, and an embedder may have to run to know its width.
    return [cast(Fittable, embedder)] if hasattr(embedder, "fit") else []


def fit_once(embedder: Embedder, folder: Path, population: str, texts: Callable[[], Sequence[str]]) -> None:
    """Fit the parts of an embedder that are not fitted yet, or load them from the cache.

    Args:
        embedder: the embedder.
        folder: the cache's folder of fitted embedders.
        population: a digest of what decides the texts.
        texts: returns the texts of the training population; is called only if something has to be fitted.
    """
    for part in fittable_parts(embedder):
        if part.fitted:
            continue
        path = folder / f"{part.kind}-{json_digest([part.recipe, population])[:12]}.safetensors"
        with file_lock(path.with_suffix(".lock")):  # another process may be fitting it
            if not path.is_file():
                part.fit(texts())
                _write(path, [part])
            else:
                _read(path, [part])


def write_fitted(folder: Path, embedder: Embedder) -> None:
    """Write the weights of all fitted parts to a folder; write nothing if no part is fitted."""
    if parts := fittable_parts(embedder):
        _write(folder / FITTED_FILE, parts)


def read_fitted(folder: Path, embedder: Embedder) -> None:
    """Load the weights of all parts that need fitting from a folder.

    Raises:
        MissingFile: the folder has no fitted embedder.
        DepError: the file is damaged, or is of another embedder.
    """
    path = folder.expanduser() / FITTED_FILE
    if not path.is_file():
        raise MissingFile(
            f"embedder.fitted={folder}", f"a folder with {FITTED_FILE}", "none",
            "name the folder of an adapter whose embedder was fitted, or leave embedder.fitted empty",
        )  # fmt: skip
    _read(path, fittable_parts(embedder))


def _write(path: Path, parts: Sequence[Fittable]) -> None:
    from safetensors.torch import save_file

    tensors = {f"{at}.{name}": value for at, part in enumerate(parts) for name, value in part.weights().items()}
    with replacing(path) as temporary:
        save_file(tensors, temporary, {"parts": " ".join(part.kind for part in parts)})


def _read(path: Path, parts: Sequence[Fittable]) -> None:
    from safetensors import SafetensorError, safe_open

    kinds = " ".join(part.kind for part in parts)
    try:
        with safe_open(path, "pt") as file:
            if (found := (file.metadata() or {}).get("parts")) != kinds:
                raise DepError(
                    str(path), f"fitted embedders: {kinds}", str(found), "name the folder of another adapter"
                )
            names = list(file.keys())
            for at, part in enumerate(parts):
                own = [name for name in names if name.startswith(f"{at}.")]
                part.load({name.partition(".")[2]: file.get_tensor(name) for name in own})
    except (SafetensorError, KeyError) as error:
        raise DepError(
            str(path), "a fitted embedder", f"a damaged file ({error})", "delete it and run again"
        ) from error
