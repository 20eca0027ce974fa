"""The training stage, which trains an arm's adapter, and before it what that starts from."""

from __future__ import annotations

import shutil
import time
from typing import Any

from safetensors.torch import load_file

from dep.data.datamodule import ReviewData
from dep.data.embedders.fitting import FITTED_FILE
from dep.evaluation.metrics.meteor import Meteor
from dep.models.adapters.files import is_intact, write_tensors
from dep.pipeline import tracking
from dep.pipeline.adapter_folder import FILES, describe
from dep.pipeline.arm import Arm
from dep.pipeline.builders import build_data, build_generator, build_module, build_plain
from dep.pipeline.keys import adapter_key
from dep.pipeline.past_reviews import PastReviews
from dep.pipeline.resources import Resources
from dep.pipeline.stages.align import REPORT, align
from dep.pipeline.stages.calibrate import REPORT as CALIBRATED
from dep.pipeline.stages.calibrate import calibrate
from dep.pipeline.stages.generate import texts_of
from dep.pipeline.stages.others import fill_others
from dep.pipeline.stages.token_weights import token_weights
from dep.pipeline.store import ArmStore
from dep.training.module import PersonalizationModule
from dep.training.pretraining import pretrain
from dep.training.trainer import Train
from dep.utils.atomic_io import read_json, write_json


def train(resources: Resources, arm: Arm) -> None:
    """Train the arm's adapter, unless it has none or the cache holds an equal one."""
    if ArmStore(arm).finished("train"):
        return
    home, cached = ArmStore(arm).adapter_home, ArmStore(arm).adapter_is_cached
    if not cached:
        _train_into_cache(resources, arm.training_view)
    arm.folder.mkdir(parents=True, exist_ok=True)
    (arm.folder / FITTED_FILE).unlink(missing_ok=True)  # of an earlier configuration
    some = [name for name in (FITTED_FILE, REPORT, CALIBRATED) if (home / name).is_file()]
    for name in ("metrics.csv", "training.json", *some, *FILES):
        shutil.copyfile(home / name, arm.folder / f"{name}.tmp")
        (arm.folder / f"{name}.tmp").replace(arm.folder / name)
    ArmStore(arm).finish("adapter", adapter_key(arm))
    if cached:
        ArmStore(arm).finish("adapter taken from", str(home))
        resources.console.print(f"[bold]train[/] {arm.label}, seed {arm.seed}: adapter taken from {home}")


def _train_into_cache(resources: Resources, arm: Arm) -> None:
    """Train the arm, and before it what it starts from if that is missing; write the results into the cache."""
    if arm.calibrates:
        _calibrate_into_cache(resources, arm)
        return
    home, earlier_s = ArmStore(arm).adapter_home, 0.0
    first = ArmStore(arm.warm_start) if arm.warm_start else None
    if first and not first.adapter_is_cached:
        _train_into_cache(resources, first.arm)
    data = build_data(resources, arm)
    module = build_module(resources, arm, data)
    if arm.settings.token_weights == "history":
        data.token_weights = token_weights(resources, arm, data)
    if first:
        module.load_adapter(first.adapter_home / "adapter.safetensors")
        earlier_s = read_json(first.adapter_home / "training.json")["seconds"]
    elif arm.method.pretrains:
        earlier_s = _pretrain(resources, arm, data, module)
    fill_others(module, data, resources.nearest)
    if arm.alignment_tasks:
        earlier_s += align(resources, arm, data, module)
    if arm.config.train.monitor == "val_meteor":
        module.evaluate = _val_meteor(resources, arm, data)
    trained, pretrained, frozen = module.sizes()
    examples = len(data.requests("train"))
    resources.console.print(
        f"[bold]train[/] {arm.label}, seed {arm.seed}: {examples} examples, {trained:,} parameters trained, "
        f"{frozen:,} of the LLM frozen"
    )
    start = time.time()
    try:
        training = Train(arm.settings, f"{arm.name}, seed {arm.seed}")
        loggers, training.throughput.log_to = tracking.training_loggers(arm)
        training.fit(module, data, home, loggers)
    finally:
        tracking.finish()
    if (pace := training.throughput.pace).examples:
        line = pace.line(training.throughput.peak)
        resources.console.print(f"[bold]train[/] {arm.label}, seed {arm.seed}: {line}")
    prompts = data.training_prompts()
    past = PastReviews.of({"asked": p.asked, "kept": p.kept} for p in (prompts[at] for at in range(len(prompts))))
    seconds = round(earlier_s + time.time() - start, 1)
    write_json(home / "training.json", {"seconds": seconds, "past_reviews": past._asdict()})
    start_home = ArmStore(arm).alignment_home if arm.alignment_tasks else first.adapter_home if first else home
    if start_home != home and (start_home / REPORT).is_file():
        shutil.copyfile(start_home / REPORT, home / REPORT)
    sizes = {"trainable": trained, "pretrained": pretrained, "frozen": frozen}
    _save(arm, data, module, {"seed": arm.seed, **sizes})
    shutil.rmtree(home / "checkpoints", ignore_errors=True)


def _calibrate_into_cache(resources: Resources, arm: Arm) -> None:
    """Fit some numbers of the arm's trained adapter on the validation users; train it first if that is missing."""
    home, first = ArmStore(arm).adapter_home, ArmStore(arm.uncalibrated)
    if not first.adapter_is_cached:
        _train_into_cache(resources, first.arm)
    data = build_data(resources, arm)
    module = build_module(resources, arm, data)
    metadata = module.load_adapter(first.adapter_home / "adapter.safetensors")
    calibration = calibrate(module, data)
    resources.console.print(f"[bold]calibrate[/] {arm.label}, seed {arm.seed}: {calibration.line}")
    home.mkdir(parents=True, exist_ok=True)
    for path in first.adapter_home.glob("*"):
        if path.is_file() and not path.name.startswith("adapter"):
            shutil.copyfile(path, home / path.name)
    write_json(home / CALIBRATED, calibration._asdict())
    _save(arm, data, module, metadata)


def _save(arm: Arm, data: ReviewData, module: PersonalizationModule, metadata: dict[str, Any]) -> None:
    """Write the adapter and what describes it into the cache; the adapter's file last, since it says all is there."""
    home = ArmStore(arm).adapter_home
    describe(home, arm, module, width=data.width, categories=len(data.prepared.corpora))
    module.save_adapter(home / "adapter.safetensors", metadata | {"key": adapter_key(arm)})


def _pretrain(resources: Resources, arm: Arm, data: ReviewData, module: PersonalizationModule) -> float:
    """Load the pretrained user encoder into the module; if the cache lacks it, pretrain it first.

    Returns:
        How many seconds the pretraining took, in this call or in an earlier one.
    """
    adapter, settings = module.soft_prompt.adapter, arm.configured[1].user_llm
    encoder = None if adapter is None else adapter.pretrainable
    assert encoder is not None, "a method that pretrains has an adapter with an encoder"
    path = ArmStore(arm).encoder_home / "encoder.safetensors"
    metrics_path = path.parent / "metrics.json"
    cached = is_intact(path) and metrics_path.is_file()
    if not cached and settings.pretrain_epochs:
        reader = data.user_history()
        assert reader is not None, "a method that pretrains reads the user's history"
        sequences = reader.sequences([e for e in data.prepared.examples if e.split == "train"])
        catalogues = {category: reader.catalogue(category) for category in sequences}
        start = time.time()
        metrics = pretrain(
            encoder, sequences, catalogues,
            epochs=settings.pretrain_epochs, lr=settings.pretrain_lr, seed=arm.seed,
        )  # fmt: skip
        resources.console.print(
            f"[bold]pretrain[/] {arm.label}, seed {arm.seed}: loss on {metrics.events} events of held-out users: next "
            f"item {metrics.item:.2f} nats (frequencies {metrics.item_by_frequency:.2f}, chance "
            f"{metrics.item_by_chance:.2f}), stars {metrics.stars:.2f} (frequencies {metrics.stars_by_frequency:.2f}); "
            f"in {path.parent}"
        )
        write_json(metrics_path, metrics._asdict() | {"seconds": round(time.time() - start, 1)})
        write_tensors(path, encoder.state_dict())
    if is_intact(path):
        encoder.load_state_dict(load_file(path))
    return float(read_json(metrics_path).get("seconds", 0))


def _val_meteor(resources: Resources, arm: Arm, data: ReviewData) -> Any:
    meteor = Meteor()

    def evaluate(module: PersonalizationModule) -> dict[str, float]:
        requests = data.requests("val")
        texts = dict(texts_of(build_generator(resources, arm, module), data, requests, build_plain(resources, arm)))
        pairs = [(texts[request.key], request.text) for request in requests]
        return {"val_meteor": meteor.corpus([p for p, _ in pairs], [r for _, r in pairs])}

    return evaluate
