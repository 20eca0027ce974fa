"""Benchmarks greedy generation for many requests against transformers' `generate`, called for each request."""

from __future__ import annotations

import torch

from dep.data.collate import Collator
from dep.data.prompts.builder import PromptBuilder
from dep.data.prompts.settings import PromptConfig
from dep.inference.generator import Generate
from dep.inference.settings import GenerateConfig
from dep.models.backbones.load import load
from dep.models.settings import BackboneConfig
from experiments.bench.measure import Case
from experiments.bench.untrained import soft_prompt
from experiments.bench.world import WIDTH, requests

TOKENS = 64


def case(count: int = 256, part: int = 64) -> Case:
    """Benchmark `count` requests with text on the built-in backbone; the alternative generates `part` of them."""
    model, tokenizer = load(BackboneConfig())
    history = 2
    builder = PromptBuilder(tokenizer, PromptConfig(history=history, max_input_tokens=1024), ["his", "diff"])
    prompts = [builder.build(request) for request in requests(history)[:count]]
    soft = soft_prompt(history, model, tokenizer, WIDTH)
    collate = Collator(0, side="left", answers=False)
    write = Generate(
        GenerateConfig(greedy=True, max_new_tokens=TOKENS, batch_size=128, progress=False), model, tokenizer, soft
    )

    @torch.no_grad()
    def one_by_one() -> dict[str, str]:
        texts = {}
        for prompt in prompts[:part]:
            batch = collate([prompt])
            embeds_1TD = soft(batch, model.get_input_embeddings()).inputs_embeds
            ids = model.generate(  # type: ignore[operator]  # transformers types it as a Tensor
                inputs_embeds=embeds_1TD, attention_mask=batch.attention_mask, do_sample=False, max_new_tokens=TOKENS,
                pad_token_id=0, suppress_tokens=write.suppressed,
            )  # fmt: skip
            texts[prompt.key] = str(tokenizer.decode(ids[0], skip_special_tokens=True)).strip()
        return texts

    return Case(
        "generation", f"{len(prompts)} requests with text, greedy, {TOKENS} tokens at most",
        "`generate` request by request",
        lambda: dict(write(prompts, collate)), one_by_one,
        lambda ours, theirs: all(ours[key] == text for key, text in theirs.items()),
        len(prompts), "requests/s", 6, part=part / len(prompts),
    )  # fmt: skip
