"""Reads and changes the units of an adapter's compressor (Eq. 5), whose output z becomes soft tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from dep.models.adapters.base import Adapter
from dep.models.adapters.dep import DEPAdapter
from dep.models.compressors.base import Compressed
from dep.types import Branch
from dep.utils.errors import DepError


def compressor_of(adapter: Adapter | None) -> nn.Module | None:
    """Return the compressor of an adapter; None for an adapter without one."""
    found = getattr(adapter, "compressor", None)
    return found if isinstance(found, nn.Module) else None


@torch.no_grad()
def latents(adapter: Adapter | None, vectors_NE: Tensor, branch: Branch) -> Tensor:
    """Compute the latents [N, Z] of vectors; `Personalizer.latents` documents the arguments."""
    if not isinstance(adapter, DEPAdapter):
        raise DepError("latents", "an adapter of method dep, which has a compressor", type(adapter).__name__)
    return adapter.latents(vectors_NE, branch)


@contextmanager
def latents_changed(compressor: nn.Module, change: Callable[[Tensor], None]) -> Iterator[None]:
    """Inside the `with` statement, change a compressor's latents [B, K, Z] in place before anything reads them."""

    def changed(module: nn.Module, args: object, output: Compressed) -> Compressed:
        latent_BKZ = output.latent.clone()
        change(latent_BKZ)
        return output._replace(latent=latent_BKZ)

    with compressor.register_forward_hook(changed):
        yield


@contextmanager
def units_set(adapter: Adapter | None, units: Mapping[int, float]) -> Iterator[None]:
    """Inside the `with` statement, give units of the compressor the same value for all vectors of all branches.

    Raises:
        DepError: the adapter has no compressor, or the compressor has no such unit.
    """
    if not units:
        yield
        return
    compressor = compressor_of(adapter)
    if compressor is None:
        raise DepError("units", "an adapter with a compressor", "one without", "leave `units` out")
    width = int(compressor.width_out)  # type: ignore[arg-type]
    if wrong := [unit for unit in units if not 0 <= unit < width]:
        raise DepError("units", f"numbers from 0 to {width - 1}", str(wrong[0]))

    def set_units(latent_BKZ: Tensor) -> None:
        for unit, value in units.items():
            latent_BKZ[..., unit] = value

    with latents_changed(compressor, set_units):
        yield
