"""Tensors in memory and on disk, each up to a limit."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch

from dep.inference.tensor_files import TensorFiles


def some(value: float) -> dict[str, torch.Tensor]:
    return {"a": torch.full((10,), value), "b": torch.full((2, 5), -value)}


def test_what_another_process_has_kept_is_found_with_its_names_and_shapes(tmp_path: Path) -> None:
    TensorFiles(tmp_path, 1e6, 1000, "").put("key", some(1.0))
    found = TensorFiles(tmp_path, 1e6, 1000, "").get("key")
    assert found is not None
    assert all(torch.equal(found[name], tensor) for name, tensor in some(1.0).items())
    assert TensorFiles(tmp_path, 1e6, 1000, "").get("other") is None


def test_those_used_least_recently_leave_the_memory_and_are_read_again(tmp_path: Path) -> None:
    files = TensorFiles(tmp_path, 1e6, 160, "")
    for key, value in (("one", 1.0), ("two", 2.0)):
        files.put(key, some(value))
    assert files.get("one") is not None
    files.put("three", some(3.0))
    assert files.held() == ["one", "three"]
    again = files.get("two")
    assert again is not None
    assert again["a"][0] == 2.0
    files.drop("two")
    assert files.held() == ["three"]


def test_without_a_limit_on_disk_nothing_is_written(tmp_path: Path) -> None:
    files = TensorFiles(tmp_path, 0, 80, "")
    files.put("one", some(1.0))
    files.put("two", some(2.0))
    assert files.get("one") is None
    assert files.get("two") is not None
    assert not list(tmp_path.iterdir())


def test_a_full_folder_takes_no_more_and_says_so_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = TensorFiles(tmp_path, 100, 0, "the rest is read again")
    time.sleep(0.02)  # a file's time may lie a tick before the clock's
    for key in ("one", "two", "three"):
        files.put(key, some(1.0))
    assert [path.stem for path in tmp_path.glob("*/*")] == ["one"]
    assert caplog.text.count("the rest is read again") == 1
