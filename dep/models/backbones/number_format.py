"""Chooses the number format of a backbone's weights on this machine (`backbone.dtype: fastest`).

Processors with AMX or AVX-512 BF16 multiply matrices in bfloat16 several times faster than in float32. Others compute
bfloat16 by way of float32, which is slower. The choice is measured once in each process.
"""

from __future__ import annotations

import logging
import time
from functools import lru_cache
from typing import Literal

import torch

from dep.models.settings import NumberFormat

_SHAPE = (1024, 576, 1536)
"""Rows, inputs and outputs of the timed product: a micro batch through a layer of a small LLM."""
_CALLS = 5
_GAIN = 1.5
"""Smallest ratio of times for which bfloat16 is chosen; conversions around the products take some of the gain."""
_log = logging.getLogger(__name__)


def resolved(dtype: NumberFormat) -> Literal["auto", "float32", "bfloat16"]:
    """Return the format that `dtype` stands for on this machine."""
    return fastest() if dtype == "fastest" else dtype


@lru_cache(1)
def fastest() -> Literal["float32", "bfloat16"]:
    """Measure which format multiplies matrices faster; bfloat16 on CUDA, without a measurement."""
    if torch.cuda.is_available():
        return "bfloat16"
    if not _has_units():
        _log.info("backbone.dtype=fastest: float32, because this processor has no units for bfloat16")
        return "float32"
    single, half = _seconds(torch.float32), _seconds(torch.bfloat16)
    chosen: Literal["float32", "bfloat16"] = "bfloat16" if single >= _GAIN * half else "float32"
    _log.info("backbone.dtype=fastest: %s (bfloat16 is %.1f times as fast)", chosen, single / half)
    return chosen


def _has_units() -> bool:
    """Return whether the processor multiplies bfloat16 by instructions of its own."""
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


def _seconds(dtype: torch.dtype) -> float:
    """Measure the shortest of several products."""
    rows, inputs, outputs = _SHAPE
    a, b = torch.ones(rows, inputs, dtype=dtype), torch.ones(outputs, inputs, dtype=dtype)
    times = []
    for _ in range(_CALLS + 1):  # the first call warms up
        began = time.perf_counter()
        torch.nn.functional.linear(a, b)
        times.append(time.perf_counter() - began)
    return min(times[1:])
