"""What can be read of a finished run, from any folder."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch

import dep
from dep.evaluation.uniqueness import contrast
from dep.pipeline.run_data import open_run
from dep.utils.atomic_io import read_text, write_rows, write_text
from dep.utils.errors import DepError


def _module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
