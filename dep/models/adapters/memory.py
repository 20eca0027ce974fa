"""The adapter `memory`, which changes the frozen LLM's output by what the user has written before.

    h'_t = h_t + B silu(A h_t) + c,   l_t = W h'_t + b            a correction that is the same for every user
    l_t(v) += λ log((C_v + a) / (Ê_v + a)),   Ê_v = E_v exp(b_v)  diff: words that set the user apart
    p_t(v) = (1 - g (1 - w_0)) softmax(l_t)(v) + g Σ_{j: y_j = v} w_j   his: words from similar places (`recall`)

h_t   the state at the input of the LLM's output head W
C_v   how often token v occurs in the user's past reviews
E_v   how often the LLM expected it there; Ê_v: how often it would occur there if other users wrote
y_j   the tokens of the past reviews, with the weights w_j of `recall`

`diff` is a difference between users (Eq. 4) in words: not from the mean of a few peers' vectors, but from what the LLM,
corrected for all users, would have written about the same items. `his` is the continuous cache of Grave et al. (2017,
arXiv 1612.04426) over one user's past. With `memory.others` every user, and the control, first recalls in the same way
from a sample of other people's reviews, so that a user's past adds only what is the user's. Everything but A, B, c and
b is a single number, so that a few hundred reviews train the adapter. The LLM itself reads nothing else than without
the adapter.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel

from dep.models.adapters.base import Adapter, AdapterParts
from dep.models.adapters.others_reviews import OthersReviews
from dep.models.adapters.output_likelihood import row_nll
from dep.models.adapters.recall import START, Lookup, Places, similar_places
from dep.models.backbones.output_head import head_logits
from dep.models.settings import MemoryConfig
from dep.types import Batch, UserHistory
from dep.types.memory import Memory

_START = {
    "diff_weight": math.log(0.5), "diff_prior": 0.7, **{f"his_{name}": value for name, value in START.items()},
}  # fmt: skip
"""log λ, log a, and the numbers of `recall` before training: the past counts a little."""


class MemoryAdapter(Adapter):
    """`memory`: corrects the LLM's logits for all users, and by the words of the user's past reviews.

    Args:
        config: which parts act, and the rank of the correction.
        width: D.
        vocabulary: V, the number of logits.
    """

    statistics_of = ()
    needs_branches = False
    acts_at_output = True
    calibrates = True

    def __init__(self, config: MemoryConfig, width: int, vocabulary: int) -> None:
        super().__init__()
        self.config = config
        self.down = nn.Parameter(torch.randn(config.rank, width) / width**0.5)
        self.up = nn.Parameter(torch.zeros(width, config.rank))
        self.shift = nn.Parameter(torch.zeros(width))
        self.bias = nn.Parameter(torch.zeros(vocabulary))
        self.numbers = nn.ParameterDict({name: nn.Parameter(torch.tensor(value)) for name, value in _START.items()})
        self.others = OthersReviews(config.others, width) if config.others else None

    @classmethod
    def from_parts(cls, parts: AdapterParts) -> MemoryAdapter:
        """Build the adapter for the LLM's output head."""
        head: Any = parts.model.get_output_embeddings()
        return cls(parts.soft_prompt.memory, parts.llm_width, int(head.weight.shape[0]))

    def param_groups(self) -> list[dict[str, Any]]:
        """Return one group: the token biases and the single numbers of the parts that act."""
        used = [number for name, number in self.numbers.items() if self.is_trained(f"numbers.{name}")]
        used += list(self.others.numbers.values()) if self.others is not None else []
        return [{"params": [self.bias, *used], "lr": self.config.lr}]

    def is_trained(self, name: str) -> bool:
        """Return whether the parameter is a number of a part that acts, or belongs to the correction."""
        part = name.removeprefix("numbers.").split("_")[0]
        return {"his": self.config.his, "diff": self.config.diff}.get(part, True)

    def stored_numbers(self, history: UserHistory) -> int:
        """Count the states and tokens of the past reviews (`his`), and the expected counts (`diff`)."""
        states = sum(memory.states.numel() for memory in history.memory) if self.config.his else 0
        counts = sum(2 * memory.expected.numel() for memory in history.memory) if self.config.diff else 0
        return states + counts + sum(memory.tokens.numel() for memory in history.memory)

    def output_change(self, model: PreTrainedModel, batch: Batch) -> MemoryChange:
        """Return what the adapter does to the logits of a batch, whose users' past may be empty."""
        return MemoryChange(self, model, batch.memory or [None] * len(batch.ids), batch.keys)

    def word_differences(self, memory: Memory) -> Tensor:
        """Return λ log((C + a) / (Ê + a)) [V] of a user, times the strength of *diff*."""
        empty_V, numbers = torch.zeros_like(self.bias), self.numbers
        found_V = empty_V.index_add(0, memory.tokens, torch.ones_like(memory.tokens, dtype=empty_V.dtype))
        expected_V = empty_V.index_add(0, memory.expected_ids, memory.expected.to(empty_V)) * self.bias.exp()
        prior = numbers["diff_prior"].exp()
        weight = memory.strength[1] * numbers["diff_weight"].exp()
        return weight * ((found_V + prior) / (expected_V + prior)).log()

    @property
    def own_numbers(self) -> dict[str, Tensor]:
        """The numbers of recall from a user's own past."""
        return {name: self.numbers[f"his_{name}"] for name in START}

    @property
    def recall_numbers(self) -> list[Tensor]:
        """All numbers of recall that act: from the user's own past, and from others' reviews."""
        own = self.own_numbers.values() if self.config.his else ()
        return [*own, *(self.others.numbers.values() if self.others is not None else ())]


@dataclass(frozen=True)
class MemoryChange:
    """The change of one batch's logits; see `OutputChange`.

    What does not depend on the position is computed once, for all tokens that are generated.
    """

    adapter: MemoryAdapter
    model: PreTrainedModel
    memory: list[Memory | None]
    keys: list[str]

    def log_probs(self, hidden_MD: Tensor, rows_M: Tensor) -> Tensor:
        """Compute log probabilities [M, V] of the next token."""
        p_MV = self.before_recall(hidden_MD, rows_M).exp()
        for lookup in self.lookups(hidden_MD, rows_M):
            at_R, mixed = lookup.at, lookup.recalled
            mixed_RV = mixed.left[:, None] * p_MV[at_R]
            p_MV = p_MV.index_copy(0, at_R, mixed_RV.scatter_add(1, mixed.tokens, mixed.weights))
        return p_MV.clamp_min(torch.finfo(p_MV.dtype).tiny).log()

    def nll(self, hidden_MD: Tensor, rows_M: Tensor, targets_M: Tensor, weights_M: Tensor) -> Tensor:
        """Compute -Σ weight log P(target) [B] of each row's positions."""
        left_M, hit_M = (hidden_MD.new_full((len(hidden_MD),), value, dtype=torch.float32) for value in (1, 0))
        for lookup in self.lookups(hidden_MD, rows_M):
            at_R, mixed = lookup.at, lookup.recalled
            hit_M = hit_M.index_copy(0, at_R, mixed.left * hit_M[at_R] + mixed.probability_of(targets_M[at_R]))
            left_M = left_M.index_copy(0, at_R, mixed.left * left_M[at_R])
        return row_nll(
            lambda x_RD: head_logits(self.model, x_RD), self._corrected(hidden_MD), self._added,
            left_M, hit_M, rows_M, targets_M, weights_M,
        )  # fmt: skip

    def before_recall(self, hidden_MD: Tensor, rows_M: Tensor) -> Tensor:
        """Compute log probabilities [M, V] of the next token, corrected and with word differences."""
        logits_MV = head_logits(self.model, self._corrected(hidden_MD)).to(self.adapter.bias)
        return (logits_MV + self._added[rows_M]).log_softmax(-1)

    def _corrected(self, hidden_MD: Tensor) -> Tensor:
        """Return h' [M, D], corrected for all users."""
        adapter, hidden_MD = self.adapter, hidden_MD.to(self.adapter.shift)
        return hidden_MD + F.silu(hidden_MD @ adapter.down.T) @ adapter.up.T + adapter.shift

    @cached_property
    def _added(self) -> Tensor:
        """What each row of the batch adds to its logits [B, V]: the bias, and the user's word differences."""
        adapter = self.adapter
        none_V = torch.zeros_like(adapter.bias)
        past = self.memory if adapter.config.diff else [None] * len(self.memory)
        return adapter.bias + torch.stack([none_V if one is None else adapter.word_differences(one) for one in past])

    @cached_property
    def _places(self) -> list[Places | None]:
        """The past of each row of the batch, in the dtype of the adapter."""
        like = self.adapter.shift
        return [None if one is None else Places.of(one.tokens, one.states.to(like)) for one in self.memory]

    def lookups(self, hidden_MD: Tensor, rows_M: Tensor) -> Iterator[Lookup]:
        """Yield what is mixed into the probabilities of positions: first others' words, then the user's own."""
        hidden_MD = hidden_MD.to(self.adapter.shift)
        if (others := self.adapter.others) is not None:
            similar = others.similar(hidden_MD, [self.keys[row] for row in rows_M.tolist()])
            yield Lookup(torch.arange(len(hidden_MD), device=hidden_MD.device), similar, dict(others.numbers.items()))
        for row in rows_M.unique().tolist() if self.adapter.config.his else ():
            memory, places = self.memory[row], self._places[row]
            if memory is not None and places is not None:
                at_R = (rows_M == row).nonzero()[:, 0]
                similar = similar_places(hidden_MD[at_R], places)
                yield Lookup(at_R, similar, self.adapter.own_numbers, memory.strength[0])
