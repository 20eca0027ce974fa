"""Reads what a built-in world has planted: `truth_<category>.json` in the world's folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def truth_of(folder: Path, category: str) -> dict[str, Any]:
    """Return the planted truth of a category: `users` with their traits by name, and where there are any, `items`."""
    truth: dict[str, Any] = json.loads((folder / f"truth_{category}.json").read_text(encoding="utf-8"))
    return truth
