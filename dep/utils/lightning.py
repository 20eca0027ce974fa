"""Imports Lightning under the name by which it is installed: `lightning.pytorch` or `pytorch_lightning`."""

from __future__ import annotations

from dep.utils.quick_imports import import_torchmetrics

import_torchmetrics()
try:
    import lightning.pytorch as pl
except ModuleNotFoundError:
    import pytorch_lightning as pl  # type: ignore[no-redef]

__all__ = ["pl"]
