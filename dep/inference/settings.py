"""Settings of the generation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from dep.utils.fields import RUNTIME


@dataclass
class GenerateConfig:
    """How texts are generated; the defaults are those of Appendix C.2.3."""

    engine: Literal["hf", "vllm"] = "hf"
    """What runs the LLM: transformers, or vLLM in an environment that has it (the same greedy text)."""
    temperature: float = 0.8
    """Divides the logits; 0 means greedy decoding."""
    top_p: float = 0.95
    """Probability mass of the nucleus that tokens are drawn from."""
    max_new_tokens: int = 2048
    """Longest text, in tokens."""
    greedy: bool = False
    """Take the most likely token instead of drawing one."""
    seed: int = 0
    """Seed of the random streams, together with a request's key."""
    batch_size: int = field(default=16, metadata=RUNTIME)
    """Requests at a time; does not change any text."""
    progress: bool = field(default=True, metadata=RUNTIME)
    """Whether to show a progress bar."""
