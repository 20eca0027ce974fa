"""Every family of causal LMs is exact, or refused in one line that says why; docs/architectures.md says which."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import DynamicCache, PreTrainedModel

from dep.inference.architecture_table import PAGE, example_config, row
from dep.inference.capabilities import architecture_capabilities, refuse_unusable
from dep.inference.likelihood import example_nll
from dep.inference.prefix_cache import PrefixSpan
from dep.inference.trials import Capabilities
from dep.models.backbones.cost import kv_bytes, reading_flops, training_flops
from dep.models.backbones.geometry import parameters
from dep.models.backbones.kept_activations import kept_bytes
from dep.models.backbones.miniature import miniature
from dep.types import IGNORE
from dep.utils.errors import DepError

EXACT = (
    "apertus bamba bloom cohere2 deepseek_v2 deepseek_v3 ernie4_5 exaone4 falcon falcon_h1 gemma gemma2 gemma3_text "
    "gemma4_unified_text glm4 gpt2 gpt_bigcode gpt_neo gpt_neox gpt_oss gptj granite jamba lfm2 llama mamba mamba2 "
    "mistral mixtral mpt nemotron olmo2 olmo3 opt phi phi3 qwen2 qwen2_moe qwen3 qwen3_moe qwen3_next recurrent_gemma "
    "rwkv smollm3 stablelm starcoder2 xglm"
).split()
REFUSED = ("bert", "ctrl", "deepseek_v4", "gemma3n_text", "gemma4_text", "cpmant")
LABELS = 3


@pytest.fixture(params=EXACT)
def family(request: pytest.FixtureRequest) -> tuple[str, PreTrainedModel, Capabilities]:
    config = example_config(request.param)
    known = architecture_capabilities(config)
    assert known is not None
    return request.param, miniature(config), known


def test_a_family_is_exact_as_the_page_says_and_its_cost_is_counted(family) -> None:
    """The trial itself compares padded and cached texts with a row alone; here is what it does not look at."""
    name, model, known = family
    assert not known.refused
    assert row(name, known) in PAGE.read_text().splitlines(), "python -m dep.inference.architecture_table"
    _likelihood_of_a_training_step_is_that_of_the_plain_model(model)
    total, embedding, skipped = parameters(model.config)
    assert total == sum(p.numel() for p in model.parameters())
    assert 0 < embedding < total
    assert 0 <= skipped < total
    counted = (kept_bytes(model.config, 8), reading_flops(model.config, 8, 2), training_flops(model.config, 8, 2))
    assert all(math.isfinite(value) and value > 0 for value in counted)
    if known.decoding == "cache":
        cache = DynamicCache(config=model.config)
        model(input_ids=torch.arange(3, 6)[None], past_key_values=cache, use_cache=True)
        kept = [layer for layer in cache.layers if getattr(layer, "keys", None) is not None]
        assert kv_bytes(model.config, 3, 4) == sum(layer.keys.nbytes + layer.values.nbytes for layer in kept)


def _likelihood_of_a_training_step_is_that_of_the_plain_model(model: PreTrainedModel) -> None:
    rows = [torch.tensor([5, 6, 7, 8, *range(20, 20 + more)]) for more in (9, 4)]
    ids_BT = pad_sequence(rows, batch_first=True)
    mask_BT = pad_sequence([torch.ones_like(ids_T) for ids_T in rows], batch_first=True)
    labels_BT = torch.full_like(ids_BT, IGNORE)
    for b, ids_T in enumerate(rows):
        labels_BT[b, len(ids_T) - LABELS : len(ids_T)] = ids_T[-LABELS:]
    embeds_BTD = model.get_input_embeddings()(ids_BT).detach().requires_grad_()
    sums_B, _ = example_nll(model, embeds_BTD, mask_BT, labels_BT, PrefixSpan(3, 4))
    sums_B.sum().backward()
    assert embeds_BTD.grad is not None
    assert embeds_BTD.grad[:, 4:].abs().max() > 0
    for total, ids_T in zip(sums_B.tolist(), rows, strict=True):
        log_p = model(input_ids=ids_T[None], use_cache=False).logits[0].float().log_softmax(-1)
        expected = -sum(log_p[at - 1, ids_T[at]].item() for at in range(len(ids_T) - LABELS, len(ids_T)))
        assert total == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("name", REFUSED)
def test_a_family_that_cannot_be_used_is_refused_in_one_line(name: str) -> None:
    known = architecture_capabilities(example_config(name))
    assert known is not None
    with pytest.raises(DepError, match=rf"backbone\.name_or_path=mine: .*{name}") as refused:
        refuse_unusable(example_config(name), "mine")
    assert len(str(refused.value).splitlines()) == 1
    assert row(name, known) in PAGE.read_text().splitlines(), "python -m dep.inference.architecture_table"
