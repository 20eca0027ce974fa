"""Settings of the profiles that PAG and DPL let a language model write."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from dep.methods.profiles.questions import Instructions
from dep.utils.fields import RUNTIME


@dataclass
class ProfileConfig:
    """Who writes users' profiles for PAG and DPL, and how."""

    writer: Literal["backbone", "endpoint"] = "backbone"
    """The frozen LLM itself, or a server that speaks OpenAI's chat completions (the only one that uses the network)."""
    instructions: Instructions = "full"
    """For models that follow instructions, or `taught`: those that the built-in backbone was trained on."""
    max_new_tokens: int = 256
    """Longest answer, in tokens."""
    url: str = ""
    """The endpoint, up to and with its `/v1`."""
    model: str = ""
    """The endpoint's name for the model."""
    key_variable: str = field(default="OPENAI_API_KEY", metadata=RUNTIME)
    """The environment variable that holds the endpoint's key; a local server needs none."""
    workers: int = field(default=8, metadata=RUNTIME)
    """Calls to the endpoint at a time."""
    retries: int = field(default=5, metadata=RUNTIME)
    """How often a call is tried again, after longer and longer waits."""
    timeout: float = field(default=60.0, metadata=RUNTIME)
    """Seconds until a call counts as lost."""
    max_calls: int = field(default=0, metadata=RUNTIME)
    """Calls to the endpoint that one stage may make, answers from the cache not counted; 0: no limit."""
