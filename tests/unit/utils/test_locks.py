from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from dep.utils.locks import file_lock


def test_the_second_is_told_who_holds_the_lock_and_may_give_up(tmp_path: Path) -> None:
    def refuse(owner: str) -> None:
        raise ValueError(owner)

    path = tmp_path / "below" / ".lock"
    with file_lock(path), pytest.raises(ValueError, match=f"^{os.getpid()}$"), file_lock(path, refuse):
        pass
    with file_lock(path, refuse):
        pass


def test_the_second_waits_until_the_first_is_done(tmp_path: Path) -> None:
    order: list[str] = []
    waiting = threading.Event()

    def second() -> None:
        with file_lock(tmp_path / ".lock", lambda owner: waiting.set()):
            order.append("second")

    with file_lock(tmp_path / ".lock"):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(30)
        order.append("first")
    thread.join(30)
    assert order == ["first", "second"]
