"""Generates texts with the frozen LLM from prompts with soft tokens.

Every request has its own stream of random numbers, seeded by (seed, key). Its text therefore depends neither on other
requests in its batch nor on earlier batches. With temperature τ and nucleus mass p, a token is drawn by

    P = softmax(logits / τ);  N = the smallest set of most likely tokens with mass >= p
    u ~ U(0, 1);  token = the first v, in vocabulary order, with Σ_{w in N, w <= v} P_w > u · Σ_{w in N} P_w

This is an exact draw from P, renormalised over N. It needs only one random number, whereas Gumbel noise needs one for
each entry of the vocabulary.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import groupby

import torch
from torch import Tensor
from transformers import LogitsProcessor, PreTrainedModel, PreTrainedTokenizerBase

from dep.data.prompts.chat_frame import without_thinking
from dep.inference.capabilities import capabilities
from dep.inference.changed_output import ChangedReading
from dep.inference.contrast import contrast
from dep.inference.decoding import Reading, Reference, common_beginning, decode, generate
from dep.inference.prefix_store import PrefixStore
from dep.inference.settings import GenerateConfig
from dep.models.backbones.vocabulary import suppressed_ids
from dep.models.soft_prompt import SoftPrompt
from dep.types import Batch, Prompt
from dep.utils.errors import DepError
from dep.utils.progress import stage


class RequestSampler(LogitsProcessor):
    """Chooses the next token of each text, which is drawn by the request's own random stream or the most likely one."""

    def __init__(self, config: GenerateConfig, keys: Sequence[str], suppressed: Sequence[int]) -> None:
        """Open a random stream for each request in `keys`; the ids `suppressed` are never chosen."""
        self.config = config
        self.streams = [random.Random(f"{config.seed}/{key}") for key in keys]
        self.suppressed = torch.tensor(list(suppressed), dtype=torch.long)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores [B, V] that make `transformers.generate` take the chosen token: 0 there, else -inf."""
        return torch.full_like(scores, -torch.inf).scatter(1, self.draw(scores), 0.0)

    def keep(self, rows: list[int]) -> None:
        """Keep only the streams of the texts at the indices `rows`."""
        self.streams = [self.streams[row] for row in rows]

    def draw(self, logits_BV: Tensor) -> Tensor:
        """Choose the next token of each text; return ids [B, 1]."""
        scores_BV = logits_BV.index_fill(1, self.suppressed.to(logits_BV.device), -torch.inf)
        u_B1 = torch.tensor([[stream.random()] for stream in self.streams], dtype=torch.float64)
        if self.config.greedy or self.config.temperature == 0:
            return scores_BV.argmax(-1, keepdim=True)
        return nucleus_draw(scores_BV / self.config.temperature, self.config.top_p, u_B1.to(scores_BV.device))


def nucleus_draw(logits_BV: Tensor, top_p: float, u_B1: Tensor) -> Tensor:
    """Return the token ids [B, 1] that the uniform random numbers `u_B1` draw from the nucleus of softmax(logits)."""
    p_BV = logits_BV.double().softmax(-1)
    sorted_BV, order_BV = p_BV.sort(descending=True, stable=True)
    inside_BV = sorted_BV.cumsum(-1) - sorted_BV < top_p
    keep_BV = torch.zeros_like(inside_BV).scatter(1, order_BV, inside_BV)
    cdf_BV = p_BV.masked_fill(~keep_BV, 0.0).cumsum(-1)
    token_B1 = torch.searchsorted(cdf_BV, u_B1 * cdf_BV[:, -1:], right=True)
    # u < 1, but the product may round up to the total mass
    return torch.where(token_B1 < p_BV.shape[1], token_B1, order_BV[:, :1])


class Generate:
    """Writes one text for each prompt."""

    def __init__(
        self,
        config: GenerateConfig,
        backbone: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        soft_prompt: SoftPrompt,
        prefixes: PrefixStore | None = None,
    ) -> None:
        """Store the parts, which must be on one device.

        Args:
            config: the settings of generation.
            backbone: the LLM, from `backbones.load`.
            tokenizer: the backbone's tokenizer.
            soft_prompt: the soft prompt, from `build_soft_prompt`, trained or not.
            prefixes: kept beginnings of prompts; None if no beginnings are kept.

        Raises:
            DepError: `generate.contrast` is set, but the adapter cannot be switched off or on for a row of a batch.
        """
        alike = soft_prompt.prefix_safe or (soft_prompt.adapter is not None and soft_prompt.adapter.rows_alike)
        if config.contrast and not alike:
            raise DepError(
                f"generate.contrast={config.contrast:g}", "an adapter that treats all rows of a batch alike",
                "one that attends to each user's memory in the LLM's layers", "set generate.contrast=0",
            )  # fmt: skip
        self.prefixes = prefixes
        self.config = config
        self.backbone = backbone
        self.tokenizer = tokenizer
        self.soft_prompt = soft_prompt
        self.suppressed = suppressed_ids(backbone, tokenizer)
        stop = backbone.generation_config.eos_token_id
        self.stop = sorted({tokenizer.eos_token_id, *(stop if isinstance(stop, list) else [stop])} - {None})

    def __call__(
        self,
        prompts: Sequence[Prompt],
        collate: Callable[[Sequence[Prompt]], Batch],
        plain: Sequence[Prompt] | None = None,
    ) -> Iterator[tuple[str, str]]:
        """Generate one text for each prompt, beginning with the longest prompts.

        Args:
            prompts: the prompts; their targets are not used.
            collate: makes a left-padded batch of prompts without their targets.
            plain: the same prompts without soft tokens, with which `generate.contrast` compares.

        Yields:
            Pairs (key, text), batch by batch, so that a caller can store the texts and later continue with the rest.

        Raises:
            ValueError: `collate` pads on the right.
        """
        waiting = sorted(prompts, key=lambda prompt: (-prompt.computed, -len(prompt.ids)))
        with stage("generate", len(waiting), show=self.config.progress) as advance:
            plain_of = {prompt.key: prompt for prompt in plain or ()}
            for group in self._batches(waiting):
                batch = collate(group)
                base = collate([plain_of[prompt.key] for prompt in group]) if self.config.contrast else None
                yield from zip(batch.keys, self.texts(batch, base), strict=True)
                advance(len(batch.keys))

    def _batches(self, prompts: Sequence[Prompt]) -> Iterator[Sequence[Prompt]]:
        """Yield batches of the sorted prompts, each with prompts of one length if padding is not exact for the LLM."""
        groups = [prompts]
        if not capabilities(self.backbone).padding:
            groups = [list(group) for _, group in groupby(prompts, key=lambda prompt: len(prompt.ids))]
            if self.config.contrast:  # plain prompts of prompts of one length may differ in length
                groups = [[prompt] for prompt in prompts]
        for group in groups:
            for start in range(0, len(group), self.config.batch_size):
                yield group[start : start + self.config.batch_size]

    @torch.no_grad()
    def texts(self, batch: Batch, base: Batch | None = None, sampler: RequestSampler | None = None) -> list[str]:
        """Generate one text for each prompt of a left-padded batch without targets.

        Args:
            batch: the prompts.
            base: the same prompts without soft tokens, for `generate.contrast`.
            sampler: chooses the tokens; None draws them with the streams of the keys of `batch`.

        Raises:
            DepError: the batch is padded on the right.
        """
        if not bool((batch.attention_mask[:, -1] == 1).all()):
            raise DepError("generation: expected prompts padded on the left, found padding at the end of a row")
        batch = batch.to(self.backbone.device)
        embeds_BTD = self.soft_prompt(batch, self.backbone.get_input_embeddings()).inputs_embeds
        sampler = sampler or RequestSampler(self.config, batch.keys, self.suppressed)
        longest, mode = self.config.max_new_tokens, capabilities(self.backbone).decoding
        if self.config.contrast:
            assert base is not None, "the plain prompts come with those of the adapter"
            own = self._reading(batch, embeds_BTD, partial(self.soft_prompt.attached, self.backbone, batch))
            rows = decode(own, sampler, self.stop, longest, self._reference(base.to(self.backbone.device)))
        elif (change := self.soft_prompt.output_change(self.backbone, batch)) is not None:
            changed = ChangedReading(change, self.backbone, embeds_BTD, batch.attention_mask, rereads=mode != "cache")
            rows = decode(changed, sampler, self.stop, longest)
        elif mode == "cache" and self.soft_prompt.prefix_safe:
            rows = decode(self._reading(batch, embeds_BTD), sampler, self.stop, longest)
        else:
            with self.soft_prompt.attached(self.backbone, batch):
                if mode == "reread":
                    reading = Reading(self.backbone, embeds_BTD, batch.attention_mask, rereads=True)
                    rows = decode(reading, sampler, self.stop, longest)
                else:
                    pad = self.tokenizer.pad_token_id
                    rows = generate(
                        self.backbone, embeds_BTD, batch.attention_mask, sampler, self.stop, longest, pad
                    )  # fmt: skip
        return [decoded(self.tokenizer, row, self.stop) for row in rows]

    def _reading(
        self, batch: Batch, embeds_BTD: Tensor, attached: Callable[[], AbstractContextManager[object]] = nullcontext
    ) -> Reading:
        """Prepare to read a batch, inside `attached` and with the beginnings that are kept or common to all prompts."""
        mask_BT, rereads = batch.attention_mask, capabilities(self.backbone).decoding != "cache"
        kept = None
        if self.prefixes is not None and self.soft_prompt.prefix_safe and not rereads:
            kept = self.prefixes.of_batch(self.backbone, batch)
        shared = common_beginning(batch.ids, mask_BT, self.soft_prompt.injected_ids) if kept is None else 0
        return Reading(self.backbone, embeds_BTD, mask_BT, shared, kept, attached, rereads)

    def _reference(self, base: Batch) -> Reference:
        """Prepare to read the plain prompts without the adapter, and to contrast with what is read."""
        embeds_BTD = self.backbone.get_input_embeddings()(base.ids)
        without = partial(self.soft_prompt.reference, self.backbone)

        def mix(user_BV: Tensor, base_BV: Tensor) -> Tensor:
            never = torch.tensor(self.suppressed, dtype=torch.long, device=user_BV.device)
            user_BV, base_BV = (logits.index_fill(1, never, -torch.inf) for logits in (user_BV, base_BV))
            return contrast(user_BV, base_BV, self.config.contrast, self.config.contrast_floor)

        return Reference(self._reading(base, embeds_BTD, without), mix)


def decoded(tokenizer: PreTrainedTokenizerBase, ids: list[int], stop: Sequence[int]) -> str:
    """Decode generated ids to text, up to the first stop token and without the model's thoughts."""
    end = next((i for i, token in enumerate(ids) if token in stop), len(ids))
    return without_thinking(str(tokenizer.decode(ids[:end], skip_special_tokens=True)))
