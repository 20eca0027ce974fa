"""The stages of a run, from reviews to a report: prepare, embed, train, generate, evaluate, report.

Each prints what it did and where it wrote, finds what is already done, and goes on where it was interrupted. What
several arms need (data, vectors, backbone) is made once and kept in a `Shared`.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from dep import tracking
from dep.arm import Arm, as_line, read_json, read_rows, write_json, write_rows, write_text
from dep.config import RunConfig, identity, to_yaml
from dep.data.collate import Collator
from dep.data.module import ReviewData
from dep.data.prompt import PromptBuilder
from dep.data.stats import statistics_of
from dep.eval.metrics import build_metric
from dep.eval.scores import score_examples
from dep.fairness import request_flops, request_seconds, sample, tokens_flops, user_bytes
from dep.model.checkpoint import write_tensors
from dep.model.cost import kv_bytes
from dep.model.generate import Generate
from dep.model.lit import LitDEP
from dep.model.pretrain import pretrain
from dep.model.train import Train
from dep.model.user_llm import UserLLMSource
from dep.progress import stage
from dep.records import Prompt, Request
from dep.shared import Shared


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
        _pretrain(shared, arm, data, module)
    if arm.config.train.monitor == "val_meteor":
        module.evaluate = _val_meteor(shared, arm, data)
    trained, every = module.trainable_share()
    examples = len(data.requests("train"))
    shared.console.print(
        f"[bold]train[/] {arm.label}, seed {arm.seed}: {examples} examples, {trained:,} parameters trained, "
        f"{every - trained:,} of the LLM frozen"
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
    noted = {"key": arm.adapter_key, "seed": arm.seed, "trainable": trained, "frozen": every - trained}
    module.save_adapter(home / "adapter.safetensors", noted)
    shutil.rmtree(home / "checkpoints", ignore_errors=True)


def _pretrain(shared: Shared, arm: Arm, data: ReviewData, module: LitDEP) -> None:
    """Give the module a user encoder that knows its own task, from the cache where it was learned before."""
    source, settings = module.soft_prompt.source, arm.shape[1].user_llm
    assert isinstance(source, UserLLMSource), "only it pretrains"
    path = Path(arm.config.cache) / "encoders" / arm.encoder_key[:16] / "encoder.safetensors"
    if not path.is_file() and settings.pretrain_epochs:
        reader = data.past()
        assert reader is not None, "the method reads the past"
        sequences = reader.sequences([e for e in data.prepared.examples if e.split == "train"])
        catalogues = {category: reader.catalogue(category) for category in sequences}
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
        write_json(path.parent / "told.json", told._asdict())
        write_tensors(path, source.encoder.state_dict())
    if path.is_file():
        source.encoder.load_state_dict(load_file(path))


def _val_meteor(shared: Shared, arm: Arm, data: ReviewData) -> Any:
    meteor = build_metric("meteor", arm.config.evaluate.metrics)

    def evaluate(module: LitDEP) -> dict[str, float]:
        requests = data.requests("val")
        texts = dict(_texts(shared.writer(arm, module), data, requests))
        pairs = [(texts[request.key], request.text) for request in requests]
        return {"val_meteor": meteor.corpus([p for p, _ in pairs], [r for _, r in pairs])}

    return evaluate


def _texts(writer: Generate, data: ReviewData, requests: Iterable[Request]) -> Iterable[tuple[str, str]]:
    prompts = data.prompts(list(requests))
    left = Collator(data.collate.pad_id, side="left", answers=False)
    return writer([prompts[at] for at in range(len(prompts))], left)


def generate(shared: Shared, arm: Arm) -> None:
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
    data = shared.data(arm)
    module = shared.module(arm, data)
    if arm.method.trains:
        adapter = arm.folder / "adapter.safetensors"
        if not arm.done("adapter", arm.adapter_key):
            raise FileNotFoundError(f"{adapter}: {arm.label} has not been trained as configured; run `dep train` first")
        module.load_adapter(adapter)
    module.to(shared.device).eval()
    requests = arm.method.at_test(data.requests("test"), arm.seed)
    steps: Mapping[str, list[dict[str, Any]]] = {}
    if arm.method.profiles:
        requests, steps = _profiled(shared, arm, requests)
    by_key = {request.key: request for request in requests}
    begun = {row["key"]: row for row in read_rows(partial)}
    write_rows(partial, begun.values())
    wanted = [request for request in requests if request.key not in begun]
    likelihood = _likelihoods(module, data, wanted, arm)
    texts = (
        _texts(shared.writer(arm, module), data, wanted)
        if arm.config.evaluate.texts
        else ((k, None) for k in likelihood)
    )
    with partial.open("a", encoding="utf-8") as file:
        for key, text in texts:
            row = _prediction(by_key[key], text) | likelihood[key] | ({"steps": steps[key]} if steps else {})
            begun[key] = row
            file.write(as_line(row))
            file.flush()
    write_rows(path, (begun[request.key] for request in requests))
    write_json(arm.folder / "cost.json", _cost(shared, arm, module, data, list(by_key.values()), steps))
    arm.finish("predictions", arm.prediction_key)
    arm.keep("generate")
    partial.unlink()
    shared.console.print(f"[bold]generate[/] {arm.label}, seed {arm.seed}: {len(by_key)} reviews in {path}")


def _profiled(
    shared: Shared, arm: Arm, requests: Sequence[Request]
) -> tuple[list[Request], dict[str, list[dict[str, Any]]]]:
    """The requests with users' profiles, and by key what was asked and answered for them."""
    writing, some = shared.writing(arm), list(requests)
    written = arm.method.write(some, writing)
    _, tokenizer = shared.backbone(arm.config)
    count = PromptBuilder(tokenizer, arm.shape[0]).ask
    steps = {
        request.key: [
            {"system": ask.system, "prompt": ask.text, "prompt_tokens": len(count(ask)), "text": text}
            for ask, text in mine
        ]
        for request, mine in zip(some, written, strict=True)
    }
    profiles = (mine[-1].text for mine in written)
    return [replace(request, profile=text) for request, text in zip(some, profiles, strict=True)], steps


def _cost(
    shared: Shared, arm: Arm, module: LitDEP, data: ReviewData, requests: list[Request], steps: Mapping[str, Any]
) -> dict[str, float]:
    """What a request costs: see `fairness`."""
    prompt, soft = arm.shape
    prompts = data.prompts(requests)
    some = sample([prompts[at] for at in range(len(prompts))])
    model, tokenizer = shared.backbone(arm.config)
    flops = request_flops(module, some, data.collate)
    if steps:
        read = [step["prompt_tokens"] + len(tokenizer.encode(step["text"])) for p in some for step in steps[p.key]]
        flops += sum(tokens_flops(model, tokens) for tokens in read) / len(some)
    of_user = [] if soft.source == "constant" else soft.branches  # the constant prompt reads nobody's vectors
    kept = [user_bytes(request, prompt.text and prompt.history > 0, of_user) for request in requests]
    tokens = sum(len(prompts[at].ids) for at in range(len(prompts))) / len(prompts)
    return {
        "gflops": flops / 1e9,
        "seconds": request_seconds(module, some, data.collate),
        "kv_bytes": kv_bytes(model.config, tokens, model.dtype.itemsize),
        "user_bytes": sum(kept) / len(kept),
    }


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


def evaluate(shared: Shared, arm: Arm) -> None:
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
        columns = score_examples(predictions, references, shared.metrics(arm.config))
        for name, values in columns.items():
            for row, value in zip(scores, values, strict=True):
                row[name] = value
    write_rows(path, scores)
    arm.finish("scores", arm.score_key)
    arm.keep("evaluate")
    tracking.scored(arm, scores, rows)
    shared.console.print(f"[bold]evaluate[/] {arm.label}, seed {arm.seed}: scores in {path}")


def prepare(shared: Shared, run: RunConfig) -> None:
    """Filter and split the source, and say what is left (Table 4)."""
    made = shared.prepared(run)
    counted = statistics_of(made.corpora, made.examples)
    sizes = "; ".join(f"{c.category} {c.reviews} reviews, {c.users} users, {c.items} items" for c in counted.corpora)
    splits: dict[str, int] = {}
    for row in counted.splits:
        splits[row.split] = splits.get(row.split, 0) + row.examples
    shares = ", ".join(f"{count} {split}" for split, count in splits.items())
    shared.console.print(f"[bold]prepare[/] {sizes}\n        examples: {shares}; in {shared.prepared_folder}")


def embed(shared: Shared, configs: Mapping[str, RunConfig]) -> None:
    """Fill the vector caches of all arms."""
    asked: set[str] = set()
    for config in configs.values():
        key = identity(config, "embedder", "difference", "protocol")
        if key in asked or not Arm("", config, 0, "").needs_vectors:
            continue
        asked.add(key)
        began = time.time()
        made, cache = shared.prepared(config), shared.cache(config)
        peers = [cache.vectors(corpus, made.pool[category]).peers_N for category, corpus in made.corpora.items()]
        every = torch.cat(peers)
        shared.console.print(
            f"[bold]embed[/] {len(every)} reviews by {cache.embedder.name}, {every.float().mean():.1f} peers each, "
            f"{int((every == 0).sum())} without; {time.time() - began:.1f} s; in {config.cache}"
        )
