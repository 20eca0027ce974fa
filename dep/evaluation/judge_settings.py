"""Settings of `dep judge`, which scores predictions of any system on a run's requests."""

from __future__ import annotations

from dataclasses import dataclass, field

from dep.utils.fields import RUNTIME


@dataclass
class JudgeConfig:
    """Settings of `dep judge`: what is compared, and which language model judges texts. No run reads them."""

    past_texts: bool = True
    """Whether the judged system reads the texts of past reviews. Where a control exists with and without texts, this
    chooses the one that is compared; the configuration of a judged adapter decides it by itself."""
    stranger: str = ""
    """A second file of predictions, which the same system made from the past of another user: that of the request which
    `stranger` names in requests.jsonl. A judged adapter needs none, as it is run again with another user's vectors."""
    metric: str = ""
    """The metric in which the sentences on the gain speak; if empty, nll where the predictions have it, else meteor."""
    url: str = field(default="", metadata=RUNTIME)
    """URL of a server with OpenAI's chat completions API, up to and including `/v1`, whose model judges texts."""
    model: str = ""
    """The server's name for the model that judges; empty for no such judge."""
    requests: int = 50
    """How many of the run's requests the language model judges; a fixed seed draws them. 0 for all."""
    past_reviews: int = 3
    """How many of the user's past reviews, the newest, the language model sees beside the real review."""
    max_new_tokens: int = 512
    """Largest number of tokens in a reply of the language model."""
    key_variable: str = field(default="OPENAI_API_KEY", metadata=RUNTIME)
    """Name of the environment variable that holds the server's API key; a local server needs none."""
    workers: int = field(default=8, metadata=RUNTIME)
    """Number of simultaneous calls to the server."""
    retries: int = field(default=5, metadata=RUNTIME)
    """How often a failed call is repeated, with growing pauses."""
    timeout: float = field(default=60.0, metadata=RUNTIME)
    """Seconds after which a call without an answer counts as lost."""
    max_calls: int = field(default=0, metadata=RUNTIME)
    """Largest number of calls in one `dep judge`, not counting replies that are on disk; 0 for no limit."""
