"""The user's cache folder: what is fetched or converted once and serves all runs."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache() -> Path:
    """The cache folder: `$DEP_CACHE`, else `$XDG_CACHE_HOME/dep`, else `~/.cache/dep`. It need not exist yet."""
    if own := os.environ.get("DEP_CACHE"):
        return Path(own).expanduser().absolute()
    xdg = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (xdg if xdg.is_absolute() else Path.home() / ".cache") / "dep"
