"""Command that trains the built-in backbone from scratch.

    torchrun --nproc-per-node 2 -m experiments.tiny_backbone.train --out dep/models/backbones/tiny

It trains in fp32 with one process for each core: at this size, two threads of one process would spend most of the time
waiting for each other. After an interruption it resumes from `<out>.partial`.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

from dep.data.collate import Collator
from dep.data.prompts.settings import PromptConfig
from dep.data.prompts.template import system_text
from dep.methods.profiles.questions import DIFFERENCE, PROFILE
from dep.training.optimizers import Muon
from dep.types import IGNORE, SLOT_TOKENS, Batch, Branch
from experiments.tiny_backbone.pretraining_tasks import FIRST_SHARES, SHARES, Task, TaskGenerator
from experiments.tiny_backbone.tokenizer import train_tokenizer

CONTEXT_WEIGHT = {True: 0.4, False: 0.0}
"""Weight of a prompt token relative to an answer token; the key says whether the prompt contains reviews' texts.

Without texts the prompt has only titles and descriptions, which are not predictable: even a weight of 0.05 made their
loss dominate that of the answers."""


def fill_slots(
    embedding: nn.Embedding, batch: Batch, slot_ids: Mapping[Branch, int], generator: torch.Generator
) -> Tensor:
    """Return input embeddings [B, T, D] with each slot token replaced by its bag of words, or by noise."""
    embeds = embedding(batch.ids)
    norm = embedding.weight.detach().norm(dim=1).mean()
    for branch, bags in batch.vectors.items():
        ids = bags[batch.present[branch]].long()
        known = (ids >= 0).float() * (0.5 + torch.rand(ids.shape, generator=generator))
        words = (embedding(ids.clamp(min=0)) * known[..., None]).sum(1) / known.square().sum(1).clamp(min=1).sqrt()[
            :, None
        ]
        noise = torch.randn(words.shape, generator=generator) * norm / words.shape[1] ** 0.5
        size = torch.where(ids.max(1).values >= 0, 0.3, 0.2 + 1.5 * torch.rand(len(ids), generator=generator))
        embeds = embeds.masked_scatter((batch.ids == slot_ids[branch])[..., None], words + size[:, None] * noise)
    return embeds


def task_loss(
    model: Qwen2ForCausalLM, batch: Batch, kinds: list[str], slot_ids: Mapping[Branch, int], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return the weighted loss over prompt and answer, and each example's NLL per token of the answer [B]."""
    embeds = fill_slots(model.model.embed_tokens, batch, slot_ids, generator)
    hidden = model.model(inputs_embeds=embeds, use_cache=False).last_hidden_state[:, :-1]
    answer = batch.labels[:, 1:] != IGNORE
    real = batch.attention_mask[:, 1:].bool().clone()
    for token in slot_ids.values():
        real &= batch.ids[:, 1:] != token
    texts = torch.tensor([CONTEXT_WEIGHT["text" in kind] for kind in kinds])
    real &= answer | (texts[:, None] > 0)
    logits = model.lm_head(hidden[real])
    nll = F.cross_entropy(logits, batch.ids[:, 1:][real], reduction="none")
    weight = torch.where(answer, 1.0, texts[:, None].expand(real.shape))[real]
    per_token = torch.zeros(real.shape).masked_scatter(real, nll.detach())
    return (nll * weight).sum() / weight.sum(), (per_token * answer).sum(1) / answer.sum(1)


def batches(tasks: Iterator[Task], tokens: int, pad_id: int) -> Iterator[tuple[Batch, list[str]]]:
    """Yield batches of rows of similar length, about `tokens` tokens each, with the kinds of their tasks."""
    collate = Collator(pad_id)
    while True:
        pool = sorted(islice(tasks, 256), key=lambda x: len(x.prompt.ids) + len(x.prompt.target))
        groups: list[list[Task]] = [[]]
        for task in pool:
            longest = len(task.prompt.ids) + len(task.prompt.target)
            if (len(groups[-1]) + 1) * longest > tokens and groups[-1]:
                groups.append([])
            groups[-1].append(task)
        order = torch.randperm(len(groups), generator=torch.Generator().manual_seed(len(pool))).tolist()
        for g in order:
            yield collate([x.prompt for x in groups[g]]), [x.kind for x in groups[g]]


def make_tokenizer(vocabulary: int) -> object:
    """Train the tokenizer on texts formatted like the prompts of the tasks."""
    from dep.data.synthetic.generator import make_world
    from dep.data.synthetic.language import CATEGORIES

    texts = []
    for seed in range(999_000, 999_004):
        for category in CATEGORIES:
            world = make_world(category, seed)
            for w in world.written:
                texts += [f" {w.text}\n", w.text, f" {w.title}\n", f" {w.rating}.0\n"]
                texts += [f" {w.thing.title}\n", f" {w.thing.description}\n"]
    fields = (
        "[Item Title]:|[Item Description]:|[User's Past Reviews]:\n|[Review 1]:\n|[Review Rating]:|[Review Title]:|"
        "[Review Text]:|[Review Embedding]:\n|[Review Difference Embedding]:\n|[Output Review Rating]:|"
        "[Output Review Title]:|[User's Review]:|[Other Review 2]:|system\n|user\n|assistant\n"
    ).split("|")
    systems = [system_text(PromptConfig(guidance=g), ("his", "diff")) for g in (True, False)] + [
        PROFILE["taught"],
        DIFFERENCE["taught"],
    ]
    answers = [
        "The user is warm dry giddy grumpy, often speaks of the",
        "Unlike the others, the user speaks of",
        "Like the others, of",
    ]
    texts += (fields + systems + answers) * 2000
    return train_tokenizer(texts, vocabulary)


@torch.no_grad()
def examine(model: Qwen2ForCausalLM, tokenizer: object, seed: int, count: int = 384) -> dict[str, float]:
    """Return the answer's NLL per token by kind of task, on worlds that the training did not use."""
    stream = TaskGenerator(tokenizer, seed).stream()
    vocabulary = tokenizer.get_vocab()  # type: ignore[attr-defined]
    slot_ids = {branch: vocabulary[token] for branch, token in SLOT_TOKENS.items()}
    generator = torch.Generator().manual_seed(seed)
    losses: dict[str, list[float]] = {}
    model.eval()
    seen = 0
    for batch, kinds in batches(stream, 8192, tokenizer.pad_token_id):  # type: ignore[attr-defined]
        for kind, value in zip(kinds, task_loss(model, batch, kinds, slot_ids, generator)[1].tolist(), strict=True):
            losses.setdefault(kind, []).append(value)
        seen += len(kinds)
        if seen >= count:
            break
    return {kind: sum(v) / len(v) for kind, v in sorted(losses.items())}


def main() -> None:
    """Train the tokenizer and the backbone, evaluate the backbone and write its folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--first-steps", type=int, default=600, help="steps with the first mixture of tasks")
    parser.add_argument("--tokens", type=int, default=2048, help="tokens of a micro-batch, small enough for the cache")
    parser.add_argument("--accumulate", type=int, default=2, help="micro-batches per step and process")
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--lr", type=float, default=2e-3, help="AdamW's, for embeddings and norms")
    parser.add_argument("--muon-lr", type=float, default=5e-3, help="Muon's, for matrices")
    parser.add_argument("--vocabulary", type=int, default=1536)
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    dist.init_process_group("gloo")
    rank, ranks = dist.get_rank(), dist.get_world_size()
    torch.set_num_threads(1)
    partial = args.out.with_suffix(".partial")
    partial.mkdir(parents=True, exist_ok=True)
    if rank == 0 and not (partial / "tokenizer.json").exists():
        make_tokenizer(args.vocabulary).save_pretrained(partial)  # type: ignore[attr-defined]
    dist.barrier()
    tokenizer = AutoTokenizer.from_pretrained(partial)
    torch.manual_seed(args.seed)
    model = Qwen2ForCausalLM(
        Qwen2Config(  # type: ignore[call-arg]  # it takes rope_theta for rope_parameters
            vocab_size=len(tokenizer), hidden_size=args.width, intermediate_size=3 * args.width,
            num_hidden_layers=args.layers, num_attention_heads=args.width // 32, num_key_value_heads=args.width // 64,
            max_position_embeddings=4096, tie_word_embeddings=True, rope_theta=10000.0,
            bos_token_id=None, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        )
    )  # fmt: skip
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    rest = [p for n, p in model.named_parameters() if p.ndim < 2 or "embed" in n]
    optimizers = [
        Muon(matrices, args.muon_lr),
        torch.optim.AdamW(rest, args.lr, betas=(0.9, 0.95), weight_decay=0.0),
    ]
    log = print if rank == 0 else lambda *_, **__: None
    log(f"{sum(p.numel() for p in model.parameters()):,} parameters, vocabulary {len(tokenizer)}", flush=True)
    vocabulary = tokenizer.get_vocab()
    slot_ids = {branch: vocabulary[token] for branch, token in SLOT_TOKENS.items()}
    generator = torch.Generator().manual_seed(args.seed + rank)
    first = 0
    if (partial / "step.json").exists():
        first = json.loads((partial / "step.json").read_text())["step"]
        model.load_state_dict(load_file(partial / "model.safetensors"), strict=False)
        momenta = load_file(partial / "optimizers.safetensors")
        restore(optimizers, momenta)

    def begin(shares: Mapping[str, float]) -> Iterator[tuple[Batch, list[str]]]:
        tasks = TaskGenerator(tokenizer, args.seed + 10 * rank + 100 * first, shares).stream()
        return batches(tasks, args.tokens, tokenizer.pad_token_id)

    stream = begin(FIRST_SHARES if first < args.first_steps else SHARES)
    model.train()
    start, seen = time.time(), 0
    smooth: dict[str, float] = {}
    parameters = list(model.parameters())
    for step in range(first, args.steps):
        if step == args.first_steps:
            stream = begin(SHARES)
        factor = min(1, (step + 1) / 100) * (1 - step / args.steps)
        for optimizer, peak in zip(optimizers, (args.muon_lr, args.lr), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = peak * factor
        for _ in range(args.accumulate):
            batch, kinds = next(stream)
            loss, answers = task_loss(model, batch, kinds, slot_ids, generator)
            loss.backward()
            seen += int(batch.attention_mask.sum()) * ranks
            for kind, value in zip(kinds, answers.tolist(), strict=True):
                smooth[kind] = 0.98 * smooth.get(kind, value) + 0.02 * value
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        flat /= ranks * args.accumulate
        for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if step % 25 == 24:
            kinds_now = " ".join(f"{k} {v:.3f}" for k, v in sorted(smooth.items()))
            log(
                f"step {step + 1} loss {loss.item():.3f} {seen / 1e6:.1f}M tokens "
                f"{seen / (time.time() - start):.0f}/s | {kinds_now}",
                flush=True,
            )
        if rank == 0 and (step % 200 == 199 or step + 1 == args.steps):
            write(partial, model, optimizers, step + 1)
    if rank == 0:
        figures = examine(model, tokenizer, 31)
        log(json.dumps(figures, indent=1))
        finish(partial, args.out, model, figures, args, seen)
    dist.destroy_process_group()


def restore(optimizers: list[torch.optim.Optimizer], saved: dict[str, Tensor]) -> None:
    """Restore the optimizers' tensors from a checkpoint."""
    for o, optimizer in enumerate(optimizers):
        for g in optimizer.param_groups:
            for i, p in enumerate(g["params"]):
                prefix = f"{o}.{i}."
                optimizer.state[p].update({k[len(prefix) :]: v for k, v in saved.items() if k.startswith(prefix)})


def write(partial: Path, model: Qwen2ForCausalLM, optimizers: list[torch.optim.Optimizer], step: int) -> None:
    """Write a checkpoint; the step's number comes last, so that a checkpoint with a number is complete."""
    (partial / "step.json").unlink(missing_ok=True)
    model.save_pretrained(partial)
    tensors: dict[str, Tensor] = {}
    for o, optimizer in enumerate(optimizers):
        for g in optimizer.param_groups:
            for i, p in enumerate(g["params"]):
                tensors |= {f"{o}.{i}.{k}": v for k, v in optimizer.state[p].items() if isinstance(v, Tensor)}
    save_file(tensors, partial / "optimizers.safetensors")
    (partial / "step.json").write_text(json.dumps({"step": step}))


def finish(
    partial: Path, out: Path, model: Qwen2ForCausalLM, figures: dict[str, float], args: argparse.Namespace, seen: int
) -> None:
    """Write the folder that the package contains: weights, tokenizer and `card.json` with how they were made."""
    building = out.with_suffix(".building")
    model.save_pretrained(building)
    AutoTokenizer.from_pretrained(partial).save_pretrained(building)
    card = {
        "made_by": "python -m experiments.tiny_backbone.train",
        "arguments": {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()},
        "trained_on": "worlds of seeds from 1,000,000 (FIRST_TASK_SEED); experiments use smaller seeds",
        "parameters": sum(p.numel() for p in model.parameters()),
        "tokens_seen": seen,
        "held_out_nll": {"seed": 31, "lessons": 384, **figures},
    }
    (building / "card.json").write_text(json.dumps(card, indent=1) + "\n")
    if out.exists():
        out.rename(out.with_suffix(f".before-{int(time.time())}"))
    os.replace(building, out)


if __name__ == "__main__":
    main()
