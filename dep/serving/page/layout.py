"""Puts the page together: the choice of a user and an item, and the tabs."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from dep.serving.page import markup
from dep.serving.page.reviews import RunReviews
from dep.serving.page.systems import Systems
from dep.serving.page.write_tab import WriteTab

STYLE = Path(__file__).with_name("page.css")
_SHOWN = 8
"""Number of past reviews that the page shows."""


def build(reviews: RunReviews, systems: Systems, run: str) -> gr.Blocks:
    """Build the page.

    Args:
        reviews: the users of the run.
        systems: the systems that write.
        run: the run's name.
    """
    ours = systems.all[-1].personalizer
    first = next(iter(reviews.users))
    items = reviews.items(first)

    def past(user: str, item: str) -> str:
        return markup.reviews(reviews.before(user, item)[:_SHOWN])

    with gr.Blocks(title=f"dep · {run}", analytics_enabled=False) as page:
        gr.HTML(markup.heading(run, ours.arm.label, Path(ours.arm.config.backbone.name_or_path).name))
        with gr.Row():
            user = gr.Dropdown(list(reviews.users), value=first, label="User", elem_id="user", min_width=200)
            item = gr.Dropdown(
                items, value=items[0][1], label="Item, or the title of another one",
                allow_custom_value=True, elem_id="item", scale=2, min_width=240,
            )  # fmt: skip
        with gr.Tab("Write"):
            tab = WriteTab(reviews, systems)
            tab.build(user, item)
        with gr.Tab("Reviews"):
            history = gr.HTML(elem_id="history")

        def choose_user(name: str) -> gr.Dropdown:
            found = reviews.items(name)
            return gr.Dropdown(found, value=found[0][1])

        filled = [tab.rating, tab.title, *tab.texts]
        for chosen in (
            page.load,
            user.input(choose_user, user, item, show_progress="hidden").then,
            item.input,
        ):
            chosen(tab.chosen, [user, item], filled, show_progress="hidden")
            chosen(past, [user, item], history, show_progress="hidden")
    return page
