"""Hidden states of the frozen LLM at the positions that predict a review, kept on disk by content.

    <folder>/<2 letters>/<digest>.safetensors    states [T, D]
    <folder>/<2 letters>/<digest>-expected.safetensors    expected_ids [n], expected [n], for past reviews

An adapter that acts at the LLM's output changes nothing before it. These states are therefore the same in every epoch,
for every seed and for every such adapter, and an optimizer step only needs the output head. The digest hashes the ids
of prompt and review; the folder belongs to one backbone in one dtype. A damaged file is computed again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from dep.inference.prefix_cache import positions
from dep.inference.tensor_files import TensorFiles
from dep.models.backbones.output_head import head_logits
from dep.types import IGNORE, Batch
from dep.types.memory import Memory
from dep.utils.allocator import trim
from dep.utils.errors import DepError
from dep.utils.progress import stage

_TOKENS = 1024
"""Real tokens that are read together, at least one sequence."""
_FULL = "further states are read by the LLM each time they are needed; raise the limit for more speed"
_EXPECTED_AT_ONCE = 32
"""Positions whose expected tokens are counted together, so that little memory is needed for long reviews."""
_TRIM_EVERY = 16
"""Reviews after which free memory is given back: the counts that are kept settle among the logits that are freed."""
_LEAST = 1e-4
"""Expected counts below this are left out."""


class Written(NamedTuple):
    """A prompt, and the review that follows it, as token ids."""

    prompt: Sequence[int]
    review: Sequence[int]

    @property
    def tokens(self) -> int:
        """The number of tokens of both."""
        return len(self.prompt) + len(self.review)


class TargetStates:
    """Returns hidden states of reviews; reads with the LLM only those that are not kept yet.

    Args:
        model: the frozen LLM.
        folder: where states are kept.
        limit: largest size of the folder in bytes; with 0, states are kept in memory alone.
        in_memory: bytes of states that stay in memory; others are read from disk again, or by the LLM.
    """

    def __init__(
        self, model: PreTrainedModel, folder: Path = Path(), limit: float = 0, in_memory: int = 512 << 20
    ) -> None:
        self.model, self._files = model, TensorFiles(folder, limit, in_memory, _FULL)
        self._review_of: dict[str, str] = {}
        """The digest of the past review of each key in memory that `memories` has read."""

    def of_batch(self, batch: Batch) -> Tensor:
        """Return the states [M, D] at the M positions that predict the batch's labels, row by row.

        Raises:
            DepError: an example has no target token.
        """
        pairs = []
        for row, (ids, mask, labels) in enumerate(zip(batch.ids, batch.attention_mask, batch.labels, strict=True)):
            known, target = ids[mask.bool()].tolist(), int((labels != IGNORE).sum())
            if not target:
                raise DepError(f"row {row} of the batch", "target tokens in labels", "none", "drop empty reviews")
            pairs.append(Written(known[:-target], known[-target:]))
        return torch.cat(self.read(pairs)).to(batch.ids.device).float()

    def memories(self, pairs: Sequence[Written], title: str) -> list[Memory]:
        """Return past reviews with their states and expected tokens.

        Args:
            pairs: prompt and review of each.
            title: the title of the progress bar.
        """
        states, keys = self.read(pairs, title), [_digest(pair) for pair in pairs]
        counts = self._counts(dict(zip(keys, states, strict=True)), title)
        memories = []
        for pair, key, states_TD in zip(pairs, keys, states, strict=True):
            ids, expected = counts[key]["expected_ids"].long(), counts[key]["expected"]
            memories.append(Memory(torch.tensor(pair.review), states_TD, ids, expected))
            self._review_of |= dict.fromkeys((key, _counted(key)), _of_review(pair.review))
        self._forget_evicted()
        return memories

    def forget(self, reviews: Sequence[Sequence[int]]) -> None:
        """Drop the states of some past reviews from memory, and all that are not those of past reviews; files stay.

        Args:
            reviews: the token ids of each.
        """
        gone = set(map(_of_review, reviews))
        for key in self._files.held():
            if self._review_of.get(key) in {None, *gone}:
                self._files.drop(key)
        self._forget_evicted()

    def _forget_evicted(self) -> None:
        self._review_of = {key: self._review_of[key] for key in self._files.held() if key in self._review_of}

    def read(self, pairs: Sequence[Written], title: str = "") -> list[Tensor]:
        """Return the states [T, D] of each review; with a title, a progress bar shows how many tokens are read."""
        keys = [_digest(pair) for pair in pairs]
        found = {key: kept["states"] for key in keys if (kept := self._files.get(key)) is not None}
        missing = {key: pair for key, pair in zip(keys, pairs, strict=True) if key not in found}
        order = sorted(missing, key=lambda key: -missing[key].tokens)
        total = sum(pair.tokens for pair in missing.values())
        with stage(f"reading {title}", total, bool(title and missing)) as advance:
            for some in _groups(order, missing):
                for key, states_TD in zip(some, self._states([missing[key] for key in some]), strict=True):
                    found[key] = self._files.put(key, {"states": states_TD})["states"]
                advance(sum(missing[key].tokens for key in some))
        return [found[key] for key in keys]

    @torch.no_grad()
    def _states(self, pairs: Sequence[Written]) -> list[Tensor]:
        """Read some sequences together; padding stands after the last token, where a causal model does not see it."""
        device = self.model.device
        ids_BT = pad_sequence([torch.tensor([*pair.prompt, *pair.review]) for pair in pairs], batch_first=True)
        lengths_B = torch.tensor([pair.tokens for pair in pairs])
        mask_BT = (torch.arange(ids_BT.shape[1]) < lengths_B[:, None]).long().to(device)
        hidden_BTD: Tensor = self.model.base_model(
            input_ids=ids_BT.to(device), attention_mask=mask_BT, use_cache=False, **positions(self.model, mask_BT)
        ).last_hidden_state
        firsts = [len(pair.prompt) - 1 for pair in pairs]
        return [
            hidden_TD[first : first + len(pair.review)].cpu().clone()
            for hidden_TD, first, pair in zip(hidden_BTD, firsts, pairs, strict=True)
        ]

    def _counts(self, states: dict[str, Tensor], title: str) -> dict[str, dict[str, Tensor]]:
        """Return what the LLM expects in each review, by the key of its states; counts what is not kept yet."""
        found = {key: kept for key in states if (kept := self._files.get(_counted(key))) is not None}
        missing = {key: states_TD for key, states_TD in states.items() if key not in found}
        total = sum(map(len, missing.values()))
        with stage(f"counting what the LLM expects in {title}", total, bool(title and missing)) as advance:
            for number, (key, states_TD) in enumerate(missing.items(), start=1):
                found[key] = self._files.put(_counted(key), self._expected(states_TD))
                if number % _TRIM_EVERY == 0:
                    trim()
                advance(len(states_TD))
        return found

    @torch.no_grad()
    def _expected(self, states_TD: Tensor) -> dict[str, Tensor]:
        parts = states_TD.to(self.model.device).split(_EXPECTED_AT_ONCE)
        counts_V = (
            torch.stack([head_logits(self.model, part).float().softmax(-1).sum(0) for part in parts]).sum(0).cpu()
        )
        ids_n = (counts_V >= _LEAST).nonzero()[:, 0]
        return {"expected_ids": ids_n.int(), "expected": counts_V[ids_n]}


def _groups(keys: Sequence[str], pairs: dict[str, Written]) -> list[list[str]]:
    """Cut keys, the longest first, into groups of at most `_TOKENS` tokens with padding, or of one sequence."""
    groups: list[list[str]] = []
    for key in keys:
        if not groups or (len(groups[-1]) + 1) * pairs[groups[-1][0]].tokens > _TOKENS:
            groups.append([])
        groups[-1].append(key)
    return groups


def _counted(key: str) -> str:
    """Return the key of the expected counts of a review whose states have this key."""
    return f"{key}-expected"


def _of_review(ids: Sequence[int]) -> str:
    return hashlib.sha256(np.array(ids, dtype="<i8").tobytes()).hexdigest()


def _digest(pair: Written) -> str:
    ids = np.array([*pair.prompt, *pair.review], dtype="<i8").tobytes()
    return hashlib.sha256(f"{len(pair.prompt)} ".encode() + ids).hexdigest()[:32]
