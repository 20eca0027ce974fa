"""Settings of the profiles that a language model writes for PAG and DPL."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from dep.methods.profiles.questions import Instructions
from dep.utils.fields import RUNTIME


@dataclass
class ProfileConfig:
    """The writer of users' profiles for PAG and DPL."""

    writer: Literal["backbone", "endpoint"] = "backbone"
    """The frozen LLM itself, or a server of OpenAI's chat completions, the only one that uses the network."""
    instructions: Instructions = "full"
    """`full` for instruction-tuned models; `taught` for the built-in backbone, which was trained on these."""
    max_new_tokens: int = 256
    """Longest answer, in tokens."""
    url: str = ""
    """The endpoint, up to and with its `/v1`."""
    model: str = ""
    """The endpoint's name for the model."""
    key_variable: str = field(default="OPENAI_API_KEY", metadata=RUNTIME)
    """The environment variable that holds the endpoint's key; a local server needs none."""
    workers: int = field(default=8, metadata=RUNTIME)
    """Parallel calls to the endpoint."""
    retries: int = field(default=5, metadata=RUNTIME)
    """Retries of a failed call, with exponential backoff."""
    timeout: float = field(default=60.0, metadata=RUNTIME)
    """Seconds until a call fails."""
    max_calls: int = field(default=0, metadata=RUNTIME)
    """Most calls to the endpoint in one stage, without cached answers; 0: no limit."""
