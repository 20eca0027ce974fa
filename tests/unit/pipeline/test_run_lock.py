"""One command at a time in a run's folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dep.pipeline.run_lock import run_lock


def test_a_second_command_is_told_who_is_at_work_and_may_come_when_that_is_done(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "demo"
    with run_lock(folder):
        with pytest.raises(ValueError, match=rf"demo: another command is running here \(process {os.getpid()}\)"):
            run_lock(folder).__enter__()
        with run_lock(tmp_path / "runs" / "other"):
            pass
    with run_lock(folder):
        pass
