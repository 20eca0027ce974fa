"""One command at a time uses a run's folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dep.pipeline.run_lock import run_lock


def test_a_second_command_is_refused_with_the_owner_s_process_until_the_first_ends(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "demo"
    with run_lock(folder):
        with pytest.raises(ValueError, match=rf"another command is running in this folder \(process {os.getpid()}\)"):
            run_lock(folder).__enter__()
        with run_lock(tmp_path / "runs" / "other"):
            pass
    with run_lock(folder):
        pass
