"""The tab in which three systems write a review side by side, and in which a text's likelihood is computed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from html import escape

import gradio as gr

import dep
from dep.serving.page import markup
from dep.serving.page.difference_tab import DifferenceTab
from dep.serving.page.reviews import RunReviews
from dep.serving.page.systems import Systems
from dep.types import Branch
from dep.utils.errors import DepError

QUEUE = "llm"
"""The queue of all events that use the LLM, one at a time."""
_SLIDERS = 3
"""Number of latents with a slider."""
_STRENGTH = """At 1 the adapter reads the user's vectors as in its training, and at 0 it reads none. Values above 1
exaggerate what sets the user apart."""
_FIXED = "This adapter reads no vectors of the user, so there is no strength that could be changed."
_LATENTS = """These latents are most active for this user; the words are those of reviews in which a latent is active. A
slider multiplies its latent in all vectors of the prompt."""


_BRANCHES: dict[Branch, str] = {"his": "his: the reviews", "diff": "diff: differences"}
"""The label of each branch's slider."""


class WriteTab:
    """Lets the three systems write a review, and scores the real one.

    Args:
        reviews: the users of the run.
        systems: the systems.
        differences: knows the latents that are most active for a user.
    """

    def __init__(self, reviews: RunReviews, systems: Systems, differences: DifferenceTab) -> None:
        self.reviews, self.systems, self.differences = reviews, systems, differences
        self.latents = differences.latents

    def build(self, user: gr.Dropdown, item: gr.Dropdown) -> list[gr.components.Component]:
        """Add the tab's controls to the page.

        Args:
            user: chooses the user.
            item: chooses the item.

        Returns:
            What `chosen` fills.
        """
        ours = self.systems.all[-1].personalizer
        with gr.Row():
            rating = gr.Slider(1, 5, 5, step=0.5, label="Rating", elem_id="rating", min_width=200)
            title = gr.Textbox(label="Title of the review", elem_id="title", max_lines=1, scale=2, min_width=240)
        with gr.Accordion("Strengths, latents and seed", open=False, elem_id="settings"):
            gr.Markdown(_STRENGTH if any(map(ours.scales, _BRANCHES)) else _FIXED, elem_id="on-strength")
            with gr.Row():
                his, diff = (
                    gr.Slider(
                        0, 3, 1, step=0.25, label=label, elem_id=branch, min_width=220, visible=ours.scales(branch)
                    )
                    for branch, label in _BRANCHES.items()
                )
                seed = gr.Slider(0, 99, 0, step=1, label="Seed", elem_id="seed", min_width=220)
            gr.Markdown(_LATENTS, visible=bool(self.latents))
            with gr.Row(visible=bool(self.latents)):
                sliders = [
                    gr.Slider(0, 5, 1, step=0.25, visible=False, elem_id=f"latent-{at}", min_width=220)
                    for at in range(_SLIDERS)
                ]
        units = gr.State([])
        with gr.Row():
            write = gr.Button("Write", variant="primary", elem_id="write", min_width=120)
            stop = gr.Button("Stop", elem_id="stop", min_width=120)
        with gr.Row():
            texts = [
                gr.Textbox(label=one.label, elem_id=f"text-{one.name}", lines=6, max_lines=14, interactive=False,
                           buttons=["copy"], min_width=260)
                for one in self.systems.all
            ]  # fmt: skip
        real = gr.Textbox(
            label="The real review, or a text of your own", elem_id="real", lines=3, max_lines=14, interactive=True
        )
        score = gr.Button("How likely is this text?", elem_id="score")
        likelihood = gr.HTML(elem_id="likelihood")
        asked = [user, item, rating, title, seed, his, diff, units, *sliders]
        writing = write.click(self.write, asked, texts, concurrency_id=QUEUE, concurrency_limit=1)
        stop.click(None, cancels=writing)
        score.click(self.score, [real, *asked], likelihood, concurrency_id=QUEUE, concurrency_limit=1)
        return [rating, title, *texts, real, likelihood, units, *sliders]

    def chosen(self, user: str, item: str) -> list[object]:
        """Return the rating, title and text of the user's own review of the item, and clear what was written."""
        real = self.reviews.real(user, item)
        rating = real.rating if real is not None and real.rating == real.rating else 5.0
        active = self.differences.active(user, item, _SLIDERS)
        sliders = [gr.Slider(label=one.label, value=1, visible=True) for one in active]
        hidden = [gr.Slider(value=1, visible=False) for _ in range(_SLIDERS - len(active))]
        empty = [""] * len(self.systems.all)
        title, text = (real.title, real.text) if real else ("", "")
        return [rating, title, *empty, text, "", [one.unit for one in active], *sliders, *hidden]

    def write(
        self, user: str, item: str, rating: float, title: str, seed: float, his: float, diff: float, units: list[int],
        *factors: float,
    ) -> Iterator[list[str]]:  # fmt: skip
        """Yield the three texts so far."""
        ask = self.reviews.ask(user, item, rating, title, int(seed))
        try:
            yield from self.systems.write(ask, dep.Strength(his, diff), self._scaled(units, factors))
        except DepError as error:
            raise shown(error) from error

    def score(
        self, text: str, user: str, item: str, rating: float, title: str, seed: float, his: float, diff: float,
        units: list[int], *factors: float,
    ) -> str:  # fmt: skip
        """Return the NLL of a text under each system, as HTML."""
        if not text.strip():
            return markup.note("Write a text first.")
        ask = self.reviews.ask(user, item, rating, title, int(seed))
        try:
            nlls = self.systems.likelihoods(ask, dep.Strength(his, diff), text, self._scaled(units, factors))
        except DepError as error:
            raise shown(error) from error
        labels = [one.label for one in self.systems.all]
        rows = [(label, nll, f"{nll:.3f}") for label, nll in zip(labels, nlls, strict=True)]
        likeliest = labels[nlls.index(min(nlls))]
        explained = f"Negative log likelihood in nats per token; lower is likelier. {likeliest} finds it likeliest."
        return markup.bars(rows, "plain") + markup.note(explained)

    def _scaled(self, units: list[int], factors: tuple[float, ...]) -> AbstractContextManager[None]:
        return self.latents.scaled(dict(zip(units, factors, strict=False)))


def shown(error: DepError) -> gr.Error:
    """Return an error that the page shows as text."""
    return gr.Error(escape(str(error)), print_exception=False)
