"""Settings of the frozen LLM, the soft prompt and the projector."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from dep.models.adapters.dep_user.settings import DEPUserConfig
from dep.models.adapters.user_llm.settings import UserLLMConfig
from dep.utils.fields import RUNTIME

PPLUG_TOKENS = 2
"""Number of PPlug's soft tokens: one for the instruction and one for the user."""
Init = Literal["xavier", "normal", "default"]
"""Initial weights of trained linear layers: Xavier uniform (Appendix C.2.2), N(0, 0.02) (the public code) or torch's
default."""


NumberFormat = Literal["auto", "float32", "bfloat16", "fastest"]
"""Names of number formats for the weights of a backbone."""


@dataclass
class BackboneConfig:
    """Which frozen LLM is used, and how it is loaded."""

    name_or_path: str = "demo"
    """A folder with config.json, tokenizer files and *.safetensors; a GGUF file, converted into the cache of the
    user on its first use; a name on the Hugging Face hub; a model that `dep fetch` knows (`smollm2`); or `demo` for
    the small LLM that comes with the package. On the command line `backbone=smollm2` is short for
    `backbone.name_or_path=smollm2`."""
    dtype: NumberFormat = "auto"
    """Number format of the frozen weights. `auto`: the format of the files. `fastest`: float32 or bfloat16, whichever
    this machine multiplies faster by measurement; the choice is logged."""
    attn_implementation: Literal["auto", "flash_attention_2", "flex_attention", "sdpa", "eager"] = "auto"
    """Attention kernel. `auto` takes flash attention if it is installed and the LLM runs on CUDA in half precision,
    else torch's SDPA. `flex_attention`, torch's own, also keeps packed examples apart without extra work; it needs no
    package, but training with it needs a GPU."""
    quantization: Literal["none", "nf4", "int8", "fp8"] = "none"
    """Format of quantised weights: `nf4` and `int8` by bitsandbytes, `fp8` by torchao. They save memory, not time."""
    activation_checkpointing: bool = field(default=False, metadata=RUNTIME)
    """Whether only each layer's input is stored and its other activations are computed again in the backward pass; this
    takes far less memory and a third more time."""
    compile: bool = field(default=False, metadata=RUNTIME)
    """Whether each layer is compiled with torch.compile: the first steps then take minutes, and later ones are faster
    on a GPU. On a CPU this needs a C++ compiler."""
    keep_prefixes: bool = field(default=False, metadata=RUNTIME)
    """Whether the keys and values of each prompt up to its first soft token are kept on disk (`<cache>/prefixes`).
    Epochs, seeds and arms then compute them once. On a CPU this saves most of the time of a training step if
    `prompt.slots` is `late`."""
    prefix_precision: Literal["model", "half"] = "model"
    """The number format of what is kept. `model`: the format of the model. `half`: half precision for a model in
    float32; it takes half the room and changes results in the fourth digit."""
    prefix_gb: float = field(default=20.0, metadata=RUNTIME)
    """Largest size on disk, in GB, of what is kept for a backbone."""
    allow_download: bool = field(default=False, metadata=RUNTIME)
    """Whether a model may be downloaded from the hub; if not, only local folders and the hub's local cache are read."""


@dataclass
class ProjectorConfig:
    """Settings of the projector."""

    tokens: int = 1
    """Number of soft tokens for each vector of a past review, side by side between the boundary tokens; 1 in the paper.
    One vector of several hundred numbers tells more than one token of a small LLM can say. The soft tokens of a whole
    history are counted elsewhere (`prompt.user_tokens`, `soft_prompt.user_llm.latents`)."""
    shared: bool = False
    """Whether all branches share one network (Eq. 6); if not, each has its own (Appendix C)."""
    start: Literal["random", "words"] = "random"
    """Where soft tokens start. `random`: in the directions of the initial weights (the paper). `words`: each at the
    embedding of an ordinary word of the LLM, to which the adapter adds what it learns, so that the LLM reads plain text
    before training. The adapters `dep`, `constant`, `dep_user`, `pplug`, `e2p`, `lpm` and `user_llm` follow it."""
    hidden: int | None = None
    """Width of the hidden layer; null takes the LLM's width."""
    init: Init = "xavier"
    """Initial weights. `xavier`: the paper's. `normal`: N(0, 0.02) and zero biases (the public code). `default`:
    torch's."""
    init_scale: float = 1.0
    """Factor on the last layer's initial weights; 1 in the paper. With 0.01 a soft token starts near zero and takes the
    direction of its first gradients. With 1 it starts in a random direction, which training first has to undo. On the
    built-in world, 50 steps with 0.01 reach the loss of 250 steps with 1."""
    scale_to_embedding: bool = False
    """Whether every soft token is scaled to the mean norm of the LLM's token embeddings; the paper does not do this.
    With a small LLM training is then several times faster, because the LLM's layers expect inputs of that norm."""


@dataclass
class LoRAConfig:
    """Settings of LoRA, that is, of low-rank updates of the LLM's own layers."""

    rank: int = 8
    """The rank r of every update; the scale of updates is always 2."""
    targets: list[str] = field(default_factory=list)
    """Names of the linear layers to update, such as `q_proj`; if empty, the query and value projections."""


@dataclass
class StyleVectorConfig:
    """Settings of StyleVector."""

    layer: int | None = None
    """Index of the decoder layer whose output is read and steered, from 0; null takes the middle layer."""
    alpha: float = 1.0
    """The factor on a style vector when it is added to activations."""
    states: Literal["last", "mean"] = "last"
    """Which tokens of a text are read: its `last` one, as in the paper, or all, of whose states the `mean` is taken.
    The last token of a text that was cut (`profile.max_new_tokens`) differs from that of a whole one, whatever the
    style."""
    neutral: Literal["written", "peer"] = "written"
    """What a user's past review is compared with. `written`: the text that a language model writes about the item with
    the same rating and title (`profile` says which model), as in the paper. `peer`: another user's review of the item,
    which needs no generation."""


@dataclass
class LPMConfig:
    """Settings of LPM."""

    slots: int = 16
    """N, the number of latent slots for each user."""
    tokens: int = 4
    """M, the number of soft tokens, which are read from the slots for each request."""
    width: int = 128
    """W, the width of a slot."""
    heads: int = 4
    """Number of attention heads."""
    lr: float = 1e-3
    """Peak learning rate of everything but the projector, which AdamW trains even if another optimizer trains the
    projector."""


@dataclass
class MemoryConfig:
    """Settings of the adapter `memory`, which acts at the LLM's output."""

    his: bool = True
    """Whether the LLM recalls tokens of the user's past reviews in similar contexts."""
    diff: bool = True
    """Whether words that the user writes more or less often than expected become more or less likely."""
    others: int = 0
    """Number of tokens of other people's reviews, a sample of the training, in which the LLM recalls for every user;
    the adapter's file holds their states."""
    rank: int = 64
    """The rank of the correction that is the same for every user; 0 leaves a bias for each token of the vocabulary."""
    lr: float = 2e-2
    """Peak learning rate of the token biases and of the few numbers that say how much a user's past counts."""


@dataclass
class SoftPromptConfig:
    """Settings of the soft prompt."""

    adapter: str = "dep"
    """Which adapter is used: `dep`, `constant`, `pplug`, `e2p`, `lpm`, `user_llm`, `dep_user`, `memory`, `lora`,
    `style_vector`, or your own class as `my_module:MyAdapter`. The method sets this."""
    branches: list[Literal["his", "diff", "user"]] = field(default_factory=lambda: ["his", "diff"])
    """Which kinds of soft tokens the prompt holds; with an empty list it is plain text (Non-Perso, RAG)."""
    standardize: bool = False
    """Whether the compressor's input is standardised: each component then has mean 0 and standard deviation 1 over the
    training histories. Eq. 8 still compares the original vectors. The paper does not standardise. Text embeddings have
    a large part in common, and without standardisation a soft prompt learns little else in a few hundred steps."""
    boundary_trainable: bool = False
    """Whether the embeddings of the boundary tokens are trained, beginning with the backbone's own; if not, they stay
    frozen (the public code)."""
    boundary_start: Literal["mean", "words"] = "mean"
    """What the embeddings of the boundary tokens are before training. `mean`: the mean of all the LLM's embeddings and
    a little noise. `words`: those of quotation marks (his) and brackets (diff)."""
    losses_see: Literal["shown", "all"] = "shown"
    """Which vectors enter Eq. 8 to 10 if a prompt is too long for all past reviews: those of the reviews `shown` in the
    prompt, or of `all` that the request asked for (the public code)."""
    user_llm: UserLLMConfig = field(default_factory=UserLLMConfig)
    """Settings of User-LLM."""
    dep_user: DEPUserConfig = field(default_factory=DEPUserConfig)
    """Settings of DEP's user encoder."""
    lora: LoRAConfig = field(default_factory=LoRAConfig)
    """Settings of LoRA, which the adapter `lora` and User-LLM's strategy `lora` use."""
    lpm: LPMConfig = field(default_factory=LPMConfig)
    """Settings of LPM."""
    style_vector: StyleVectorConfig = field(default_factory=StyleVectorConfig)
    """Settings of StyleVector."""
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    """Settings of the adapter `memory`."""
    constant_lr: float | None = None
    """Peak learning rate of the adapter `constant`, which AdamW trains; null takes `train.lr`. In a step a row of its
    table moves by one learning rate, but a soft token of a projector by the sum over many weights. At an equal rate
    this control learns far more slowly than DEP, which is unfair to it."""
    slots: int = 8
    """Number of slot indices for which the adapter `constant` has soft tokens, which limits the number of past
    reviews."""
