"""The tab of the blind test: which of two texts is the user's?"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import gradio as gr

from dep.evaluation.metrics.rouge import Rouge1
from dep.serving.page import markup
from dep.serving.page.reviews import RunReviews
from dep.serving.page.systems import System, Systems
from dep.serving.page.votes import (
    REAL,
    Choice,
    Share,
    Vote,
    Votes,
    against,
    agreement,
    chosen,
    prefers_nll,
    prefers_rouge,
)
from dep.serving.page.write_tab import QUEUE, shown
from dep.types import Review
from dep.utils.errors import DepError

_PAST = 4
"""Number of the user's past reviews that a voter sees."""
_DRAWS = 20
"""How often a user is drawn until the two texts differ."""
_INTRO = """### Which one is theirs?
Read what a user wrote before, and choose the text that you believe to be theirs. The page draws the user and the item;
the choice at the top does not matter here."""
_HEAD = ("Question", "Share", "95% interval", "Votes")


class BlindTab:
    """Draws pairs of texts, stores the votes, and compares them with the metrics.

    Args:
        reviews: the users of the run.
        systems: the systems.
        votes: the votes of the run.
    """

    def __init__(self, reviews: RunReviews, systems: Systems, votes: Votes) -> None:
        self.reviews, self.votes = reviews, votes
        _, self.rag, self.ours = systems.all
        self.kinds = (f"The real review or {self.ours.label}", f"{self.ours.label} or RAG")
        self._random, self._rouge = random.SystemRandom(), Rouge1()

    def build(self) -> None:
        """Add the tab's controls to the page."""
        gr.Markdown(_INTRO)
        kind = gr.Radio(self.kinds, value=self.kinds[0], label="Two texts", elem_id="kind")
        draw = gr.Button("Draw two texts", variant="primary", elem_id="draw")
        past, asked = gr.HTML(elem_id="blind-past"), gr.HTML(elem_id="blind-asked")
        with gr.Row():
            texts = [
                gr.Textbox(label=f"Text {name}", lines=6, max_lines=14, interactive=False, min_width=260,
                           elem_id=f"blind-{name.lower()}")
                for name in "AB"
            ]  # fmt: skip
        with gr.Row():
            buttons = [
                gr.Button(label, interactive=False, elem_id=f"vote-{choice}", min_width=100)
                for label, choice in (("A is theirs", "a"), ("I cannot tell", "neither"), ("B is theirs", "b"))
            ]
        outcome = gr.HTML(elem_id="outcome")
        gr.Markdown("### Do voters agree with the metrics?")
        table = gr.HTML(self.agreement, elem_id="agreement")
        pair = gr.State(None)
        drawn = [pair, past, asked, *texts, outcome, *buttons]
        draw.click(self.draw, kind, drawn, concurrency_id=QUEUE, concurrency_limit=1)
        choices: tuple[Choice, ...] = ("a", "neither", "b")
        for button, choice in zip(buttons, choices, strict=True):
            button.click(partial(self.vote, choice), pair, [pair, outcome, table, *buttons], show_progress="hidden")

    def draw(self, kind: str) -> list[object]:
        """Draw a user, let the systems write, and return the pair and what is shown of it."""
        pair: Vote | None = None
        try:
            for _ in range(_DRAWS):
                user = self._random.choice(self.reviews.tested or list(self.reviews.users))
                item = self.reviews.items(user)[0][1]
                real = self.reviews.real(user, item)
                if real is not None and self.reviews.before(user, item):
                    pair = self.pair(user, real, self.kinds.index(kind) == 0)
                    if pair.text_a != pair.text_b:
                        break
        except DepError as error:
            raise shown(error) from error
        if pair is None or real is None or pair.text_a == pair.text_b:
            raise gr.Error("The two texts are equal for every user that was drawn.", print_exception=False)
        before = self.reviews.before(user, item)[:_PAST]
        asked = markup.request(self.reviews.item(user, item), real.rating, real.title)
        past = markup.reviews(before, peers=False)
        return [pair, past, asked, pair.text_a, pair.text_b, "", *_buttons(True)]

    def pair(self, user: str, real: Review, with_real: bool) -> Vote:
        """Let the systems write a review and return it in random order beside the real one, or beside RAG's."""
        category, name = self.reviews.users[user]
        seed = self._random.randrange(1000)
        ask = self.reviews.ask(user, real.item, real.rating, real.title, seed)

        def written(system: System) -> tuple[str, str, float | None, float | None]:
            text, nll = system.personalizer.generate_many([ask])[0], system.personalizer.likelihood(ask, real.text)
            return system.arm, text, self._rouge.f1(text, real.text), nll

        both = [written(self.ours), (REAL, real.text, None, None) if with_real else written(self.rag)]
        self._random.shuffle(both)
        (system_a, text_a, rouge_a, nll_a), (system_b, text_b, rouge_b, nll_b) = both
        return Vote(category, name, real.item, seed, system_a, system_b, text_a, text_b, rouge_a, rouge_b, nll_a, nll_b)

    def vote(self, choice: Choice, pair: Vote | None) -> list[object]:
        """Store a vote, and say who wrote the texts."""
        if pair is None:
            raise gr.Error("Draw two texts first.", print_exception=False)
        self.votes.add(replace(pair, choice=choice))
        labels = {
            REAL: "is the real review", self.rag.arm: "is by RAG",
            self.ours.arm: f"is by {self.ours.label}",
        }  # fmt: skip
        said = f"Text A {labels[pair.system_a]}, and text B {labels[pair.system_b]}."
        if REAL in (pair.system_a, pair.system_b) and choice != "neither":
            right = (choice == "a") == (pair.system_a == REAL)
            said += " You found the real one." if right else " You took the written one for the real one."
        return [None, markup.note(f"{said} The vote is stored."), self.agreement(), *_buttons(False)]

    def agreement(self) -> str:
        """Return how often voters choose the real review, and the text that a metric prefers, as HTML."""
        votes = self.votes.all()
        ours, rag = self.ours.arm, self.rag.arm
        real, pairs = against(votes, ours, REAL), against(votes, ours, rag)
        label = self.ours.label
        rows = [
            _row(f"The real review is chosen, not {label}'s", chosen(real, REAL)),
            _row(f"{label}'s text is chosen, not RAG's", chosen(pairs, ours)),
            _row("The text with the higher ROUGE-1 is chosen", agreement(pairs, prefers_rouge)),
            _row("The system that finds the real review likelier is chosen", agreement(pairs, prefers_nll)),
        ]
        return markup.table(_HEAD, rows) + markup.note(
            "At 50% voters choose at random; a vote for neither counts as a half. The intervals are Wilson's. The last "
            f"two lines count votes between {label} and RAG."
        )


def _row(question: str, share: Share | None) -> Sequence[str]:
    if share is None:
        return question, "–", "–", "0"
    return question, f"{share.share:.0%}", f"{share.low:.0%} to {share.high:.0%}", str(share.n)


def _buttons(usable: bool) -> list[gr.Button]:
    return [gr.Button(interactive=usable)] * 3
