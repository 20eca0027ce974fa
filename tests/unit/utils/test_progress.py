"""What a log keeps of bars that nobody watches."""

from __future__ import annotations

import pytest

from dep.utils.progress import Lines, stage


def test_a_log_has_a_line_where_a_stage_begins_and_one_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    now = [0.0]
    monkeypatch.setattr("dep.utils.progress.time.monotonic", lambda: now[0])
    line = Lines(said.append)
    for second in range(0, 130, 10):
        now[0] = 1000.0 + second
        line(7, "train, 3 examples/s" if second else "train", second, 130)
    line(8, "train", 0, 10)
    line(7, "generate", 0, 0)
    assert said == ["train 0%", "train, 3 examples/s 54%", "train 0%", "generate 0%"]


def test_work_in_a_pipe_shows_its_stages(capsys: pytest.CaptureFixture[str]) -> None:
    with stage("reading", 4) as advance:
        advance(4)
    with stage("short", 4, show=False) as advance:
        advance(4)
    assert capsys.readouterr().err == "reading 0%\n"
