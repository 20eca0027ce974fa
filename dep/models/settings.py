"""Settings of the frozen LLM, the soft prompt and the projector."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from dep.models.adapters.user_llm.settings import UserLLMConfig
from dep.utils.fields import RUNTIME

PPLUG_TOKENS = 2
"""Soft tokens of PPlug: the instruction's and the user's."""
Init = Literal["xavier", "default"]
"""How trainable linear layers start: Xavier uniform (Appendix C.2.2) or torch's default (the public code)."""


@dataclass
class BackboneConfig:
    """Which frozen model, and how it is held."""

    name_or_path: str = "demo"
    """A folder (config.json, tokenizer files, *.safetensors), a model name of the Hugging Face hub, or
    `demo`."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of the frozen weights; `auto` keeps the stored one."""
    attn_implementation: Literal["auto", "flash_attention_2", "flex_attention", "sdpa", "eager"] = "auto"
    """`auto` takes flash attention where it is installed, on CUDA, for half precision; else torch's
    SDPA. torch's FlexAttention needs no package to skip what packed examples do not see of each other, and a GPU
    to train."""
    quantization: Literal["none", "nf4", "int8", "fp8"] = "none"
    """bitsandbytes' 4-bit or 8-bit weights, or torchao's 8-bit floats: less memory, not more speed."""
    activation_checkpointing: bool = field(default=False, metadata=RUNTIME)
    """Keep no activations of a layer but its input, and make them again in the backward pass: far less memory, a
    third more time."""
    compile: bool = field(default=False, metadata=RUNTIME)
    """torch.compile of each layer: minutes at first, then faster on a GPU; on a processor it needs a C++
    compiler."""
    allow_download: bool = field(default=False, metadata=RUNTIME)
    """Whether a name may be fetched from the hub; off, only folders and the local cache are read."""


@dataclass
class ProjectorConfig:
    """The projector's settings."""

    shared: bool = False
    """One network for all branches (Eq. 6) instead of one for each (Appendix C)."""
    hidden: int | None = None
    """Width of the hidden layer, in units; None takes the LLM's width."""
    init: Init = "xavier"
    """`xavier` (the paper) or torch's `default` (its public code)."""
    init_scale: float = 1.0
    """Factor on the last layer's initial weights; 1 is the paper's. A soft token that starts in a random direction
    has to be turned, one that starts near zero (0.01) takes the direction of its first gradients: on the built-in
    world 50 steps then do what 250 did."""
    scale_to_embedding: bool = False
    """Give every output the mean length of the LLM's embedding rows. Off in the paper; a small model
    learns several times sooner with it, since a soft token of another length than a word's is foreign to
    it."""


@dataclass
class LoRAConfig:
    """Low-rank updates of the LLM's own layers."""

    rank: int = 8
    """r, of every update; its scale is 2, as usual."""
    targets: list[str] = field(default_factory=list)
    """Names of the linear layers to update, as `q_proj`; empty: the query and value projections."""


@dataclass
class SoftPromptConfig:
    """The soft prompt's settings."""

    adapter: str = "dep"
    """Which adapter makes the soft tokens; the method sets it. `dep`, `constant`, `pplug`, `user_llm`, `lora`, or a
    class of your own as `my_module:MyAdapter`."""
    branches: list[Literal["his", "diff", "user"]] = field(default_factory=lambda: ["his", "diff"])
    """Which soft tokens there are; an empty list leaves the prompt as plain text (Non-Perso, RAG)."""
    standardize: bool = False
    """Give the compressor vectors of mean 0 and deviation 1 in every component (over the training histories), and
    let it rebuild them as they were. Off in the paper; text embeddings share a large common part, and with a few
    hundred steps a soft prompt learns little but that."""
    boundary_trainable: bool = False
    """Train the boundary tokens' rows, from the backbone's own; off, they stay frozen (the paper's public
    code)."""
    user_llm: UserLLMConfig = field(default_factory=UserLLMConfig)
    """User-LLM's settings."""
    lora: LoRAConfig = field(default_factory=LoRAConfig)
    """LoRA's, for the adapter `lora` and User-LLM's strategy of that name."""
    slots: int = 8
    """Past reviews at most, for the tables of `constant`."""
