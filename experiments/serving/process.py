"""Starts `dep serve` as a process of its own, as a user does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple


class Server(NamedTuple):
    """A server that listens."""

    process: subprocess.Popen[str]
    url: str

    @property
    def megabytes(self) -> float:
        """The resident memory of the process."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024


def of_dep(*words: str) -> tuple[list[str], dict[str, str]]:
    """Return the command line of `dep` with some words, and the environment in which it runs this source."""
    command = [sys.executable, "-m", "dep.cli", *words]
    return command, {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2]), "HF_HUB_OFFLINE": "1"}


@contextmanager
def serving(adapter: str, *words: str) -> Iterator[Server]:
    """Serve an adapter on a free port until the `with` block ends; the process is then killed if it still runs."""
    command, environment = of_dep("serve", adapter, "port=0", *words)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    assert process.stdout is not None, "it is a pipe"
    lines = []
    try:
        for line in process.stdout:
            lines.append(line)
            if found := re.search(r"(http://\S+)/v1", line):
                yield Server(process, found[1])
                break
        else:
            raise RuntimeError(f"dep serve ended: {''.join(lines)}")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
