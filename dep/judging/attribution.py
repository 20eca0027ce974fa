"""Says in sentences what the gain of a judged system is made of, from its paired comparisons with the controls.

A sentence states no more than an interval carries: a gain is stated only if the 95% interval excludes 0 and p < 0.05
after Holm's correction (`dep.reporting.verdicts`); otherwise the sentence says that none is shown, which does not mean
that there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dep.evaluation.metrics import metric_class
from dep.judging.controls import Missing, Part
from dep.reporting.tables import signed
from dep.reporting.verdicts import Verdict


@dataclass(frozen=True)
class Compared:
    """A comparison of the judged system with one control."""

    part: Part
    label: str
    """The label of the control's arm."""
    verdict: Verdict
    own: bool = False
    """Whether the control is the judged system itself, with another user's past."""


def made_of(name: str, compared: list[Compared], lacking: list[Missing], reads_user: bool = True) -> list[str]:
    """Return the sentences on the gain, in one metric.

    Args:
        name: the judged system's name.
        compared: its comparisons in that metric.
        lacking: the controls that the run lacks.
        reads_user: whether the judged system reads anything of the user.
    """
    by_part: dict[Part, Compared] = {}
    for one in compared:
        if one.part not in by_part or one.own:  # its own stranger tells more than that of another system
            by_part[one.part] = one
    sentences = [_over(by_part[part]) for part in _CONTROL if part in by_part]
    sentences.append(_sum(name, by_part) if reads_user else f"In sum: {name} reads nothing of the user.")
    if lacking:
        words = _listed([part.words for part in lacking])
        verb = "is" if len(lacking) == 1 else "are"
        it = "it" if len(lacking) == 1 else "them"
        sentences.append(f"{_capital(words)} {verb} missing in this run; the command below adds {it}.")
    return sentences


_CONTROL: dict[Part, str] = {
    "non_perso": "which knows nothing of the user", "rag": "which reads past reviews as text",
    "constant": "which is the same for every user",
    "stranger": "another system, with a stranger's vectors", "peers": "another system, with wrong peers",
    "stranger_texts": "which reads a stranger's past reviews", "own": "the run's own method",
}  # fmt: skip
"""For each part what its arm is, in the order of the sentences."""


def _over(one: Compared) -> str:
    whom = "the same system with a stranger's past" if one.own else f"{one.label}, {_CONTROL[one.part]}"
    return f"Over {whom}: {_verdict(one.verdict)}."


def _verdict(verdict: Verdict) -> str:
    """State one comparison, no more strongly than its interval and its corrected test allow."""
    metric = metric_class(verdict.metric)
    low, high = signed(verdict.metric, verdict.low), signed(verdict.metric, verdict.high)
    values = f"{metric.label} {signed(verdict.metric, verdict.delta)}, 95% {low} to {high}"
    tone = verdict.tone
    if tone == "better":
        return f"a gain is shown ({values})"
    if tone == "worse":
        return f"a loss is shown ({values})"
    if tone == "maybe":
        kind = "gain" if verdict.text.startswith("better") else "loss"
        return f"a {kind} is shown only before Holm's correction ({values})"
    return f"no difference is shown ({values})"


def _sum(name: str, by_part: Mapping[Part, Compared]) -> str:
    """Return the sentence that sums up what is shown about the user."""
    tones = {part: one.verdict.tone for part, one in by_part.items()}
    if "non_perso" in tones and tones["non_perso"] != "better":
        return f"In sum: no gain of {name} over a system without the user is shown, so there is none to explain."
    beyond = {"better": ", and is better than the run's constant prompt", None: ""}.get(
        tones.get("constant"), "; that it is better than the run's constant prompt is not shown"
    )
    stranger = by_part.get("stranger")
    if stranger and stranger.own:
        if tones["stranger"] == "better":
            return f"In sum: {name} uses this user's past{beyond}."
        return f"In sum: nothing shows that {name} uses this user's past: a stranger's may serve as well."
    return (
        f"In sum: whether {name} uses this user's past cannot be said, since it was not judged with a stranger's past "
        f"(evaluate.judge.stranger names such a file){_TRAINED.get(tones.get('constant'), '')}."
    )


_TRAINED = {
    "better": "; it is better than the run's constant prompt, which is trained but the same for every user",
    "none": "; it is not shown to be better than the run's constant prompt, which is the same for every user",
    "worse": "; it is worse than the run's constant prompt, which is the same for every user",
    "maybe": "; that it differs from the run's constant prompt is not shown after correction",
    None: "",
}


def _listed(words: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
