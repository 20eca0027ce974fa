"""How fast is the machine now? Other work may share it."""

from __future__ import annotations

import time

import torch

_SIZE = 1024


def matrix_rate(seconds: float = 1.0) -> float:
    """Return the GFLOP a second of the fastest matrix product of this process within so many seconds."""
    a = torch.randn(_SIZE, _SIZE)
    a @ a
    times, end = list[float](), time.monotonic() + seconds
    while not times or time.monotonic() < end:
        start = time.perf_counter()
        a @ a
        times.append(time.perf_counter() - start)
    return 2e-9 * _SIZE**3 / min(times)
