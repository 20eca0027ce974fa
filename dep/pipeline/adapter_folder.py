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
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from dep import __version__
from dep.config.loader import from_dict
from dep.config.schema import as_dict, build
from dep.data.embedders.base import Embedder
from dep.data.embedders.fitting import FITTED_FILE, fittable_parts, write_fitted
from dep.models.adapters.files import check_fingerprint, read_adapter
from dep.models.backbones.fingerprint import fingerprint
from dep.models.backbones.load import load as load_backbone
from dep.models.soft_prompt import build_soft_prompt
from dep.pipeline.arm import Arm
from dep.pipeline.content import embedder_fingerprint, ready_embedder
from dep.pipeline.personal.card import card
from dep.training.module import PersonalizationModule
from dep.utils.atomic_io import read_json, write_json, write_text
from dep.utils.errors import DepError, MissingFile

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_FORMAT = 1
"""The version of adapter_config.json."""
FILES = ("adapter_config.json", "README.md", "adapter.safetensors")
"""The files in order of writing; the weights come last, so that a folder with weights is complete."""
_SECTIONS = (
    "method", "soft_prompt", "compressor", "projector", "prompt", "backbone", "embedder", "retriever", "difference",
    "train", "generate",
)  # fmt: skip


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
        "format": _FORMAT,
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
    write_text(folder / "README.md", card(facts))


class Loaded(NamedTuple):
    """What an adapter's folder gives."""

    module: PersonalizationModule
    """The adapter and its backbone, in eval mode on the CPU."""
    tokenizer: PreTrainedTokenizerBase
    """The backbone's tokenizer."""
    arm: Arm
    """The arm, with its configuration."""
    embedder: Embedder | None = None
    """Embeds reviews as in the training; None for an arm that reads no vectors."""


def load_adapter(folder: str | Path, backbone: str = "", own_code: bool = True) -> Loaded:
    """Build the adapter from its folder, together with the backbone and the embedder that its configuration names.

    Nothing else of the run that trained the adapter is needed.

    Args:
        folder: a folder with adapter_config.json and adapter.safetensors, and with the weights of an embedder that was
            fitted.
        backbone: the name or folder of the backbone on this machine; empty for the one in the configuration.
        own_code: whether the configuration may name classes outside the package (`kind: "my_module:MyClass"`), and
            allow downloads.

    Raises:
        MissingFile: a file is missing.
        FileNotFoundError: the backbone is not on this machine.
        DepError: the adapter was trained on another backbone or with another embedder, or it names code outside the
            package although `own_code` is False.
    """
    folder = Path(folder)
    facts = _read_facts(folder)
    if not own_code:
        _refuse_code(facts["config"], folder)
    if backbone:
        facts["config"]["backbone"]["name_or_path"] = backbone
    if (folder / FITTED_FILE).is_file():
        facts["config"]["embedder"]["fitted"] = str(folder)
    arm = Arm("adapter", from_dict(facts["config"]), facts["seed"], "")
    embedder = _embedder(folder, arm, facts["fingerprints"]["embedder"]) if arm.needs_vectors else None
    prompt, soft = arm.configured
    tensors, _, trained_on = read_adapter(folder / "adapter.safetensors")
    branches = {match[1] for name in tensors if (match := re.search(r"\.standardizers\.(his|diff)\.mean$", name))}
    width = facts["width"]
    # Placeholders of the right shape: `load_adapter` below fills in the saved statistics.
    statistics = {branch: (torch.zeros(width), torch.ones(width)) for branch in sorted(branches)}
    model, tokenizer = load_backbone(arm.config.backbone)
    check_fingerprint(trained_on, fingerprint(model), f"adapter {folder / 'adapter.safetensors'}")
    soft_prompt = build_soft_prompt(
        soft, arm.config.compressor, arm.config.projector, width=width, model=model, tokenizer=tokenizer,
        seed=arm.seed, statistics=statistics or None,  # type: ignore[arg-type]
        categories=facts["categories"], longest=prompt.max_user_history,
    )  # fmt: skip
    module = PersonalizationModule(model, soft_prompt, arm.settings)
    module.load_adapter(folder / "adapter.safetensors")
    return Loaded(module.eval(), tokenizer, arm, embedder)


def _read_facts(folder: Path) -> dict[str, Any]:
    """Read adapter_config.json.

    Raises:
        MissingFile: there is none.
        DepError: a later version of the package wrote it.
    """
    path = folder / "adapter_config.json"
    facts = read_json(path)
    if not facts:
        way_out = "name the folder of a trained arm, as runs/demo/dep/seed0"
        raise MissingFile(str(path), "the configuration of an adapter", "none", way_out)
    if facts["format"] != _FORMAT:
        raise DepError(str(path), f"format {_FORMAT}", str(facts["format"]), f"install dep {facts['dep']}")
    return facts


def _refuse_code(config: dict[str, Any], folder: Path) -> None:
    """Refuse settings that name classes outside the package, and turn off downloads.

    Raises:
        DepError: a setting names such a class.
    """
    for name, section in config.items():
        for value in [section, *section.get("parts", [])]:
            for key in ("kind", "adapter"):
                if ":" in str(value.get(key, "")):
                    raise DepError(
                        f"{name}.{key} of {folder}", "a component of the package", repr(value[key]),
                        "copy the folder and load the copy, if you trust its author and have that module",
                    )  # fmt: skip
            if "allow_download" in value:
                value["allow_download"] = False


def _embedder(folder: Path, arm: Arm, trained: str) -> Embedder:
    """Build the embedder, and check that it is the one of the training.

    Raises:
        MissingFile: the weights of an embedder that was fitted are missing.
        DepError: the embedder is another one.
    """
    embedder: Embedder = build(arm.config, "embedder")
    if not all(part.fitted for part in fittable_parts(embedder)):
        raise MissingFile(
            str(folder / FITTED_FILE), "the weights of the fitted embedder", "none", "copy it from the trained arm"
        )
    if (found := embedder.fingerprint()) != trained:
        raise DepError(
            f"embedder {embedder.name}", f"the one that {folder} was trained with ({trained[:12]})", found[:12],
            "install or name the model with which the adapter was trained",
        )  # fmt: skip
    return embedder


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
