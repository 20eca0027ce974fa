"""The generation stage, which generates an arm's reviews and computes the likelihood of the real ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from dep.config.loader import to_yaml
from dep.data.collate import Collator
from dep.data.datamodule import ReviewData
from dep.data.prompts.builder import PromptBuilder
from dep.inference.generator import Generate
from dep.models.adapters import ADAPTERS
from dep.models.backbones.cost import kv_bytes
from dep.pipeline.adapter_folder import check_embedder
from dep.pipeline.arm import Arm
from dep.pipeline.builders import build_data, build_generator, build_module, build_plain, build_profile_context
from dep.pipeline.keys import adapter_key, prediction_key
from dep.pipeline.past_reviews import PastReviews
from dep.pipeline.request_cost import request_flops, request_seconds, sample, tokens_flops, user_bytes
from dep.pipeline.resources import Resources
from dep.pipeline.stages.users import UserLoRAs
from dep.pipeline.store import ArmStore
from dep.training.module import PersonalizationModule
from dep.types import Prompt, Request
from dep.utils.atomic_io import as_line, read_rows, write_json, write_rows, write_text
from dep.utils.errors import MissingFile
from dep.utils.progress import stage


def generate(resources: Resources, arm: Arm) -> None:
    """Compute the likelihood of all real test reviews, generate the arm's reviews, and write predictions.jsonl.

    Finished requests are appended to predictions.partial.jsonl, with which a call after an interruption continues.

    Raises:
        MissingFile: the arm has no adapter that was trained under its current configuration.
    """
    path, partial = arm.folder / "predictions.jsonl", arm.folder / "predictions.partial.jsonl"
    if ArmStore(arm).finished("generate"):
        return
    write_text(arm.folder / "config.yaml", to_yaml(arm.config))
    if ArmStore(arm).restore("generate"):
        return
    if not ArmStore(arm).done("begun", prediction_key(arm)):
        partial.unlink(missing_ok=True)
        ArmStore(arm).finish("begun", prediction_key(arm))
    data = build_data(resources, arm)
    module = build_module(resources, arm, data)
    if arm.method.trains:
        adapter = arm.folder / "adapter.safetensors"
        if not ArmStore(arm).done("adapter", adapter_key(arm)):
            raise MissingFile(f"{adapter}: {arm.label} has no adapter under this configuration; run `dep train` first")
        module.load_adapter(adapter)
    elif arm.method.adapter_file is not None:
        check_embedder(arm.method.adapter_file.parent, arm)
        module.load_adapter(arm.method.adapter_file)
    module.to(resources.device).eval()
    requests = arm.method.transform_test_requests(data.requests("test"), arm.seed)
    steps: Mapping[str, list[dict[str, Any]]] = {}
    if arm.method.profiles:
        requests, steps = _with_profiles(resources, arm, requests)
    by_key = {request.key: request for request in requests}
    finished = {row["key"]: row for row in read_rows(partial)}
    write_rows(partial, finished.values())
    pending = [request for request in requests if request.key not in finished]
    users = UserLoRAs(arm, module, data, data.collate) if arm.method.user_training else None
    with partial.open("a", encoding="utf-8") as file:
        for group in users.serving(pending) if users else [pending]:
            for key, text, likelihood in _answers(resources, arm, module, data, group, progress=users is None):
                row = _prediction(by_key[key], text) | likelihood | ({"steps": steps[key]} if steps else {})
                finished[key] = row
                file.write(as_line(row))
                file.flush()
    write_rows(path, (finished[request.key] for request in requests))
    cost = _cost(resources, arm, module, data, list(by_key.values()), steps)
    if users:
        cost = cost | {"user_bytes": cost["user_bytes"] + users.bytes, "user_seconds": users.seconds}
        resources.console.print(
            f"[bold]generate[/] {arm.label}, seed {arm.seed}: {users.trained} users' LoRAs trained, the others taken "
            f"from {users.home}; {users.seconds:.1f} s a user"
        )
    write_json(arm.folder / "cost.json", cost)
    ArmStore(arm).complete("generate")
    partial.unlink()
    past = PastReviews.of(finished[request.key] for request in requests)
    trained = PastReviews.of_training(arm.folder) if arm.method.trains else None
    counts = f"{past}; in training: {trained.shown}" if trained and trained.asked else str(past)
    resources.console.print(
        f"[bold]generate[/] {arm.label}, seed {arm.seed}: {len(by_key)} reviews in {path}; {counts}"
    )


def _answers(
    resources: Resources,
    arm: Arm,
    module: PersonalizationModule,
    data: ReviewData,
    requests: list[Request],
    progress: bool,
) -> Iterator[tuple[str, str | None, dict[str, float | int]]]:
    """Yield (key, text, likelihood) of each request; the texts are None if the run generates none."""
    show = progress and arm.config.generate.progress
    likelihood = _likelihoods(module, data, requests, arm.config.evaluate.batch_size, show)
    if not arm.config.evaluate.texts:
        yield from ((key, None, row) for key, row in likelihood.items())
        return
    writer, plain = build_generator(resources, arm, module, progress=show), build_plain(resources, arm)
    for key, text in texts_of(writer, data, requests, plain):
        yield key, text, likelihood[key]


def _with_profiles(
    resources: Resources, arm: Arm, requests: Sequence[Request]
) -> tuple[list[Request], dict[str, list[dict[str, Any]]]]:
    """Let a language model write profiles; return requests with profiles, and their questions and answers by key."""
    context, plain = build_profile_context(resources, arm), list(requests)
    steps_of_requests = arm.method.write(plain, context)
    _, tokenizer = resources.backbone(arm.config)
    token_ids = PromptBuilder(tokenizer, arm.configured[0]).ask
    rows = {
        request.key: [
            {"system": asked.system, "prompt": asked.text, "prompt_tokens": len(token_ids(asked)), "text": answer}
            for asked, answer in steps
        ]
        for request, steps in zip(plain, steps_of_requests, strict=True)
    }
    profiles = (steps[-1].answer for steps in steps_of_requests)
    return [replace(request, profile=text) for request, text in zip(plain, profiles, strict=True)], rows


def _cost(
    resources: Resources,
    arm: Arm,
    module: PersonalizationModule,
    data: ReviewData,
    requests: list[Request],
    steps: Mapping[str, Any],
) -> dict[str, float]:
    """Measure the mean cost of a request; `dep.pipeline.request_cost.costs` explains the fields."""
    prompt, soft = arm.configured
    prompts = data.prompts(requests)
    sampled = sample([prompts[at] for at in range(len(prompts))])
    model, tokenizer = resources.backbone(arm.config)
    flops = request_flops(module, sampled, data.collate)
    if steps:
        read = [step["prompt_tokens"] + len(tokenizer.encode(step["text"])) for p in sampled for step in steps[p.key]]
        flops += sum(tokens_flops(model, tokens) for tokens in read) / len(sampled)
    reads_user = ADAPTERS.component(soft.adapter).depends_on_user
    stored_branches = soft.branches if reads_user else []  # the constant prompt reads no user's vectors
    adapter, text = module.soft_prompt.adapter, prompt.text and prompt.history > 0
    stored = [user_bytes(request, text, stored_branches, adapter) for request in requests]
    tokens = sum(len(prompts[at].ids) for at in range(len(prompts))) / len(prompts)
    return {
        "gflops": flops / 1e9,
        "seconds": request_seconds(module, sampled, data.collate),
        "kv_bytes": kv_bytes(model.config, tokens, model.dtype.itemsize),
        "user_bytes": sum(stored) / len(stored),
    }


def _prediction(request: Request, text: str | None) -> dict[str, Any]:
    return {
        "key": request.key, "category": request.category, "user": request.user, "item": request.item.item,
        "item_title": request.item.title, "rating": request.rating, "title": request.title,
        "reference": request.text, "prediction": text,
    }  # fmt: skip


@torch.no_grad()
def _likelihoods(
    module: PersonalizationModule, data: ReviewData, requests: list[Request], size: int, show: bool
) -> dict[str, dict[str, float | int]]:
    """Compute for each request, by its key, the likelihood of the real review.

    The fields are `nll` (nats per token of the review), the review's `tokens`, the `prompt_tokens`, and how many past
    reviews were `asked` for and `kept`.
    """
    prompts = data.prompts(requests)
    order = sorted((prompts[at] for at in range(len(prompts))), key=lambda p: p.computed + len(p.target))
    likelihoods: dict[str, dict[str, float | int]] = {}
    with stage("likelihood", len(order), show=show) as advance:
        for start in range(0, len(order), size):
            chunk: list[Prompt] = order[start : start + size]
            sums, counts = module.example_nll(data.collate(chunk).to(module.device))
            for prompt, total, count in zip(chunk, sums.tolist(), counts.tolist(), strict=True):
                likelihoods[prompt.key] = {
                    "nll": total / count, "tokens": count, "prompt_tokens": len(prompt.ids), "asked": prompt.asked,
                    "kept": prompt.kept,
                }  # fmt: skip
            advance(len(chunk))
    return likelihoods


def texts_of(
    writer: Generate, data: ReviewData, requests: Iterable[Request], plain: PromptBuilder | None
) -> Iterable[tuple[str, str]]:
    """Generate a text for each request; return the pairs (key, text) in the order in which they are finished.

    Args:
        writer: the generator.
        data: builds the prompts.
        requests: the requests.
        plain: builds the prompts without soft tokens, from `build_plain`.
    """
    listed = list(requests)
    prompts = data.prompts(listed)
    left_padded = Collator(data.collate.pad_id, side="left", answers=False)
    bare = [plain.build(request) for request in listed] if plain else None
    return writer([prompts[at] for at in range(len(prompts))], left_padded, bare)
