"""Copies an adapter's folder to share it, with a model card that has the results of its run."""

from __future__ import annotations

import shutil
from pathlib import Path

from dep.data.embedders.fitting import FITTED_FILE
from dep.pipeline.adapter_folder import FILES
from dep.pipeline.personal.card import card
from dep.pipeline.personal.folders import run_of
from dep.utils.atomic_io import read_json, write_text
from dep.utils.errors import DepError


def save_adapter(folder: Path | None, label: str, target: Path) -> None:
    """Copy an adapter's files and write its card.

    Args:
        folder: the adapter's folder; None for a method that trains none.
        label: the label of the arm.
        target: where the files are written.

    Raises:
        DepError: the method trains no adapter.
    """
    if folder is None or not (folder / FILES[-1]).is_file():
        raise DepError(f"save_pretrained of {label}", "a trained adapter", "none: the method trains none")
    for name in (FITTED_FILE, *FILES):
        if (folder / name).is_file():
            shutil.copyfile(folder / name, target / name)
    if run := run_of(folder):
        facts = read_json(folder / "adapter_config.json")
        write_text(target / "README.md", card(facts, folder.resolve().parent.name, run))
