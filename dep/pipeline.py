"""The stages of a run, from reviews to a report: prepare, embed, train, generate, evaluate, report.

Each prints what it did and where it wrote, finds what is already done, and goes on where it was interrupted. What
several arms need (data, vectors, backbone) is made once and kept in a `Bench`.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from dep import tracking
from dep.arm import Arm, as_line, read_rows, write_rows, write_text
from dep.config import RunConfig, choose, compressor_config, identity, to_yaml
from dep.data.cache import VectorCache
from dep.data.collate import Collator
from dep.data.module import Batching, ReviewData
from dep.data.prepared import load_prepared
from dep.data.prompt import PromptBuilder
from dep.data.protocol import Prepared
from dep.data.stats import statistics_of
from dep.eval.base import Metric
from dep.eval.metrics import build_metric, build_metrics
from dep.eval.scores import score_examples
from dep.model.backbone import load as load_backbone
from dep.model.generate import Generate
from dep.model.lit import LitDEP
from dep.model.soft_prompt import build_soft_prompt
from dep.model.train import Train
from dep.progress import stage
from dep.records import Prompt, Request


class Bench:
    """What the arms of a run share, each part made when it is first needed."""

    def __init__(self, config: RunConfig, console: Console) -> None:
        self.config, self.console = config, console
        self.source = choose(config, "source")
        self._prepared: dict[str, Prepared] = {}
        self._caches: dict[str, VectorCache] = {}
        self._backbones: dict[str, Any] = {}
        self._metrics: dict[str, dict[str, Metric]] = {}

    @cached_property
    def fingerprint(self) -> str:
        """Of the reviews."""
        return str(self.source.fingerprint())

    @cached_property
    def device(self) -> torch.device:
        """Where generation and scoring happen."""
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def arms(self, configs: Mapping[str, RunConfig], seeds: Iterable[int]) -> list[Arm]:
        """Every arm at every seed."""
        return [Arm(name, config, seed, self.fingerprint) for name, config in configs.items() for seed in seeds]

    def prepared(self, config: RunConfig) -> Prepared:
        """Filtered corpora and examples."""
        key = identity(config, "protocol")
        if key not in self._prepared:
            self._prepared[key], self.prepared_folder = load_prepared(Path(config.cache), self.source, config.protocol)
        return self._prepared[key]

    def cache(self, config: RunConfig) -> VectorCache:
        """The vector cache of an embedder and its difference settings."""
        key = identity(config, "embedder", "difference")
        if key not in self._caches:
            self._caches[key] = VectorCache(Path(config.cache), choose(config, "embedder"), config.difference)
        return self._caches[key]

    def backbone(self, config: RunConfig) -> Any:
        """(model, tokenizer) of a backbone."""
        key = identity(config, "backbone")
        if key not in self._backbones:
            self._backbones[key] = load_backbone(config.backbone)
        return self._backbones[key]

    def metrics(self, config: RunConfig) -> dict[str, Metric]:
        """The metrics of generated texts; none where no texts are generated."""
        key = identity(config, "evaluate.metrics")
        if key not in self._metrics:
            self._metrics[key] = build_metrics(config.evaluate.metrics) if config.evaluate.texts else {}
        return self._metrics[key]

    def data(self, arm: Arm) -> ReviewData:
        """The arm's data module."""
        config, (prompt, soft) = arm.config, arm.shape
        _, tokenizer = self.backbone(config)
        batching = Batching(
            config.train.effective_batch, config.train.micro_batch, config.evaluate.batch_size, arm.seed,
            config.train.textless_epochs,
        )  # fmt: skip
        return ReviewData(
            self.prepared(config),
            self.cache(config) if soft.branches else None,
            choose(config, "retriever"),
            PromptBuilder(tokenizer, prompt, soft.branches),
            tokenizer.pad_token_id,
            batching,
        )

    def module(self, arm: Arm, data: ReviewData) -> LitDEP:
        """Backbone and an untrained soft prompt."""
        config, (_, soft) = arm.config, arm.shape
        model, tokenizer = self.backbone(config)
        vectors = data.vectors()
        width = next(iter(vectors.values())).his_NE.shape[1] if vectors else 1
        soft_prompt = build_soft_prompt(
            soft, compressor_config(config), config.projector, width=width, model=model, tokenizer=tokenizer,
            seed=arm.seed, statistics=data.statistics(soft.branches) if soft.standardize and vectors else None,
        )  # fmt: skip
        return LitDEP(model, soft_prompt, replace(config.train, seed=arm.seed))

    def writer(self, arm: Arm, module: LitDEP, **overrides: Any) -> Generate:
        """The arm's generator."""
        model, tokenizer = self.backbone(arm.config)
        settings = replace(arm.config.generate, seed=arm.seed, **overrides)
        return Generate(settings, model, tokenizer, module.soft_prompt)


def train(bench: Bench, arm: Arm) -> None:
    """Train the arm's adapter, unless it is prompt-only or an equal one is in the cache."""
    if arm.finished("train"):
        return
    home, found = arm.adapter_home, arm.adapter_cached
    if not found:
        data = bench.data(arm)
        module = bench.module(arm, data)
        if arm.config.train.monitor == "val_meteor":
            module.evaluate = _val_meteor(bench, arm, data)
        trained, every = module.trainable_share()
        examples = len(data.requests("train"))
        bench.console.print(
            f"[bold]train[/] {arm.label}, seed {arm.seed}: {examples} examples, {trained:,} of {every:,} parameters "
            f"trained ({trained / (every - trained):.2%} of the LLM)"
        )
        settings = replace(arm.config.train, seed=arm.seed)
        try:
            Train(settings).fit(module, data, home, *tracking.training(arm))
        finally:
            tracking.finish()
        noted = {"arm": arm.name, "seed": arm.seed, "trainable": trained, "frozen": every - trained}
        module.save_adapter(home / "adapter.safetensors", noted)
        shutil.rmtree(home / "checkpoints", ignore_errors=True)
    arm.folder.mkdir(parents=True, exist_ok=True)
    for name in ("adapter.safetensors", "metrics.csv"):
        shutil.copyfile(home / name, arm.folder / f"{name}.tmp")
        (arm.folder / f"{name}.tmp").replace(arm.folder / name)
    arm.finish("adapter", arm.adapter_key)
    if found:
        arm.finish("adapter taken from", str(home))
        bench.console.print(f"[bold]train[/] {arm.label}, seed {arm.seed}: adapter taken from {home}")


def _val_meteor(bench: Bench, arm: Arm, data: ReviewData) -> Any:
    meteor = build_metric("meteor", arm.config.evaluate.metrics)

    def evaluate(module: LitDEP) -> dict[str, float]:
        requests = data.requests("val")
        texts = dict(_texts(bench.writer(arm, module), data, requests))
        pairs = [(texts[request.key], request.text) for request in requests]
        return {"val_meteor": meteor.corpus([p for p, _ in pairs], [r for _, r in pairs])}

    return evaluate


def _texts(writer: Generate, data: ReviewData, requests: Iterable[Request]) -> Iterable[tuple[str, str]]:
    prompts = data.prompts(list(requests))
    left = Collator(data.collate.pad_id, side="left", answers=False)
    return writer([prompts[at] for at in range(len(prompts))], left)


def generate(bench: Bench, arm: Arm) -> None:
    """Measure the likelihood of every real test review and write the arm's own; predictions.jsonl."""
    path, partial = arm.folder / "predictions.jsonl", arm.folder / "predictions.partial.jsonl"
    if arm.finished("generate"):
        return
    write_text(arm.folder / "config.yaml", to_yaml(arm.config))
    if arm.take("generate"):
        return
    if not arm.done("begun", arm.prediction_key):
        partial.unlink(missing_ok=True)
        arm.finish("begun", arm.prediction_key)
    data = bench.data(arm)
    module = bench.module(arm, data)
    if arm.method.trains:
        adapter = arm.folder / "adapter.safetensors"
        if not arm.done("adapter", arm.adapter_key):
            raise FileNotFoundError(f"{adapter}: {arm.label} has not been trained as configured; run `dep train` first")
        module.load_adapter(adapter)
    module.to(bench.device).eval()
    requests = arm.method.at_test(data.requests("test"), arm.seed)
    by_key = {request.key: request for request in requests}
    begun = {row["key"]: row for row in read_rows(partial)}
    write_rows(partial, begun.values())
    wanted = [request for request in requests if request.key not in begun]
    likelihood = _likelihoods(module, data, wanted, arm)
    texts = (
        _texts(bench.writer(arm, module), data, wanted)
        if arm.config.evaluate.texts
        else ((k, None) for k in likelihood)
    )
    with partial.open("a", encoding="utf-8") as file:
        for key, text in texts:
            row = _prediction(by_key[key], text) | likelihood[key]
            begun[key] = row
            file.write(as_line(row))
            file.flush()
    write_rows(path, (begun[request.key] for request in requests))
    arm.finish("predictions", arm.prediction_key)
    arm.keep("generate")
    partial.unlink()
    bench.console.print(f"[bold]generate[/] {arm.label}, seed {arm.seed}: {len(by_key)} reviews in {path}")


def _prediction(request: Request, text: str | None) -> dict[str, Any]:
    return {
        "key": request.key, "category": request.category, "user": request.user, "item": request.item.item,
        "item_title": request.item.title, "rating": request.rating, "title": request.title,
        "reference": request.text, "prediction": text,
    }  # fmt: skip


@torch.no_grad()
def _likelihoods(
    module: LitDEP, data: ReviewData, requests: list[Request], arm: Arm
) -> dict[str, dict[str, float | int]]:
    """Nll (per token of the real review), its tokens, and the prompt's, by key."""
    prompts = data.prompts(requests)
    order = sorted((prompts[at] for at in range(len(prompts))), key=lambda p: len(p.ids) + len(p.target))
    size = arm.config.evaluate.batch_size
    found: dict[str, dict[str, float | int]] = {}
    with stage("likelihood", len(order), show=arm.config.generate.progress) as advance:
        for start in range(0, len(order), size):
            chunk: list[Prompt] = order[start : start + size]
            sums, counts = module.example_nll(data.collate(chunk).to(module.device))
            for prompt, total, count in zip(chunk, sums.tolist(), counts.tolist(), strict=True):
                found[prompt.key] = {"nll": total / count, "tokens": count, "prompt_tokens": len(prompt.ids)}
            advance(len(chunk))
    return found


def evaluate(bench: Bench, arm: Arm) -> None:
    """Score the arm's predictions; scores.jsonl."""
    path = arm.folder / "scores.jsonl"
    if arm.finished("evaluate") or arm.take("evaluate"):
        return
    rows = read_rows(arm.folder / "predictions.jsonl")
    if not rows or not arm.done("predictions", arm.prediction_key):
        raise FileNotFoundError(
            f"{arm.folder / 'predictions.jsonl'}: no predictions of {arm.label} as configured; run `dep generate` first"
        )
    scores: list[dict[str, Any]] = [{k: row[k] for k in ("key", "category", "user", "nll")} for row in rows]
    if arm.config.evaluate.texts:
        predictions, references = [row["prediction"] for row in rows], [row["reference"] for row in rows]
        columns = score_examples(predictions, references, bench.metrics(arm.config))
        for name, values in columns.items():
            for row, value in zip(scores, values, strict=True):
                row[name] = value
    write_rows(path, scores)
    arm.finish("scores", arm.score_key)
    arm.keep("evaluate")
    tracking.scored(arm, scores, rows)
    bench.console.print(f"[bold]evaluate[/] {arm.label}, seed {arm.seed}: scores in {path}")


def prepare(bench: Bench, run: RunConfig) -> None:
    """Filter and split the source, and say what is left (Table 4)."""
    made = bench.prepared(run)
    counted = statistics_of(made.corpora, made.examples)
    sizes = "; ".join(f"{c.category} {c.reviews} reviews, {c.users} users, {c.items} items" for c in counted.corpora)
    splits: dict[str, int] = {}
    for row in counted.splits:
        splits[row.split] = splits.get(row.split, 0) + row.examples
    shares = ", ".join(f"{count} {split}" for split, count in splits.items())
    bench.console.print(f"[bold]prepare[/] {sizes}\n        examples: {shares}; in {bench.prepared_folder}")


def embed(bench: Bench, configs: Mapping[str, RunConfig]) -> None:
    """Fill the vector caches of all arms."""
    asked: set[str] = set()
    for config in configs.values():
        key = identity(config, "embedder", "difference", "protocol")
        if key in asked or not choose(config, "method").shape(config.prompt, config.soft_prompt)[1].branches:
            continue
        asked.add(key)
        began = time.time()
        made, cache = bench.prepared(config), bench.cache(config)
        peers = [cache.vectors(corpus, made.pool[category]).peers_N for category, corpus in made.corpora.items()]
        every = torch.cat(peers)
        bench.console.print(
            f"[bold]embed[/] {len(every)} reviews by {cache.embedder.name}, {every.float().mean():.1f} peers each, "
            f"{int((every == 0).sum())} without; {time.time() - began:.1f} s; in {config.cache}"
        )
