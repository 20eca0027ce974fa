"""The tab in which three systems write a review side by side."""

from __future__ import annotations

from collections.abc import Iterator

import gradio as gr

import dep
from dep.serving.page.reviews import RunReviews
from dep.serving.page.systems import Systems
from dep.utils.errors import DepError

QUEUE = "llm"
"""The queue of all events that use the LLM, one at a time."""


class WriteTab:
    """Lets the three systems write a review, and scores the real one.

    Args:
        reviews: the users of the run.
        systems: the systems.
    """

    def __init__(self, reviews: RunReviews, systems: Systems) -> None:
        self.reviews, self.systems = reviews, systems

    def build(self, user: gr.Dropdown, item: gr.Dropdown) -> None:
        """Add the tab's controls to the page; `user` and `item` choose whose review of what is written."""
        with gr.Row():
            self.rating = gr.Slider(1, 5, 5, step=0.5, label="Rating", elem_id="rating", min_width=200)
            self.title = gr.Textbox(label="Title of the review", elem_id="title", max_lines=1, scale=2, min_width=240)
        with gr.Accordion("Strength and seed", open=False, elem_id="settings"):
            gr.Markdown(
                "At 1 the adapter reads the user's vectors as in its training. At 0 it reads none, and above 1 what "
                "sets the user apart is exaggerated."
            )
            with gr.Row():
                self.his = gr.Slider(0, 3, 1, step=0.25, label="his: the reviews themselves", elem_id="his")
                self.diff = gr.Slider(0, 3, 1, step=0.25, label="diff: differences from others", elem_id="diff")
                self.seed = gr.Slider(0, 99, 0, step=1, label="Seed", elem_id="seed")
        with gr.Row():
            write = gr.Button("Write", variant="primary", elem_id="write", min_width=120)
            stop = gr.Button("Stop", elem_id="stop", min_width=120)
        with gr.Row(elem_classes="dep-texts"):
            texts = [
                gr.Textbox(label=one.label, elem_id=f"text-{one.name}", lines=7, max_lines=14, interactive=False,
                           buttons=["copy"], min_width=260, placeholder="…")
                for one in self.systems.all
            ]  # fmt: skip
        self.texts = texts
        asked = [user, item, self.rating, self.title, self.seed, self.his, self.diff]
        writing = write.click(self.write, asked, texts, concurrency_id=QUEUE, concurrency_limit=1)
        stop.click(None, cancels=writing)

    def chosen(self, user: str, item: str) -> tuple[float, str, str, str, str]:
        """Return the rating and title of the user's own review of the item, and three empty texts."""
        real = self.reviews.real(user, item)
        rating = real.rating if real is not None and real.rating == real.rating else 5.0
        return rating, real.title if real else "", "", "", ""

    def write(
        self, user: str, item: str, rating: float, title: str, seed: float, his: float, diff: float
    ) -> Iterator[list[str]]:
        """Yield the three texts so far."""
        ask = self.reviews.ask(user, item, rating, title, int(seed))
        try:
            yield from self.systems.write(ask, dep.Strength(his, diff))
        except DepError as error:
            raise shown(error) from error


def shown(error: DepError) -> gr.Error:
    """Return an error that the page shows as text."""
    from html import escape

    return gr.Error(escape(str(error)), print_exception=False)
