"""Converts a GGUF file, as llama.cpp reads it, into a folder that transformers reads.

Weights are dequantised one tensor at a time. Names, tokenizer and changes of layout (such as the order of a Llama's
query and key rows) are those of transformers' own GGUF loader, so that both give the same model.
A change of what a folder holds raises `known._CONVERSION`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PretrainedConfig,
    PreTrainedModel,
)

from dep.models.backbones.known import check_reader
from dep.models.backbones.safetensors_writer import SafetensorsWriter
from dep.utils.atomic_io import replacing
from dep.utils.errors import DepError
from dep.utils.locks import file_lock
from dep.utils.progress import Advance, stage

_HALF = {"F16": torch.float16, "BF16": torch.bfloat16}
_BROKEN = (ValueError, LookupError, TypeError, AttributeError, OverflowError, MemoryError, OSError)
"""What readers of a damaged file raise."""


def convert(gguf: Path, folder: Path, card: str = "") -> None:
    """Write `folder` from a GGUF file, unless it is there: weights, tokenizer, configuration and a model card.

    The folder is written under another name and renamed, and one process at a time converts.

    Args:
        gguf: the file.
        folder: the result.
        card: the model card, in Markdown.

    Raises:
        DepError: the file is damaged, is no GGUF file, or holds an architecture that transformers does not read.
    """
    waits = lambda owner: print(f"process {owner} converts {gguf.name}; waiting for it")  # noqa: E731
    with file_lock(folder.with_name(f".{folder.name}.lock"), busy=waits):
        if folder.is_dir():
            return
        for left_over in folder.parent.glob(f"{folder.name}.*.tmp"):  # of a process that was killed
            shutil.rmtree(left_over)
        with replacing(folder) as temporary, stage(f"converting {gguf.name}", gguf.stat().st_size) as advance:
            temporary.mkdir(parents=True)
            _convert(gguf, temporary, advance)
            (temporary / "README.md").write_text(card, encoding="utf-8")


def _convert(gguf: Path, folder: Path, advance: Advance) -> None:
    check_reader(str(gguf))
    try:
        reader = _read(gguf)
    except _BROKEN as error:
        raise _refusal(gguf, "a whole GGUF file", error, "fetch the file again") from error
    advance(gguf.stat().st_size - sum(int(tensor.n_bytes) for tensor in reader.tensors))
    if _count(reader, "split.count") > 1:
        raise DepError(str(gguf), "one file", "a part of several", "join them by llama.cpp's llama-gguf-split --merge")
    try:
        with _parsed_once(reader):
            config, settings = _configuration(gguf, reader)
            tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name, local_files_only=True)
            with torch.device("meta"):
                model = AutoModelForCausalLM.from_config(config, dtype=config.dtype)
            _write_weights(reader, model, settings, folder / "model.safetensors", advance)
    except (*_BROKEN, NotImplementedError, ImportError) as error:
        if isinstance(error, OSError | MemoryError | DepError):
            raise
        expected = "a language model that transformers reads from GGUF"
        raise _refusal(gguf, expected, error, "take the model's safetensors folder instead") from error
    config.architectures = [type(model).__name__]
    config.save_pretrained(folder)
    GenerationConfig.from_model_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder, save_jinja_files=False)
    _drop_foreign_tokens(folder / "tokenizer.json", len(reader.get_field("tokenizer.ggml.tokens").data))


def _drop_foreign_tokens(path: Path, tokens: int) -> None:
    """Remove what transformers adds to the file's own `tokens`, as GPT-2's end token; the model has no rows for it."""
    content = json.loads(path.read_text(encoding="utf-8"))
    own = [token for token in content["added_tokens"] if token["id"] < tokens]
    if len(own) < len(content["added_tokens"]):
        path.write_text(json.dumps(content | {"added_tokens": own}, ensure_ascii=False), encoding="utf-8")


def _refusal(gguf: Path, expected: str, error: BaseException, way_out: str) -> DepError:
    lines = str(error).strip().splitlines() or [""]
    return DepError(str(gguf), expected, f"{type(error).__name__} ({lines[0]})", way_out)


def _read(gguf: Path) -> Any:
    from gguf import GGUFReader

    return GGUFReader(gguf)


def _count(reader: Any, key: str) -> int:
    field = reader.get_field(key)
    return int(field.contents()) if field else 0


@contextmanager
def _parsed_once(reader: Any) -> Iterator[None]:
    """Let transformers take what is parsed; it would parse the file three times, and build a table for each module."""
    import gguf

    originals = gguf.GGUFReader, gguf.get_tensor_name_map
    gguf.GGUFReader, gguf.get_tensor_name_map = lambda *_: reader, lru_cache(gguf.get_tensor_name_map)
    try:
        yield
    finally:
        gguf.GGUFReader, gguf.get_tensor_name_map = originals


def _configuration(gguf: Path, reader: Any) -> tuple[PretrainedConfig, dict[str, Any]]:
    """The model's configuration, and the file's settings under transformers' names."""
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    settings = load_gguf_checkpoint(gguf)["config"]
    config: PretrainedConfig = AutoConfig.for_model(**settings)
    kinds = {tensor.tensor_type.name for tensor in reader.tensors}
    half = [_HALF[kind] for kind in kinds if kind in _HALF]
    config.dtype = half[0] if len(half) == 1 and kinds <= {"F32", *_HALF} else torch.float32
    return config, settings


def _write_weights(reader: Any, model: PreTrainedModel, settings: dict[str, Any], path: Path, advance: Advance) -> None:
    """Dequantise every tensor into the file `path`; `model` has shapes and no numbers.

    Matrices of a file without quantised tensors keep its half precision; everything else is float32.
    """
    from gguf import dequantize
    from transformers.modeling_gguf_pytorch_utils import TENSOR_PROCESSORS, TensorProcessor, get_gguf_hf_weights_map

    architecture = reader.get_field("general.architecture").contents()
    processor = TENSOR_PROCESSORS.get(architecture, TensorProcessor)(config=settings)
    names = get_gguf_hf_weights_map(model, processor)
    tied = (model._tied_weights_keys or {}) if getattr(model.config, "tie_word_embeddings", False) else {}
    layout = {
        name: (tuple(weight.shape), model.config.dtype if weight.dim() > 1 else torch.float32)
        for name, weight in model.state_dict().items()
        if name not in tied
    }
    merged: dict[str, Any] = {"tensors": {}}  # a processor puts here what it makes of several tensors
    with path.open("wb") as file:
        writer = SafetensorsWriter(file, layout)
        for tensor in reader.tensors:
            weights = dequantize(tensor.data, tensor.tensor_type)
            result = processor.process(
                weights=weights, name=tensor.name, tensor_key_mapping=names, parsed_parameters=merged
            )
            name = names.get(result.name)
            if name in layout:
                writer.write(name, torch.from_numpy(result.weights.copy()))
            advance(int(tensor.n_bytes))
        for name, weight in merged["tensors"].items():
            if name in layout:
                writer.write(name, weight)
    if writer.missing:
        raise ValueError(f"{len(writer.missing)} of {len(layout)} weights are missing, as {min(writer.missing)}")
