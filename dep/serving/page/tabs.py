"""Puts the page together: the choice of a user and an item, and the tabs."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from dep.pipeline.personal.users import RunUsers
from dep.serving.page import markup
from dep.serving.page.blind_tab import BlindTab
from dep.serving.page.difference_tab import DifferenceTab
from dep.serving.page.latents import Latents
from dep.serving.page.reviews import RunReviews
from dep.serving.page.systems import Systems
from dep.serving.page.votes import Votes
from dep.serving.page.write_tab import WriteTab

STYLE = Path(__file__).with_name("page.css")


def build(users: RunUsers, systems: Systems) -> gr.Blocks:
    """Build the page.

    Args:
        users: the users of the run.
        systems: the systems that write.
    """
    run = users.folder.resolve().parents[1]
    ours, reviews = systems.all[-1].personalizer, RunReviews(users)
    differences = DifferenceTab(reviews, Latents(ours, users))
    write = WriteTab(reviews, systems, differences)
    first = next(iter(reviews.users))
    items = reviews.items(first)
    with gr.Blocks(title=f"dep · {run.name}", analytics_enabled=False) as page:
        gr.HTML(markup.heading(run.name, ours.arm.label, Path(ours.arm.config.backbone.name_or_path).name))
        with gr.Row():
            user = gr.Dropdown(list(reviews.users), value=first, label="User", elem_id="user", min_width=200)
            item = gr.Dropdown(
                items, value=items[0][1], label="Item, or the title of another one", allow_custom_value=True,
                elem_id="item", scale=2, min_width=240,
            )  # fmt: skip
        with gr.Tab("Write"):
            written = write.build(user, item)
        with gr.Tab("Differences"):
            shown = differences.build()
        with gr.Tab("Blind test"):
            BlindTab(reviews, systems, Votes(run / "votes.sqlite")).build()

        def choose_user(name: str) -> gr.Dropdown:
            found = reviews.items(name)
            return gr.Dropdown(found, value=found[0][1])

        other_user = user.input(choose_user, user, item, show_progress="hidden")
        for chosen in (page.load, other_user.then, item.input):
            chosen(write.chosen, [user, item], written, show_progress="hidden")
            chosen(differences.show, [user, item], shown, show_progress="hidden")
    return page
