"""Settings of the profiles that a language model writes for PAG and DPL."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from dep.methods.profiles.questions import Instructions
from dep.utils.fields import RUNTIME


@dataclass
class ProfileConfig:
    """Who writes users' profiles for PAG and DPL, and how."""

    writer: Literal["backbone", "endpoint"] = "backbone"
    """The frozen LLM itself, or a server with OpenAI's chat completions API (the only choice that uses the network)."""
    instructions: Instructions = "full"
    """`full` for models that follow instructions; `taught` for the built-in backbone, which was trained on these."""
    max_new_tokens: int = 256
    """Longest answer, in tokens."""
    url: str = ""
    """URL of the endpoint, up to and including `/v1`."""
    model: str = ""
    """The endpoint's name for the model."""
    key_variable: str = field(default="OPENAI_API_KEY", metadata=RUNTIME)
    """Environment variable with the endpoint's API key; a local server needs none."""
    workers: int = field(default=8, metadata=RUNTIME)
    """Number of simultaneous calls to the endpoint."""
    retries: int = field(default=5, metadata=RUNTIME)
    """Number of retries of a failed call, with exponential backoff."""
    timeout: float = field(default=60.0, metadata=RUNTIME)
    """Seconds until a call counts as lost."""
    max_calls: int = field(default=0, metadata=RUNTIME)
    """Maximum number of calls to the endpoint in one stage, not counting cached answers; 0: no limit."""
