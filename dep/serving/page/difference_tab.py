"""The tab that shows what sets a user apart: words, the latents of the adapter, and both in past reviews."""

from __future__ import annotations

import gradio as gr

from dep.serving.page import markup
from dep.serving.page.latents import Latent, Latents
from dep.serving.page.reviews import RunReviews, Shown
from dep.serving.page.words import Word, log_odds

_SHOWN = 8
"""Number of past reviews that the page shows."""
_WORDS = 10
"""Number of words in each chart."""
_MARKED = 12
"""Number of words that are marked in the reviews."""
_SURE = 1.0
"""The smallest z of a word that is shown."""


class DifferenceTab:
    """Shows a user's past reviews, the others' on the same items, and the difference.

    Args:
        reviews: the users of the run.
        latents: the adapter's latents.
    """

    def __init__(self, reviews: RunReviews, latents: Latents) -> None:
        self.reviews, self.latents = reviews, latents

    def build(self) -> list[gr.HTML]:
        """Add the tab's parts to the page; return what `show` fills."""
        with gr.Row():
            with gr.Column(min_width=280):
                gr.Markdown("### More often than others on the same items")
                more = gr.HTML(elem_id="words-more")
            with gr.Column(min_width=280):
                gr.Markdown("### Less often than others")
                less = gr.HTML(elem_id="words-less")
        gr.Markdown("### Latents that are most active for this user", visible=bool(self.latents))
        latents = gr.HTML(elem_id="latents", visible=bool(self.latents))
        gr.Markdown("### Past reviews, newest first, and others on the same items")
        return [more, less, latents, gr.HTML(elem_id="history")]

    def show(self, user: str, item: str) -> list[str]:
        """Return the words of the user and of the others, the latents, and the reviews, as HTML."""
        shown = self.reviews.before(user, item)
        compared = [one for one in shown if one.peers]
        words = log_odds([one.review.text for one in compared], [peer.text for one in compared for peer in one.peers])
        more, less = [w for w in words if w.z > _SURE], [w for w in reversed(words) if w.z < -_SURE]
        return [
            _chart(more[:_WORDS], compared, ""),
            _chart(less[:_WORDS], compared, "others"),
            _latents(self.active(user, item)),
            markup.reviews(shown[:_SHOWN], {w.word for w in more[:_MARKED]}, {w.word for w in less[:_MARKED]}),
        ]

    def active(self, user: str, item: str, count: int = 6) -> list[Latent]:
        """Return the latents that are most active for a user."""
        if not self.latents:
            return []
        return self.latents.active(*self.reviews.users[user], item, count, _SHOWN)


def _chart(words: list[Word], compared: list[Shown], kind: str) -> str:
    if not compared:
        return markup.note("Nobody else reviewed the items of this user, so that nothing can be compared.")
    if not words:
        return markup.note("No word stands out.")
    rows = [(w.word, abs(w.z), f"{w.own} : {w.others}") for w in words]
    explained = "Bars: log odds in standard errors; beside them, uses by this user : by the others."
    return markup.bars(rows, kind) + markup.note(explained)


def _latents(latents: list[Latent]) -> str:
    if not latents:
        return markup.note("No latent is more active than for other users.")
    rows = [(one.label, one.z, f"+{one.z:.1f}") for one in latents]
    explained = (
        "Bars: the mean activation in this user's vectors, in standard deviations above all reviews. The words are "
        "those of reviews with the highest activation."
    )
    return markup.bars(rows, "plain latents") + markup.note(explained)
