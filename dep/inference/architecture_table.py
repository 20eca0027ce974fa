"""Writes docs/architectures.md, which says what each causal LM of transformers can do (run it by `python -m`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import AutoConfig, PretrainedConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from dep.inference.capabilities import architecture_capabilities
from dep.inference.trials import Capabilities

PAGE = Path(__file__).resolve().parents[2] / "docs" / "architectures.md"
COMPLETIONS: Mapping[str, Mapping[str, Any]] = {
    "bamba": {"attn_layer_indices": [9, 18, 27]},
    "cohere_compass_text": {
        "rope_parameters": {
            kind: {"rope_type": "default", "rope_theta": 10000.0} for kind in ("full_attention", "sliding_attention")
        }
    },
    "deepseek_v2": {"num_experts_per_tok": 6, "n_group": 1, "topk_group": 1},
    "dots1": {"n_routed_experts": 128, "n_shared_experts": 2, "num_experts_per_tok": 6},
    "granitemoehybrid": {"num_hidden_layers": 4, "layer_types": ["mamba", "attention"] * 2},
    "hunyuan_v1_dense": {"head_dim": 128},
    "hunyuan_v1_moe": {"head_dim": 128},
    "lfm2_moe": {"num_hidden_layers": 4, "layer_types": ["conv", "full_attention"] * 2},
    "ministral": {"head_dim": 128},
    "nemotron": {"num_key_value_heads": 8},
}
"""For each model type the fields that published models have and the default configuration of transformers lacks."""
_HEAD = """# Architectures

Every causal LM of transformers {version}, tried on a random model of a few layers (`python -m
dep.inference.architecture_table` writes this page). *Exact* means: the likelihood of a review is that of the plain
model, and a text written in a batch is the text that the plain model writes for the row alone, soft tokens included.
What an architecture does not do exactly is not used for it; a run refuses what cannot be used before any work.

- **written by**: `cache`, our loop over keys, values and states; `generate`, the loop of transformers; `reread`, the
  whole text again for each token, which is slow.
- **unequal rows**: whether prompts of different lengths share a batch when texts are written; else equal ones do.
- **prefix**: whether the beginning of a prompt is computed once, without gradients.
- **packing**: whether `train.packing=always` is accepted.
- **positions**: `learned` ones end, so that prompt and review have to fit; others go on.

| family | written by | unequal rows | prefix | packing | positions |
|---|---|---|---|---|---|
"""
_REFUSED = """
## Refused

| family | why |
|---|---|
"""
_UNTRIED = """
## Not tried

Of these no small copy can be built from the default configuration. Such a model is tried itself after it is loaded.

"""


def example_config(name: str) -> PretrainedConfig:
    """Return the default configuration of a model type, with the fields of `COMPLETIONS` added."""
    return AutoConfig.for_model(name, **COMPLETIONS.get(name, {}))


def row(name: str, known: Capabilities) -> str:
    """Return the table's line for a family of models."""
    if known.refused:
        return f"| {name} | {known.refused.replace('|', '/')} |"
    cells = [known.decoding, _yes(known.padding), _yes(known.prefix), _yes(known.packing)]
    return f"| {name} | {' | '.join(cells)} | {'learned' if known.hard_positions else ''} |"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def page() -> str:
    """Return the text of docs/architectures.md; this takes minutes."""
    import transformers

    exact: list[str] = []
    refused: list[str] = []
    untried: list[str] = []
    for name in sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES):
        try:
            known = architecture_capabilities(example_config(name))
        except Exception:  # a configuration without usable defaults
            known = None
        if known is None:
            untried.append(name)
        else:
            (refused if known.refused else exact).append(row(name, known))
    return (
        _HEAD.format(version=transformers.__version__)
        + "\n".join(exact) + "\n" + _REFUSED + "\n".join(refused) + "\n" + _UNTRIED + ", ".join(untried) + ".\n"
    )  # fmt: skip


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
