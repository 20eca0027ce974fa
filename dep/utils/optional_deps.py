"""Lists the optional packages, the extra that installs each of them, and the settings that need them."""

from __future__ import annotations

from importlib.util import find_spec
from typing import NamedTuple

EXTRAS = {
    "datasets": "data", "evaluate": "data", "FlagEmbedding": "embed", "bitsandbytes": "quant", "openai": "endpoint",
    "optuna": "dev", "flash_attn": "gpu", "cut_cross_entropy": "gpu", "deepspeed": "gpu",
    "torchao": "fp8", "opacus": "privacy", "gradio": "page", "fastapi": "serve", "uvicorn": "serve",
    "prometheus_client": "serve",
}  # fmt: skip
"""For each optional package the extra that installs it."""


class Need(NamedTuple):
    """The optional package that a value of a setting needs."""

    package: str
    instead: str
    """A value of the same setting that does not need the package."""


NEEDS = {
    ("backbone.quantization", "nf4"): Need("bitsandbytes", "none"),
    ("backbone.quantization", "int8"): Need("bitsandbytes", "none"),
    ("backbone.quantization", "fp8"): Need("torchao", "none"),
    ("backbone.attn_implementation", "flash_attention_2"): Need("flash_attn", "auto"),
    ("train.cross_entropy", "cut"): Need("cut_cross_entropy", "chunked"),
    ("generate.engine", "vllm"): Need("vllm", "hf"),
}
"""What each pair (setting, value) needs."""


def missing_package(setting: str, value: str) -> str:
    """Return an error message if the package that a value needs is not installed; otherwise an empty text."""
    need = NEEDS.get((setting, value))
    if need is None or find_spec(need.package) is not None:
        return ""
    get = "it pins torch and transformers, so best into an environment of its own"  # vLLM, which no extra brings
    if need.package in EXTRAS:
        get = f"extra `{EXTRAS[need.package]}`"
    return (
        f"{setting}={value}: expected the package {need.package}, found none; install it ({get}), or set "
        f"{setting}={need.instead}"
    )
