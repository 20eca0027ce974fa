"""Lightning, under whichever of its two names it is installed."""

from __future__ import annotations

try:
    import lightning.pytorch as pl
except ModuleNotFoundError:
    import pytorch_lightning as pl  # type: ignore[no-redef]

__all__ = ["pl"]
