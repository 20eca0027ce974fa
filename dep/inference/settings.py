"""Settings of the generation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from dep.utils.fields import RUNTIME


@dataclass
class GenerateConfig:
    """Decoding; the defaults are Appendix C.2.3's."""

    engine: Literal["hf", "vllm"] = "hf"
    """What runs the LLM: transformers, or vLLM in an environment that has it (the same greedy text)."""
    temperature: float = 0.8
    """Divides the logits; 0 is greedy."""
    top_p: float = 0.95
    """Mass of the nucleus that is drawn from."""
    max_new_tokens: int = 2048
    """Longest text, in tokens."""
    greedy: bool = False
    """Take the most likely token instead of drawing."""
    seed: int = 0
    """With a request's key it decides what is drawn."""
    batch_size: int = field(default=16, metadata=RUNTIME)
    """Requests at a time; does not change what is drawn."""
    progress: bool = field(default=True, metadata=RUNTIME)
    """Whether to show a progress bar."""
