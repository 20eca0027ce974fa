"""Opens the store in which a Personalizer looks users up, and checks that its vectors are those of the adapter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

import dep
from dep.data.embedders.base import Embedder
from dep.pipeline.personal.users import Store
from dep.utils.errors import DepError, MissingFile

if TYPE_CHECKING:
    from torch import Tensor

    from dep.store.peer_index import PeerIndex

NO_VECTORS = 1
"""The width of a store for an adapter that reads no vectors; they are zero."""
_WAY_OUT = "make the store with the embedder of the adapter"


def check_store(store: Store, embedder: Embedder | None) -> None:
    """Check that a store has vectors of an adapter's embedder; None is an adapter that reads no vectors.

    Raises:
        DepError: the vectors have another width or come from another embedder.
    """
    if embedder is None:
        return
    if store.width != embedder.dim:
        expected = f"vectors of width {embedder.dim} ({embedder.name})"
        raise DepError("store", expected, str(store.width), _WAY_OUT)
    if store.embedder and store.embedder != embedder.fingerprint():
        expected = f"vectors of {embedder.name} ({embedder.fingerprint()[:12]})"
        raise DepError("store", expected, store.embedder[:12], _WAY_OUT)


def no_vectors(count: int, store: Store | None) -> Tensor:
    """Return what stands for the vectors [N, 1] of reviews in a store, for an adapter that reads none.

    Raises:
        DepError: the store has vectors of an embedder, among which zeros would be wrong.
    """
    if store is not None and store.embedder:
        raise DepError(
            "store", "one without vectors, as this adapter reads none", "one with vectors of an embedder",
            "put reviews into it with `dep update`, or name a new file as the store",
        )  # fmt: skip
    return torch.zeros(count, NO_VECTORS)


def open_store(path: str | Path, embedder: Embedder | None, create: bool) -> PeerIndex:
    """Open a store for vectors of an embedder.

    Raises:
        MissingFile: there is no such file, and it is not to be created.
        DepError: the file is no store, or it has vectors of another embedder.
    """
    if not create and not Path(path).is_file():
        raise MissingFile(
            str(path), "a store", "none", "make it with `dep update runs/x`, or with dep.PeerIndex.open and p.store"
        )
    if embedder is None:
        return dep.PeerIndex.open(path, width=None if Path(path).is_file() else NO_VECTORS)
    return dep.PeerIndex.open(path, width=embedder.dim, embedder=embedder.fingerprint())
