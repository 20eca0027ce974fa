"""vLLM writes what our own decoding writes, and never reads one user's vectors for another's (`make test-vllm`)."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from dep.data.collate import Collator
from dep.data.prompts.builder import PromptBuilder
from dep.data.prompts.settings import PromptConfig
from dep.inference.generator import Generate
from dep.inference.settings import GenerateConfig
from dep.models.backbones.load import DEMO, load
from dep.models.compressors.settings import SparseAutoencoderConfig
from dep.models.settings import BackboneConfig, ProjectorConfig, SoftPromptConfig
from dep.models.soft_prompt import build_soft_prompt
from dep.types import Item, Request, Review, Slot

pytest.importorskip("vllm")

from dep.inference.vllm import VLLM

WIDTH = 32
COLLATE = Collator(0, side="left", answers=False)


@pytest.fixture(scope="module")
def parts():
    model, tokenizer = load(BackboneConfig(dtype="float32"))
    soft = build_soft_prompt(
        SoftPromptConfig(), SparseAutoencoderConfig(latent=16), ProjectorConfig(hidden=32, scale_to_embedding=True),
        width=WIDTH, model=model, tokenizer=tokenizer,
    )  # fmt: skip
    return model, tokenizer, soft


@pytest.fixture(scope="module")
def prompts(parts):
    _, tokenizer, _ = parts
    builder = PromptBuilder(tokenizer, PromptConfig(history=2, max_input_tokens=1024), ["his", "diff"])
    draw = torch.Generator().manual_seed(0)

    def request(at: int) -> Request:
        item = Item(f"item{at}", "The Quiet River", "A story of a long voyage and a storm.")
        slots = tuple(
            Slot(
                Review(f"user{at}", f"past{k}", "I liked the slow start and the end." * (1 + at % 3), 4.0, "good", k),
                replace(item, item=f"past{k}"), *torch.randn(2, WIDTH, generator=draw),
            )
            for k in range(2)
        )  # fmt: skip
        return Request(f"Books/{at}", "Books", f"user{at}", item, 4.0, "a fine book", "It is good.", slots)

    return [builder.build(request(at)) for at in range(16)]


@pytest.fixture(scope="module")
def engines(parts):
    model, tokenizer, soft = parts
    config = GenerateConfig(greedy=True, max_new_tokens=24, batch_size=5, progress=False)
    theirs = VLLM(config, str(DEMO), model, tokenizer, soft)
    yield Generate(config, model, tokenizer, soft), theirs
    theirs.close()  # while there is still somewhere to log to


def test_greedy_texts_are_those_of_our_own_decoding(engines, prompts) -> None:
    ours, theirs = (dict(engine(prompts, COLLATE)) for engine in engines)
    assert theirs == ours
    assert len(set(ours.values())) > 1


def test_two_users_with_the_same_text_and_other_vectors_get_other_logits(engines, prompts) -> None:
    """One after the other, which is where a cache keyed on ids would give the second the first's keys and values."""
    from vllm import SamplingParams

    _, engine = engines
    one = prompts[0]
    other = replace(one, vectors={branch: [-v for v in vectors] for branch, vectors in one.vectors.items()})
    assert one.ids == other.ids
    found = []
    for prompt in (one, other, one):
        asked = {"prompt_embeds": engine._embeds(prompt, COLLATE)}
        (output,) = engine.engine.generate(
            [asked], SamplingParams(temperature=0, max_tokens=1, logprobs=5), use_tqdm=False
        )
        found.append({token: entry.logprob for token, entry in output.outputs[0].logprobs[0].items()})
    assert found[0] == pytest.approx(found[2])
    assert found[0] != pytest.approx(found[1], abs=1e-4)
