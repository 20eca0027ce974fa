"""Settings of the server, given as `key=value` after `dep serve runs/x`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dep.utils.errors import DepError, MissingFile

KEY_VARIABLE = "DEP_SERVE_KEY"
"""The environment variable that may hold the key."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass
class ServeConfig:
    """How a trained adapter is served."""

    host: str = "127.0.0.1"
    """The address to listen on. Any other than loopback needs a key."""
    port: int = 8000
    """The port; 0 for a free one."""
    store: str = ""
    """The file of the store in which users are looked up, which is created if it does not exist. If empty, that of
    `dep update` in the run's folder; without one, users are those of the run, and reviews cannot be posted."""
    key_file: str = ""
    """A file that holds the key, which requests give as `Authorization: Bearer …`. If empty, the environment variable
    DEP_SERVE_KEY holds it; if that is not set either, no key is asked."""
    backbone: str = ""
    """The name or folder of the LLM on this machine, if it is not the one of the adapter's configuration."""
    device: str = "auto"
    """Where the LLM runs; `auto` for CUDA if there is one."""
    threads: int = 0
    """Number of CPU threads; 0 for all."""
    rows: int = 8
    """How many texts are written side by side."""
    waiting: int = 256
    """The most requests that are accepted and not answered yet; further ones get the status 503."""
    max_body_kb: int = 1024
    """The largest body of a request, in KiB."""
    max_history: int = 64
    """The most past reviews in a request, and the most peers' texts of each."""
    max_reviews: int = 256
    """The most reviews in one post."""
    max_tokens: int = 1024
    """The most tokens of a text."""
    drain_seconds: int = 60
    """After SIGTERM or Ctrl-C: how long requests in flight may take to be answered."""


def parse(words: Sequence[str]) -> ServeConfig:
    """Read settings from `key=value` words.

    Raises:
        DepError: a key or a value is wrong.
    """
    try:
        merged = OmegaConf.merge(OmegaConf.structured(ServeConfig), OmegaConf.from_dotlist(list(words)))
        config = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        known = ", ".join(ServeConfig.__dataclass_fields__)
        raise DepError("dep serve", f"settings among {known}", str(error).splitlines()[0]) from error
    assert isinstance(config, ServeConfig), "the structure was merged"
    least = {name: 1 for name in ("rows", "waiting", "max_body_kb", "max_history", "max_reviews", "max_tokens")}
    for name, smallest in least.items():
        if getattr(config, name) < smallest:
            raise DepError(name, f"{smallest} or more", str(getattr(config, name)))
    return config


def read_key(config: ServeConfig) -> str:
    """Return the key that requests must give; empty if none is asked.

    Raises:
        MissingFile: there is no such file.
        DepError: the file or the variable is empty or not ASCII, or a key is needed and none is given.
    """
    if config.key_file:
        path = Path(config.key_file)
        if not path.is_file():
            raise MissingFile(f"key_file={path}", "a file with the key", "none")
        key = path.read_text(encoding="utf-8").strip()
    else:
        key = os.environ.get(KEY_VARIABLE, "").strip()
        if not key and config.host in LOOPBACK:
            return ""
    if not key or not key.isascii():
        where = f"key_file={config.key_file}" if config.key_file else KEY_VARIABLE
        raise DepError(
            where, "a key of ASCII characters, since others than this machine can reach the server", "none",
            f"put it into {KEY_VARIABLE} or into a file (key_file=…), or leave host=127.0.0.1",
        )  # fmt: skip
    return key
