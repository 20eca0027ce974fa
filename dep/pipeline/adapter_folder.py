"""Writes and loads adapter folders: a trained adapter, and the settings from which it can be built without its run.

adapter.safetensors     the tensors of the soft prompt (`dep.models.adapters.files`)
adapter_config.json     the configuration, sizes, and the fingerprints of backbone and embedder
README.md               a model card
embedder.safetensors    the weights of the embedder, if it was fitted to the training population (`embedder: style`)

A folder holds neither the frozen LLM nor an embedder of files; the configuration names them. Each trained arm (a system
of a comparison, with its settings) has such a folder for each seed.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch

from dep import __version__
from dep.config.loader import from_dict
from dep.config.schema import as_dict
from dep.data.embedders.fitting import FITTED_FILE, write_fitted
from dep.models.adapters.files import read_adapter
from dep.models.backbones.load import load as load_backbone
from dep.models.soft_prompt import build_soft_prompt
from dep.pipeline.arm import Arm
from dep.pipeline.content import embedder_fingerprint, ready_embedder
from dep.training.module import PersonalizationModule
from dep.utils.atomic_io import read_json, write_json, write_text
from dep.utils.errors import DepError, MissingFile

FILES = ("adapter_config.json", "README.md", "adapter.safetensors")
"""The files in order of writing; the weights come last, so that a folder with weights is complete."""
_SECTIONS = (
    "method", "soft_prompt", "compressor", "projector", "prompt", "backbone", "embedder", "retriever", "difference",
    "train", "generate",
)  # fmt: skip
_CARD = """# {label}

An adapter for the frozen language model `{backbone}`, trained by dep {version}: method `{method}`, seed {seed},
{trainable:,} trained parameters. It reads vectors of `{embedder}` ({width} numbers each).

```python
import dep

writer = dep.Personalizer.from_pretrained("this folder")    # checks that the backbone is the one it was trained on
past = [dep.PastReview(item="A lamp", text="Bright.", rating=5.0, peers=["Too bright."])]
print(writer.generate(past, item="A chair", rating=4.0))
```
`adapter_config.json` has the whole configuration.
"""


def describe(folder: Path, arm: Arm, module: PersonalizationModule, *, width: int, categories: int) -> None:
    """Write adapter_config.json, README.md and the weights of an embedder that was fitted.

    Args:
        folder: the folder, into which adapter.safetensors is written next.
        arm: the trained arm.
        module: the trained module.
        width: E, the width of the vectors that the adapter reads.
        categories: number of categories in the training data.
    """
    if arm.needs_vectors:
        write_fitted(folder, ready_embedder(arm.config))
    values = as_dict(arm.config)
    trainable, *_ = module.sizes()
    facts = {
        "format": 1,
        "dep": __version__,
        "label": arm.label,
        "seed": arm.seed,
        "width": width,
        "categories": categories,
        "trainable": trainable,
        "fingerprints": {"backbone": module.fingerprint, "embedder": embedder_fingerprint(arm.config)},
        "config": {name: values[name] for name in _SECTIONS},
    }
    write_json(folder / "adapter_config.json", facts)
    card = _CARD.format(
        label=arm.label, backbone=arm.config.backbone.name_or_path, version=__version__, method=arm.config.method.kind,
        seed=arm.seed, trainable=trainable, embedder=arm.config.embedder.kind, width=width,
    )  # fmt: skip
    write_text(folder / "README.md", card)


def load_adapter(folder: str | Path) -> tuple[PersonalizationModule, Any, Arm]:
    """Build the adapter from its folder, together with the backbone that its configuration names.

    Nothing else of the run that trained the adapter is needed.

    Args:
        folder: a folder with adapter_config.json and adapter.safetensors, and with the weights of an embedder that was
            fitted.

    Returns:
        The module in eval mode on the CPU, the backbone's tokenizer, and the arm with its configuration.

    Raises:
        MissingFile: one of the two files is missing.
        FileNotFoundError: the backbone is not on this machine.
        DepError: the adapter was trained on another backbone.
    """
    folder = Path(folder)
    facts = read_json(folder / "adapter_config.json")
    if not facts:
        raise MissingFile(
            str(folder / "adapter_config.json"), "the configuration of an adapter", "none",
            "name the folder of a trained arm, as runs/demo/dep/seed0",
        )  # fmt: skip
    if (folder / FITTED_FILE).is_file():
        facts["config"]["embedder"]["fitted"] = str(folder)
    arm = Arm("adapter", from_dict(facts["config"]), facts["seed"], "")
    prompt, soft = arm.configured
    tensors, _, _ = read_adapter(folder / "adapter.safetensors")
    branches = {match[1] for name in tensors if (match := re.search(r"\.standardizers\.(his|diff)\.mean$", name))}
    width = facts["width"]
    # Placeholders of the right shape: `load_adapter` below fills in the saved statistics.
    statistics = {branch: (torch.zeros(width), torch.ones(width)) for branch in sorted(branches)}
    model, tokenizer = load_backbone(arm.config.backbone)
    soft_prompt = build_soft_prompt(
        soft, arm.config.compressor, arm.config.projector, width=width, model=model, tokenizer=tokenizer,
        seed=arm.seed, statistics=statistics or None,  # type: ignore[arg-type]
        categories=facts["categories"], longest=prompt.max_user_history,
    )  # fmt: skip
    module = PersonalizationModule(model, soft_prompt, arm.settings)
    module.load_adapter(folder / "adapter.safetensors")
    return module.eval(), tokenizer, arm


def check_embedder(folder: Path, arm: Arm) -> None:
    """Check that an arm embeds reviews as an adapter's training did, if that embedder was fitted.

    Raises:
        DepError: the arm's embedder has other weights.
    """
    if not (folder / FITTED_FILE).is_file():
        return
    trained = read_json(folder / "adapter_config.json")["fingerprints"]["embedder"]
    if (found := embedder_fingerprint(arm.config)) != trained:
        raise DepError(
            f"embedder of {arm.label}", f"the one that {folder} was trained with ({trained[:12]})", found[:12],
            f"set embedder.fitted={folder}",
        )  # fmt: skip
