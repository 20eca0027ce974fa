"""The decoding loop writes the same text as `transformers.generate`, for each kind of positions and cache."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoConfig

from dep.inference.decoding import Reading, decode
from dep.models.backbones.miniature import miniature

PROMPTS = [[7, 9, 11, 13, 5, 8], [4, 6], [12, 3, 10, 14]]
STOP = [1, *range(0, 120, 4)]


class Likeliest:
    def draw(self, logits_BV: torch.Tensor) -> torch.Tensor:
        return logits_BV.argmax(-1, keepdim=True)

    def keep(self, rows: list[int]) -> None:
        self.left = len(rows)


@pytest.mark.parametrize("name", ["qwen2", "llama", "gpt2", "gemma2"])
def test_greedy_rows_of_unequal_length_equal_those_of_transformers(bare_model, name: str) -> None:
    model, longest = bare_model(name), max(map(len, PROMPTS))
    ids_BT = torch.tensor([[0] * (longest - len(p)) + p for p in PROMPTS])
    mask_BT = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in PROMPTS])
    embeds_BTD = model.get_input_embeddings()(ids_BT)
    expected = model.generate(
        inputs_embeds=embeds_BTD, attention_mask=mask_BT, do_sample=False, max_new_tokens=20, eos_token_id=STOP,
        pad_token_id=0,
    ).tolist()  # fmt: skip
    texts = decode(Reading(model, embeds_BTD, mask_BT), Likeliest(), STOP, 20)
    ends = [next((at for at, token in enumerate(row) if token in STOP), len(row) - 1) for row in expected]
    assert texts == [row[: end + 1] for row, end in zip(expected, ends, strict=True)]


@pytest.mark.parametrize("shared", [0, 3])
@pytest.mark.parametrize("name", ["gemma3_text", "mpt", "bloom", "gpt_neo", "qwen2"])
def test_a_text_does_not_depend_on_its_batch_with_windows_and_alibi(name: str, shared: int) -> None:
    """Seventeen rows, so that the prompts are read in two parts; the window is shorter than every prompt."""
    model = miniature(AutoConfig.for_model(name))
    draw = torch.Generator().manual_seed(0)
    rows = [[5, 6, 7, *torch.randint(3, 90, (3 + at % 9,), generator=draw).tolist()] for at in range(17)]
    longest = max(map(len, rows))
    ids_BT = torch.tensor([[0] * (longest - len(row)) + row for row in rows])
    mask_BT = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
    embeds_BTD = model.get_input_embeddings()(ids_BT)
    texts = decode(Reading(model, embeds_BTD, mask_BT, shared), Likeliest(), [], 8)
    for row, text in zip(rows, texts, strict=True):
        for token in text:
            assert token == int(model(input_ids=torch.tensor([row]), use_cache=False).logits[0, -1].argmax())
            row.append(token)
