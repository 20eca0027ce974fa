"""One training step, against rows padded to the longest possible, logits everywhere, and slots written one by one."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, pad
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dep.data.collate import Collator
from dep.data.prompt import PromptBuilder, PromptConfig
from dep.model.backbone import Backbone, load
from dep.model.lit import LitDEP
from dep.model.losses import total_loss
from dep.model.train import Train
from dep.records import IGNORE, Batch
from experiments.bench.measure import Case
from experiments.bench.world import backbone, requests, soft_prompt

ROW = 1152
"""1,024 tokens of prompt and 128 of review, the world's limits."""


def plain_losses(module: LitDEP, batch: Batch) -> Tensor:
    """Eq. 11 of a batch as public code computes it."""
    missing = ROW - batch.ids.shape[1]
    ids_BT, mask_BT, labels_BT = (
        pad(rows, (0, missing), value=value)
        for rows, value in ((batch.ids, 0), (batch.attention_mask, 0), (batch.labels, IGNORE))
    )
    soft = module.soft_prompt
    assert soft.source is not None, "DEP's soft prompt has one"
    made = soft.source(batch)
    embeds_BTD = module.backbone.get_input_embeddings()(ids_BT).clone()
    for branch, vectors_BKD in made.vectors.items():
        for b in range(len(ids_BT)):
            places = (ids_BT[b] == soft.slot_ids[branch]).nonzero()[:, 0]
            for k, place in enumerate(places):
                embeds_BTD[b, place] = vectors_BKD[b, k]
    if soft.boundary_rows is not None:
        for row, token in zip(soft.boundary_rows, soft.boundary_ids, strict=True):
            for b, place in (ids_BT == token).nonzero().tolist():
                embeds_BTD[b, place] = row
    logits_BTV = module.backbone(inputs_embeds=embeds_BTD, attention_mask=mask_BT, use_cache=False).logits
    losses = [
        cross_entropy(logits_TV[:-1], labels_T[1:], ignore_index=IGNORE)
        for logits_TV, labels_T in zip(logits_BTV, labels_BT, strict=True)
    ]
    return total_loss(torch.stack(losses).mean(), made.losses, module.config.lambda_, module.config.gamma)


def case(examples: int = 4, history: int = 3) -> Case:
    """A step of `examples` of the world's prompts through a head of a large model's width."""
    return _case("training step", "5.5 M parameters, 152 k words", *backbone(), examples, history)


def demo(examples: int = 8, history: int = 2) -> Case:
    """A step of `make demo`: its backbone, prompts and micro batch."""
    return _case("training step of the demo", "the built-in backbone", *load(Backbone.Config()), examples, history)


def _case(
    name: str, what: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, examples: int, history: int
) -> Case:
    """Its result is the loss and the gradients."""
    builder = PromptBuilder(tokenizer, PromptConfig(history=history, max_input_tokens=1024), ["his", "diff"])
    batch = Collator(0)([builder.build(request) for request in requests(history)[:examples]])
    soft = soft_prompt(history, model, tokenizer)
    module = LitDEP(model, soft, Train.Config())

    def step(loss: Tensor) -> list[Tensor]:
        module.zero_grad()
        loss.backward()
        return [loss.detach(), *(p.grad.clone() for p in module.soft_prompt.parameters() if p.grad is not None)]

    def same(ours: list[Tensor], theirs: list[Tensor]) -> bool:
        return all(
            torch.allclose(a, b, rtol=1e-3, atol=1e-5 * float(b.abs().max())) for a, b in zip(ours, theirs, strict=True)
        )

    return Case(
        name, f"{examples} prompts, K = {history}, {what}",
        f"rows padded to {ROW} tokens, logits everywhere, slots written one by one",
        lambda: step(module.losses(batch)["total"]), lambda: step(plain_losses(module, batch)),
        same, examples, "examples/s", 5,
    )  # fmt: skip
