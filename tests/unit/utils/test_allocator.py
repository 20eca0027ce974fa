"""Freed blocks of the size of a review's logits return to the system, also among small tensors that are kept."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import torch
from dep.utils.allocator import return_large_blocks

def resident() -> int:
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) >> 10

return_large_blocks()
before, kept = resident(), []
for size in range(40):
    blocks = [torch.ones((17 << 18) + 4096 * size) for _ in range(2)]  # 17 MB and more
    kept.append(torch.ones(1 << 15))
    del blocks
print(resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_large_blocks_leave_the_process_when_they_are_freed() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 60  # megabytes; what is kept has 5
