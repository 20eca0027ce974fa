"""Training: an arm's adapter, and what that goes on from."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from dep import tracking
from dep.arm import Arm
from dep.data.module import ReviewData
from dep.eval.metrics import build_metric
from dep.files import read_json, write_json
from dep.model.checkpoint import whole, write_tensors
from dep.model.lit import LitDEP
from dep.model.pretrain import pretrain
from dep.model.train import Train
from dep.model.user_llm import UserLLMSource
from dep.shared import Shared
from dep.stages.generate import texts_of


def train(shared: Shared, arm: Arm) -> None:
    """Train the arm's adapter, unless it is prompt-only or an equal one is in the cache."""
    if arm.finished("train"):
        return
    home, found = arm.adapter_home, arm.adapter_cached
    if not found:
        _learn(shared, arm.taught)
    arm.folder.mkdir(parents=True, exist_ok=True)
    for name in ("adapter.safetensors", "metrics.csv", "training.json"):
        shutil.copyfile(home / name, arm.folder / f"{name}.tmp")
        (arm.folder / f"{name}.tmp").replace(arm.folder / name)
    arm.finish("adapter", arm.adapter_key)
    if found:
        arm.finish("adapter taken from", str(home))
        shared.console.print(f"[bold]train[/] {arm.label}, seed {arm.seed}: adapter taken from {home}")


def _learn(shared: Shared, arm: Arm) -> None:
    """Train what the arm goes on from, then the arm; into its home in the cache, the adapter last."""
    home, earlier = arm.adapter_home, 0.0
    if arm.first and not arm.first.adapter_cached:
        _learn(shared, arm.first)
    data = shared.data(arm)
    module = shared.module(arm, data)
    if arm.first:
        module.load_adapter(arm.first.adapter_home / "adapter.safetensors")
        earlier = read_json(arm.first.adapter_home / "training.json")["seconds"]
    elif arm.method.pretrains:
        earlier = _pretrain(shared, arm, data, module)
    if arm.config.train.monitor == "val_meteor":
        module.evaluate = _val_meteor(shared, arm, data)
    trained, before, own = module.sizes()
    examples = len(data.requests("train"))
    shared.console.print(
        f"[bold]train[/] {arm.label}, seed {arm.seed}: {examples} examples, {trained:,} parameters trained, "
        f"{own:,} of the LLM frozen"
    )
    began = time.time()
    try:
        training = Train(arm.settings)
        loggers, training.throughput.log_to = tracking.training(arm)
        training.fit(module, data, home, loggers)
    finally:
        tracking.finish()
    if (pace := training.throughput.pace).examples:
        line = pace.line(training.throughput.peak)
        shared.console.print(f"[bold]train[/] {arm.label}, seed {arm.seed}: {line}")
    write_json(home / "training.json", {"seconds": round(earlier + time.time() - began, 1)})
    noted = {"key": arm.adapter_key, "seed": arm.seed, "trainable": trained, "pretrained": before, "frozen": own}
    module.save_adapter(home / "adapter.safetensors", noted)
    shutil.rmtree(home / "checkpoints", ignore_errors=True)


def _pretrain(shared: Shared, arm: Arm, data: ReviewData, module: LitDEP) -> float:
    """Give the module a user encoder that knows its own task, from the cache where it was learned before.

    Returns:
        Seconds that it took to learn, whenever that was.
    """
    source, settings = module.soft_prompt.source, arm.shape[1].user_llm
    assert isinstance(source, UserLLMSource), "only it pretrains"
    path = Path(arm.config.cache) / "encoders" / arm.encoder_key[:16] / "encoder.safetensors"
    if not whole(path) and settings.pretrain_epochs:
        reader = data.past()
        assert reader is not None, "the method reads the past"
        sequences = reader.sequences([e for e in data.prepared.examples if e.split == "train"])
        catalogues = {category: reader.catalogue(category) for category in sequences}
        began = time.time()
        told = pretrain(
            source.encoder, sequences, catalogues,
            epochs=settings.pretrain_epochs, lr=settings.pretrain_lr, seed=arm.seed,
        )  # fmt: skip
        shared.console.print(
            f"[bold]pretrain[/] {arm.label}, seed {arm.seed}: the next item costs {told.item:.2f} nats "
            f"({told.item_by_frequency:.2f} by frequency, {told.item_by_chance:.2f} by chance), its stars "
            f"{told.stars:.2f} ({told.stars_by_frequency:.2f}), on {told.events} events of users left out; in "
            f"{path.parent}"
        )
        write_json(path.parent / "told.json", told._asdict() | {"seconds": round(time.time() - began, 1)})
        write_tensors(path, source.encoder.state_dict())
    if whole(path):
        source.encoder.load_state_dict(load_file(path))
    return float(read_json(path.parent / "told.json").get("seconds", 0))


def _val_meteor(shared: Shared, arm: Arm, data: ReviewData) -> Any:
    meteor = build_metric("meteor", arm.config.evaluate.metrics)

    def evaluate(module: LitDEP) -> dict[str, float]:
        requests = data.requests("val")
        texts = dict(texts_of(shared.writer(arm, module), data, requests))
        pairs = [(texts[request.key], request.text) for request in requests]
        return {"val_meteor": meteor.corpus([p for p, _ in pairs], [r for _, r in pairs])}

    return evaluate
