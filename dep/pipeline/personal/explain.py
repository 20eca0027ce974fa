"""Explains a text: which past reviews, peers, vectors and latents made it likelier, each left out in turn.

    change = NLL(text | all but one part) - NLL(text | all)        in nats per token

A part with a positive change made the text likelier, and one with a negative change less likely. A latent is a unit of
the adapter's compressor (Eq. 5). It is left out by setting it to zero for all past reviews. There are hundreds of
latents, so that only those are left out whose effect a gradient estimates to be largest:

    estimate_u = |Σ_vectors z_u · ∂NLL/∂z_u|

Parts interact: two past reviews that say the same have small changes each, and changes do not add up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from dep.models.compressors.base import Compressed
from dep.pipeline.personal.inputs import Ask, PastReview
from dep.pipeline.personal.latents import compressor_of, latents_changed
from dep.pipeline.personal.users import Background
from dep.utils.progress import stage

if TYPE_CHECKING:
    from dep.pipeline.personal.requests import RequestBuilder
    from dep.pipeline.personal.writer import Writer

Kind = Literal["review", "peer", "vectors", "latent"]
_WIDEST = 60
"""Number of characters of a part's name in a table."""


@dataclass(frozen=True)
class Part:
    """Something that the text was written from.

    Args:
        kind: a past `review` (its text and its vectors), a `peer` (or all peers of a review, if the store knows only
            their mean), the `vectors` of a branch, or a `latent`.
        name: the title of the reviewed item, the beginning of the peer's text, the branch, or the latent's number.
        change: how much the NLL of the text rises without the part, in nats per token.
        at: the index of the past review in the history, or the number of the latent; None for `vectors`.
    """

    kind: Kind
    name: str
    change: float
    at: int | None = None


@dataclass(frozen=True)
class Explanation:
    """Why a text is as likely as it is; it prints as a table.

    Args:
        nll: the NLL of the text with all parts, in nats per token.
        parts: the parts, the largest change first.
    """

    nll: float
    parts: tuple[Part, ...]

    def of(self, kind: Kind) -> list[Part]:
        """Return the parts of one kind, the largest change first."""
        return [part for part in self.parts if part.kind == kind]

    def __str__(self) -> str:
        rows = [("part", "left out", "change of NLL"), *((p.kind, p.name, f"{p.change:+.4f}") for p in self.parts)]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}" for a, b, c in rows]
        return "\n".join([f"NLL of the text: {self.nll:.4f} nats per token", *lines])


@dataclass(frozen=True)
class _Variant:
    """An ask without one part, or with a latent set to zero."""

    kind: Kind
    name: str
    at: int | None
    ask: Ask
    known: Background


def explain(
    requests: RequestBuilder, writer: Writer, ask: Ask, text: str, latents: int, peers: int, progress: bool
) -> Explanation:
    """Explain a text; `Personalizer.explain` documents the arguments."""
    known = requests.used(ask)
    variants = list(_variants(requests, ask, known, peers))
    compressor = compressor_of(writer.module.soft_prompt.adapter)
    request = requests.build(ask, known)
    units = [] if compressor is None else _units(compressor, lambda: writer.loss([request], [text]).sum(), latents)
    with stage("explain", 1 + len(variants) + len(units), show=progress) as advance:

        def nlls(asked: Sequence[tuple[Ask, Background]]) -> list[float]:
            found: list[float] = []
            for start in range(0, len(asked), writer.settings.batch_size):
                some = [requests.build(*pair) for pair in asked[start : start + writer.settings.batch_size]]
                found += writer.nll(some, [text] * len(some), [ask] * len(some))
                advance(len(some))
            return found

        whole, *without = nlls([(ask, known), *((variant.ask, variant.known) for variant in variants)])
        parts = [Part(v.kind, v.name, nll - whole, v.at) for v, nll in zip(variants, without, strict=True)]
        most = writer.settings.batch_size
        for some in (units[at : at + most] for at in range(0, len(units), most)):
            assert compressor is not None, "there are units"
            with _zeroed(compressor, some):
                found = nlls([(ask, known)] * len(some))
            parts += [Part("latent", f"latent {u}", nll - whole, u) for u, nll in zip(some, found, strict=True)]
    return Explanation(whole, tuple(sorted(parts, key=lambda part: -abs(part.change))))


def _variants(requests: RequestBuilder, ask: Ask, known: Background, peers: int) -> Iterator[_Variant]:
    history = list(known.history)
    for at, past in enumerate(history):
        rest = known._replace(history=[*history[:at], *history[at + 1 :]])
        yield _Variant("review", _short(past.item), at, ask, rest)
    for branch in ("his", "diff"):
        strength = getattr(ask.strength, branch)
        if strength and requests.scales(branch):
            off = replace(ask.strength, **{branch: 0.0})
            yield _Variant("vectors", branch, None, replace(ask, strength=off), known)
    if not requests.reads("diff") or not ask.strength.diff:
        return
    left = peers
    for at, past in enumerate(history):
        for name, without in _without_peers(past):
            if left:
                others = known._replace(history=[*history[:at], without, *history[at + 1 :]])
                yield _Variant("peer", f"{_short(past.item, 20)}: {_short(name, _WIDEST - 22)}", at, ask, others)
                left -= 1


def _without_peers(past: PastReview) -> Iterator[tuple[str, PastReview]]:
    """Yield the past review without each of its peers, or without all of them if only their mean is known."""
    if past.peers:
        for at, peer in enumerate(past.peers):
            yield peer, replace(past, peers=[*past.peers[:at], *past.peers[at + 1 :]], vectors=None, peer_count=0)
    elif past.vectors is not None and past.vectors[1] is not None:
        yield f"all {past.peer_count} peers", replace(past, vectors=(past.vectors[0], None), peer_count=0)


def _short(text: str, width: int = _WIDEST) -> str:
    text = " ".join(text.split())
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _units(compressor: nn.Module, loss: Callable[[], Tensor], count: int) -> list[int]:
    """Return the latents whose effect on the loss a gradient estimates to be largest, the largest first."""
    latents: list[Tensor] = []

    def watch(module: nn.Module, args: object, output: Compressed) -> None:
        if output.latent.requires_grad:
            latents.append(output.latent)

    with compressor.register_forward_hook(watch), torch.enable_grad():
        gradients = torch.autograd.grad(loss(), latents, allow_unused=True) if count else ()
    if not latents:
        return []
    effects = [(z.detach() * g).flatten(0, -2).sum(0) for z, g in zip(latents, gradients, strict=True) if g is not None]
    effect_Z = torch.stack(effects).sum(0).abs()
    order = effect_Z.argsort(descending=True).tolist()
    return [unit for unit in order[:count] if effect_Z[unit] > 0]


def _zeroed(compressor: nn.Module, units: Sequence[int]) -> AbstractContextManager[None]:
    """Return a context in which the n-th of some latents is zero for all vectors of a batch's n-th row."""

    def zero(latent_BKZ: Tensor) -> None:
        latent_BKZ[torch.arange(len(units)), :, torch.tensor(units)] = 0.0

    return latents_changed(compressor, zero)
