"""Writes the page's HTML. Every text of a review passes through `html.escape`, so that it can hold no markup."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from html import escape

from dep.serving.page.reviews import Shown
from dep.serving.page.words import TOKEN
from dep.types import Item, Review

_SHOWN_PEERS = 2
"""Number of peers' reviews that are shown at once; the others unfold."""


def heading(run: str, label: str, backbone: str) -> str:
    """Write the first lines of the page."""
    return (
        f'<div class="dep-head"><h1>Who wrote this?</h1><p>Run <b>{escape(run)}</b>: {escape(label)} beside the same '
        f"frozen language model (<b>{escape(backbone)}</b>) without it.</p></div>"
    )


def stars(rating: float) -> str:
    """Write a rating as stars; empty where it is missing."""
    if math.isnan(rating):
        return ""
    full = round(rating)
    return f'<span class="dep-stars" title="{rating:g} of 5">{"★" * full}{"☆" * (5 - full)}</span>'


def marked(text: str, words: Collection[str]) -> str:
    """Write a text with some of its words marked."""
    pieces, end = [], 0
    for match in TOKEN.finditer(text) if words else ():
        if match[0].lower() in words:
            pieces += [escape(text[end : match.start()]), f"<mark>{escape(match[0])}</mark>"]
            end = match.end()
    return "".join([*pieces, escape(text[end:])])


def reviews(
    shown: Sequence[Shown], own_words: Collection[str] = (), other_words: Collection[str] = (), peers: bool = True
) -> str:
    """Write past reviews, each beside what others wrote about the same item.

    Args:
        shown: the reviews.
        own_words: words to mark in the user's reviews.
        other_words: words to mark in the others' reviews.
        peers: whether the others' reviews are shown.
    """
    if not shown:
        return '<p class="dep-note">This user wrote nothing before this review.</p>'
    return f'<div class="dep-reviews">{"".join(_card(one, own_words, other_words, peers) for one in shown)}</div>'


def _card(one: Shown, own_words: Collection[str], other_words: Collection[str], peers: bool) -> str:
    own = f'<div class="dep-own">{_review(one.review, own_words)}</div>'
    both = f'<div class="dep-pair">{own}{_others(one, other_words)}</div>' if peers else own
    return f'<article class="dep-card"><h3>{escape(one.item.title)}</h3>{both}</article>'


def _review(review: Review, words: Collection[str]) -> str:
    title = f"<b>{marked(review.title, words)}</b>" if review.title else ""
    return f"<p>{stars(review.rating)} {title}</p><p>{marked(review.text, words)}</p>"


def _others(one: Shown, words: Collection[str]) -> str:
    if not one.peers:
        return '<div class="dep-others dep-note">Nobody else reviewed this item.</div>'
    texts = [f"<li>{stars(peer.rating)} {marked(peer.text, words)}</li>" for peer in one.peers]
    first, rest = "".join(texts[:_SHOWN_PEERS]), "".join(texts[_SHOWN_PEERS:])
    more = f"<details><summary>{len(one.peers) - _SHOWN_PEERS} more</summary><ul>{rest}</ul></details>" if rest else ""
    noun = "other" if len(one.peers) == 1 else "others"
    return f'<div class="dep-others"><p class="dep-note">{len(one.peers)} {noun}</p><ul>{first}</ul>{more}</div>'


def request(item: Item, rating: float, title: str) -> str:
    """Write what a review is asked for: the item, the rating and the title."""
    asked = f" “{escape(title)}”" if title else ""
    return f'<p class="dep-request">A review of <b>{escape(item.title)}</b>, {stars(rating)}{asked}</p>'


def note(text: str) -> str:
    """Write a sentence."""
    return f'<p class="dep-note">{escape(text)}</p>'


def bars(rows: Sequence[tuple[str, float, str]], kind: str = "") -> str:
    """Write a chart of horizontal bars.

    Args:
        rows: a name, a length of 0 or more, and what is written beside the bar.
        kind: an additional class of the chart, which chooses the colour.
    """
    longest = max((length for _, length, _ in rows), default=0.0) or 1.0
    lines = [
        f'<tr><th>{escape(name)}</th><td class="dep-bar"><i style="width:{100 * length / longest:.1f}%"></i></td>'
        f"<td>{escape(value)}</td></tr>"
        for name, length, value in rows
    ]
    return f'<table class="dep-bars {kind}"><tbody>{"".join(lines)}</tbody></table>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table."""
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    lines = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    inside = f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="dep-scroll"><table class="dep-table">{inside}</table></div>'
