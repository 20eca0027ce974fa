"""Settings of the profiles that a language model writes for PAG and DPL."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from dep.methods.profiles.questions import Instructions
from dep.utils.fields import RUNTIME


@dataclass
class ProfileConfig:
    """Which model writes users' profiles for PAG and DPL, and how."""

    writer: Literal["backbone", "endpoint"] = "backbone"
    """Which model writes. `backbone`: the frozen LLM. `endpoint`: a server with OpenAI's chat completions API."""
    instructions: Instructions = "full"
    """Wording of the questions: `full` for models that follow instructions, `taught` for the built-in backbone."""
    max_new_tokens: int = 256
    """Largest number of tokens in an answer."""
    url: str = ""
    """URL of the endpoint, up to and including `/v1`."""
    model: str = ""
    """The endpoint's name for the model."""
    key_variable: str = field(default="OPENAI_API_KEY", metadata=RUNTIME)
    """Name of the environment variable that holds the endpoint's API key; a local server needs none."""
    workers: int = field(default=8, metadata=RUNTIME)
    """Number of simultaneous calls to the endpoint."""
    retries: int = field(default=5, metadata=RUNTIME)
    """How often a failed call is repeated, with growing pauses."""
    timeout: float = field(default=60.0, metadata=RUNTIME)
    """Seconds after which a call without an answer counts as lost."""
    max_calls: int = field(default=0, metadata=RUNTIME)
    """Largest number of calls to the endpoint in a stage, not counting cached answers; 0 for no limit."""
