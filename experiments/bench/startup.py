"""Benchmarks `dep --help` against a process that imports torch before it prints the help."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

from experiments.bench.measure import Case

LIMIT = 0.4
"""Limit on the CPU seconds of `dep --help`."""


def cpu_seconds(code: str) -> float:
    """Return the CPU time of a new Python process that runs `code`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, env=os.environ)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


HELP = "import sys; from dep.cli import main; sys.argv = ['dep', '--help']; main(['--help'])"


def case() -> Case:
    """Benchmark the command's help."""
    return Case(
        "dep --help", "start of the command", "the same after `import torch`",
        lambda: cpu_seconds(HELP), lambda: cpu_seconds(f"import torch; {HELP}"),
        lambda ours, theirs: ours < theirs and ours < LIMIT, 1, "calls/s", 2,
    )  # fmt: skip
