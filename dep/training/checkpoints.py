"""Writes checkpoint files of a training atomically, and reads them without running code from them."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import BadZipFile

import torch

from dep.utils.atomic_io import replacing
from dep.utils.errors import DepError
from dep.utils.lightning import pl

BEST, LAST = "best.ckpt", "last.ckpt"


class AtomicCheckpoints(pl.plugins.TorchCheckpointIO):
    """Makes Lightning write checkpoints atomically: if the process is killed, the earlier checkpoint is still there."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write the checkpoint under a temporary name and rename it."""
        with replacing(Path(path)) as temporary:
            super().save_checkpoint(checkpoint, temporary, storage_options)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Load a checkpoint to the CPU.

    Raises:
        DepError: the file is damaged.
    """
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, UnpicklingError, BadZipFile, KeyError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DepError(
            str(path),
            "the checkpoint of an interrupted training",
            f"a damaged file ({reason})",
            f"remove the folder {path.parent} to train this arm from its beginning; what is finished is kept",
        ) from error
    return content
