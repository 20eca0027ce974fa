"""Settings of generation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from dep.utils.fields import RUNTIME


@dataclass
class GenerateConfig:
    """How texts are generated; the defaults are those of Appendix C.2.3."""

    engine: Literal["hf", "vllm"] = "hf"
    """Which library runs the LLM: transformers (`hf`), or vLLM in an environment that has it. Greedy texts are
    equal."""
    temperature: float = 0.8
    """The logits are divided by this; 0 means greedy decoding."""
    top_p: float = 0.95
    """Probability mass of the nucleus, from which tokens are drawn."""
    max_new_tokens: int = 2048
    """Largest number of tokens in a text."""
    greedy: bool = False
    """Whether the most likely token is taken instead of a drawn one."""
    contrast: float = 0.0
    """α of contrastive decoding (CoPe): how strongly tokens are preferred that the adapter makes likelier than the LLM
    without it is, which reads the same prompt without soft tokens. 0 turns it off. Likelihoods are those of the model
    with its adapter in any case. CoPe's value of 0.1 is 0.111 here, since its formula has another scale."""
    contrast_floor: float = 0.1
    """β of contrastive decoding: tokens whose probability is below this share of the likeliest token's are not chosen,
    from 0 to 1."""
    seed: int = 0
    """Seed of each request's random stream, together with the request's key."""
    batch_size: int = field(default=16, metadata=RUNTIME)
    """Number of requests in a batch; it does not change any text."""
    progress: bool = field(default=True, metadata=RUNTIME)
    """Whether a progress bar is shown."""
