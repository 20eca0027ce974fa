"""Estimates the memory and time that an arm needs on a given card, from the backbone's architecture alone.

An arm is one system of a comparison with its settings. No weights are loaded. Parameters and stored activations are
counted on torch's meta device, where tensors have shapes but no storage. Reading prompts and training take a time
proportional to floating-point operations; decoding takes a time proportional to the bytes read, since each token needs
all weights once. How much of a card's peak is reached in practice is an assumption, which `Card` states.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from transformers import AutoConfig, PretrainedConfig, Qwen2Config

from dep.models.backbones.geometry import attention_layers, parameters, width
from dep.models.backbones.kept_activations import kept_bytes
from dep.models.backbones.load import files
from dep.models.settings import BackboneConfig
from dep.utils.errors import MissingFile


@dataclass(frozen=True)
class Card:
    """A GPU and the format of the weights on it."""

    name: str
    memory: float
    """Memory in GB."""
    flops: float
    """The vendor's peak of floating-point operations per second."""
    bandwidth: float
    """Memory bandwidth in bytes per second."""
    quantization: str = "none"
    reached: float = 0.4
    """The share of the peak that training and reading prompts reach."""
    decoding: float = 0.5
    """The share of the bandwidth that decoding reaches; lower for quantized weights, which are unpacked at each use."""


CARDS = (
    Card("80 GB, bf16", 80, 312e12, 2.0e12),
    Card("24 GB, NF4", 24, 165e12, 1.0e12, "nf4", reached=0.3, decoding=0.2),
)
"""An A100 and an RTX 4090, with the vendor's peak figures for dense bf16."""

_QWEN: dict[str, dict[str, Any]] = {
    name: dict(
        zip(
            ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
             "vocab_size", "tie_word_embeddings"),
            row, strict=True,
        )
    )
    for name, row in {
        "Qwen/Qwen2.5-0.5B-Instruct": (896, 4864, 24, 14, 2, 151936, True),
        "Qwen/Qwen2.5-1.5B-Instruct": (1536, 8960, 28, 12, 2, 151936, True),
        "Qwen/Qwen2.5-3B-Instruct": (2048, 11008, 36, 16, 2, 151936, True),
        "Qwen/Qwen2.5-7B-Instruct": (3584, 18944, 28, 28, 4, 152064, False),
        "Qwen/Qwen2.5-14B-Instruct": (5120, 13824, 48, 40, 8, 152064, False),
        "Qwen/Qwen2.5-32B-Instruct": (5120, 27648, 64, 40, 8, 152064, False),
    }.items()
}  # fmt: skip
"""Published sizes of the paper's backbones, so that costs can be estimated without access to a model hub."""


_WORKSPACE = 1.5
"""GB that the CUDA context and scratch space take."""


@dataclass(frozen=True)
class Load:
    """How much work an arm is, in examples and tokens.

    `prompt` and `target` are the mean numbers of tokens in an example's prompt and target; `longest` is the number of
    tokens in the longest example, target included.
    """

    train: int
    """Number of training examples, times the number of epochs."""
    validate: int
    """Number of validation examples, times the number of epochs."""
    test: int
    prompt: float
    target: float
    longest: int
    micro_batch: int
    batch: int
    """Number of examples that are generated in one batch."""
    new_tokens: int
    """Largest number of tokens in a generated text."""
    validation_writes: bool
    """Whether validation generates texts (for METEOR) or only computes the likelihood."""
    calls: int = 0
    """Number of profile texts, of `call_tokens` tokens each, that the LLM writes per request (PAG, DPL)."""
    call_tokens: int = 0
    kept: float = 0.0
    """Mean number of prompt tokens whose keys and values are kept (`backbone.keep_prefixes`). For an adapter that acts
    at the LLM's output all tokens are kept, as hidden states."""
    kept_name: str = ""
    """Name of what is kept. Arms whose prompts begin alike have the same name, and only the first computes it."""
    read: int = 0
    """Number of examples whose kept tokens are computed before training: those of training and validation, once."""
    read_test: int = 0
    """Number of test examples whose kept tokens are computed before generation."""
    writes: bool = True
    """Whether texts are generated for the test examples, or only their likelihood is computed."""
    weighed: int = 0
    """Number of training examples that are read twice before training, for the weights of their tokens."""
    users: int = 0
    """Number of test users for each of whom a LoRA is trained (OPPU)."""
    users_train: int = 0
    """Number of past reviews on which all these LoRAs are trained, times the number of epochs."""
    past: int = 0
    """Number of past reviews whose hidden states are computed before training: users of training and validation."""
    past_test: int = 0
    """Number of past reviews whose hidden states are computed before generation."""
    past_tokens: float = 0.0
    """Mean number of tokens of a past review with the prompt by which the LLM reads it."""


@dataclass(frozen=True)
class Cost:
    """Seconds and peak GB of training and of generation; those of training are 0 if nothing is trained.

    Generation includes the training of users' LoRAs.
    """

    train_s: float
    generate_s: float
    train_gb: float
    generate_gb: float


def architecture(config: BackboneConfig) -> PretrainedConfig:
    """Return the backbone's configuration from its folder, from the local cache, or from the table of published sizes.

    Raises:
        FileNotFoundError: none of these has the configuration.
    """
    name = files(config)
    try:
        config_json: PretrainedConfig = AutoConfig.from_pretrained(
            name, local_files_only=not config.allow_download, trust_remote_code=False
        )
        return config_json
    except OSError:
        if config.name_or_path in _QWEN:
            return Qwen2Config(**_QWEN[config.name_or_path])
    raise MissingFile(
        f"backbone.name_or_path: {config.name_or_path!r} is no folder here, and its size is none of those that a plan "
        f"knows without one ({', '.join(_QWEN)}); point it at a folder with a config.json"
    )


def estimate(config: BackboneConfig, load: Load, card: Card, trained: int) -> Cost:
    """Estimate what `load` costs on `card`.

    Args:
        config: the backbone.
        load: the arm's work.
        card: the GPU.
        trained: number of trained parameters; 0 for an arm without training.
    """
    shape = architecture(config)
    total, embedding, _ = parameters(shape)
    weights = 2.0 * total if card.quantization == "none" else 2.0 * embedding + (0.5 + 4 / 64) * (total - embedding)
    length, rate = load.prompt + load.target, card.flops * card.reached
    read_s = reading_flops(shape, load.kept, 0) / rate
    train_s = training_flops(shape, length - load.kept, load.target) * load.train / rate if trained else 0.0
    past_s = reading_flops(shape, load.past_tokens, 0) / rate
    train_s += read_s * load.read + past_s * load.past if trained else 0.0
    train_s += 2 * reading_flops(shape, length, load.target) * load.weighed / rate if trained else 0.0
    steps = min(load.new_tokens, 2 * load.target)  # a batch decodes until its longest text ends
    prefill = reading_flops(shape, max(load.prompt - load.kept, 0.0), 1) * load.batch / rate
    a_batch = prefill + steps * weights / (card.bandwidth * card.decoding)
    likelihood = reading_flops(shape, length - load.kept, load.target) / rate
    if trained:
        train_s += load.validate * (a_batch / load.batch if load.validation_writes else likelihood)
    calls = load.calls * (prefill + load.call_tokens * weights / (card.bandwidth * card.decoding))
    writing = (a_batch * load.writes + calls) / load.batch
    generate_s = load.test * (writing + likelihood) + load.read_test * read_s + load.past_test * past_s
    generate_s += users_seconds(shape, load, card)
    longest = min(load.longest, int(load.prompt * 1.5)) + load.new_tokens
    decode = weights + kv_bytes(shape, longest, 2) * load.batch
    logits = 3 * 4.0 * shape.get_text_config(decoder=True).vocab_size * load.target * 2
    train = weights + (kept_bytes(shape, load.longest - int(load.kept)) + logits) * load.micro_batch + 16.0 * trained
    generate = max(decode, train) if load.users else decode
    return Cost(train_s, generate_s, (train / 1e9 + _WORKSPACE) * bool(trained), generate / 1e9 + _WORKSPACE)


def users_seconds(shape: PretrainedConfig, load: Load, card: Card) -> float:
    """Estimate the seconds for training the LoRAs of all test users, whose reviews are as long as test examples."""
    flops = training_flops(shape, load.prompt + load.target, load.target) * load.users_train
    return flops / (card.flops * card.reached)


def reading_flops(shape: PretrainedConfig, tokens: float, predicted: float) -> float:
    """Count the operations of one forward pass over `tokens` positions, with logits at `predicted` of them.

    Attention is counted as a causal kernel computes it, which is half of all pairs of positions.
    """
    linear, attention = _flops(shape, tokens, predicted)
    return linear + attention


def training_flops(shape: PretrainedConfig, tokens: float, predicted: float) -> float:
    """Count the operations of a training step through a frozen LLM.

    Frozen weights need no gradient, so the backward pass of a linear layer costs as much as one forward pass and not
    two. The backward pass of attention costs two and a half forward passes, since the kernel computes the scores again.
    """
    linear, attention = _flops(shape, tokens, predicted)
    return 2 * linear + 3.5 * attention


def _flops(shape: PretrainedConfig, tokens: float, predicted: float) -> tuple[float, float]:
    total, embedding, skipped = parameters(shape)
    output = shape.get_text_config(decoder=True).vocab_size * width(shape)
    layers = total - embedding - skipped
    scores = sum(layer.heads * (layer.key + layer.value) for layer in attention_layers(shape))
    return 2.0 * (layers * tokens + output * predicted), 1.0 * tokens * tokens * scores


def kv_bytes(shape: PretrainedConfig, tokens: float, itemsize: int) -> float:
    """Count the bytes of cached keys and values for `tokens` positions, without those of cross-attention."""
    return float(itemsize) * tokens * sum(layer.cached for layer in attention_layers(shape))


def fitted(config: BackboneConfig, load: Load, card: Card, trained: int) -> tuple[Load, Cost]:
    """Reduce the generation batch and the longest example until the work fits the card; return both work and cost."""
    while (cost := estimate(config, load, card, trained)).generate_gb > 0.95 * card.memory and load.batch > 1:
        load = replace(load, batch=load.batch // 2)
    while cost.train_gb > 0.95 * card.memory and load.longest > 512:
        load = replace(load, longest=load.longest - 256)
        cost = estimate(config, load, card, trained)
    return load, cost
