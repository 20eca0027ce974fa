"""The measurements of a store, at a small size."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from experiments.store import main


def test_the_measurements_run_and_exact_sums_equal_a_rebuild(tmp_path: Path) -> None:
    rows = dict(main(600, tmp_path, Console(quiet=True), batch=200, killed=0))
    assert rows["reviews added a second, 0 to 600"].endswith("by the clock")
    assert rows["sums with the bytes of a rebuild after deletions"].startswith("exact integers 100%")
    assert "8 newest differences of a user, first read" in rows
