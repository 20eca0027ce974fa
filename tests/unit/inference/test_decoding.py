"""The decoding loop writes the same text as `transformers.generate`, for each kind of positions and cache."""

from __future__ import annotations

import pytest
import torch

from dep.inference.decoding import decode

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
    texts = decode(model, embeds_BTD, mask_BT, Likeliest(), STOP, 20)
    ends = [next((at for at, token in enumerate(row) if token in STOP), len(row) - 1) for row in expected]
    assert texts == [row[: end + 1] for row, end in zip(expected, ends, strict=True)]
