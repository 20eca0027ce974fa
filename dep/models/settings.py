"""Settings of the frozen LLM, the soft prompt and the projector."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from dep.models.adapters.user_llm.settings import UserLLMConfig
from dep.utils.fields import RUNTIME

PPLUG_TOKENS = 2
"""How many soft tokens PPlug has: one for the instruction and one for the user."""
Init = Literal["xavier", "normal", "default"]
"""Initial weights of trainable linear layers: Xavier uniform (Appendix C.2.2), N(0, 0.02) (the public code) or torch's
default."""


@dataclass
class BackboneConfig:
    """Which frozen LLM, and how it is loaded."""

    name_or_path: str = "demo"
    """A folder (config.json, tokenizer files, *.safetensors), a GGUF file (converted into the user's cache on its first
    use), a model name of the Hugging Face hub, a model that `dep fetch` knows (`smollm2`), or `demo`. On the command
    line `backbone=smollm2` is short for `backbone.name_or_path=smollm2`."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of the frozen weights; `auto` keeps the format of the files."""
    attn_implementation: Literal["auto", "flash_attention_2", "flex_attention", "sdpa", "eager"] = "auto"
    """Attention kernel. `auto` takes flash attention on CUDA in half precision if it is installed, else torch's SDPA.
    torch's FlexAttention also keeps packed examples apart without wasted work; it needs no package, but a GPU to
    train."""
    quantization: Literal["none", "nf4", "int8", "fp8"] = "none"
    """bitsandbytes' 4-bit or 8-bit weights, or torchao's 8-bit floats. Quantised weights save memory, not time."""
    activation_checkpointing: bool = field(default=False, metadata=RUNTIME)
    """Keep only the input of each layer and compute its other activations again in the backward pass: far less memory,
    a third more time."""
    compile: bool = field(default=False, metadata=RUNTIME)
    """Compile each layer with torch.compile: the first steps take minutes, the later ones are faster on a GPU. On a
    CPU it needs a C++ compiler."""
    allow_download: bool = field(default=False, metadata=RUNTIME)
    """Whether a model may be downloaded from the hub; if off, only folders and the local cache are read."""


@dataclass
class ProjectorConfig:
    """Settings of the projector."""

    shared: bool = False
    """One network for all branches (Eq. 6) instead of one for each branch (Appendix C)."""
    hidden: int | None = None
    """Width of the hidden layer, in units; null takes the LLM's width."""
    init: Init = "xavier"
    """Initial weights: `xavier` (the paper), `normal` (the public code: N(0, 0.02), zero biases) or torch's own."""
    init_scale: float = 1.0
    """Factor on the last layer's initial weights; 1 in the paper. With 0.01 a soft token starts near zero and takes
    the direction of its first gradients; with 1 it starts in a random direction that training first has to undo. On the
    built-in world 50 steps with 0.01 reach what 250 steps with 1 do."""
    scale_to_embedding: bool = False
    """Scale every soft token to the mean norm of the LLM's embedding rows. Off in the paper. A small LLM learns several
    times faster with it, because its layers expect inputs of that norm."""


@dataclass
class LoRAConfig:
    """Low-rank updates of the LLM's own layers."""

    rank: int = 8
    """r, of every update; its scale is 2, as usual."""
    targets: list[str] = field(default_factory=list)
    """Names of the linear layers to update, as `q_proj`; empty: the query and value projections."""


@dataclass
class SoftPromptConfig:
    """Settings of the soft prompt."""

    adapter: str = "dep"
    """Which adapter computes the soft tokens; the method sets it. `dep`, `constant`, `pplug`, `user_llm`, `lora`, or
    your own class as `my_module:MyAdapter`."""
    branches: list[Literal["his", "diff", "user"]] = field(default_factory=lambda: ["his", "diff"])
    """Which kinds of soft tokens the prompt holds; an empty list makes a prompt of plain text (Non-Perso, RAG)."""
    standardize: bool = False
    """Standardise what the compressor reads: each component has mean 0 and deviation 1 over the training histories.
    Eq. 8 still compares the original vectors. Off in the paper. Text embeddings share a large common part, and in a few
    hundred steps a soft prompt without this learns little else."""
    boundary_trainable: bool = False
    """Train the embedding rows of the boundary tokens, starting from the backbone's own rows; if off, they stay
    frozen (the public code)."""
    losses_see: Literal["shown", "all"] = "shown"
    """Which vectors Eq. 8 to 10 are computed on if a prompt is too long for all past reviews: those of the reviews
    `shown`, or `all` that the request asked for (the public code)."""
    user_llm: UserLLMConfig = field(default_factory=UserLLMConfig)
    """Settings of User-LLM."""
    lora: LoRAConfig = field(default_factory=LoRAConfig)
    """Settings of LoRA, for the adapter `lora` and for User-LLM's strategy of that name."""
    slots: int = 8
    """Largest number of past reviews that the `constant` adapter has vectors for."""
