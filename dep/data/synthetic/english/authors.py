"""Authors with planted traits and habits, and products with planted facts.

A user's sayings and a product's facts are points of one pool. A review says both in the same words, so that only the
reviews of other people tell what is the product's and what is the author's.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import TypeVar

from dep.data.synthetic.english.lexicon import Choice, Lexicon, Phrase
from dep.data.synthetic.english.phrase_files import TONES

SAYINGS, FACTS = 4, 4
PUNCTUATION = ("plain", "plain", "plain", "ellipses", "exclamations", "exclamations", "dashes")
CASE = ("normal",) * 7 + ("lower", "capitals", "capitals")
CONTRACTIONS = ("contracted",) * 6 + ("written out", "written out", "bare")
LAYOUT = ("line",) * 16 + ("breaks",) * 3 + ("lists",) * 2
TITLE = ("verdict", "verdict", "point", "words")
PLANS = (
    "OVRC", "ORVC", "VRAC", "ORAV", "AORVC", "VRC", "RVC", "RAVC", "ORARC", "VRAR", "ORC", "RARV", "OARVC", "VARC",
    "RC",
)  # fmt: skip
"""Orders of opening, verdict, remarks, aside and closing; where R stands twice, the remarks are divided."""
T = TypeVar("T")
_OWN_STORY = re.compile(r"\b(I|I'\w+|my|me|we|our|us)\b|\{who\}")


@dataclass(frozen=True, slots=True)
class Person:
    """A user's traits and habits. Those that are written to `truth_<category>.json` come first."""

    name: str
    sayings: tuple[str, ...]
    """Names of points."""
    aspects: tuple[str, ...]
    """Aspects that the user cares about."""
    tone: str
    leniency: float
    """Added to what a product deserves, in stars."""
    length: int
    """Usual number of words."""
    punctuation: str
    case: str
    contractions: str
    emoji: tuple[str, ...]
    signoff: str
    wording: dict[tuple[str, str], Phrase]
    """(Point, sign) -> the phrase that the user prefers."""
    openings: tuple[Phrase, ...]
    tics: tuple[Phrase, ...]
    joins: dict[str, tuple[Phrase, ...]]
    plans: tuple[str, ...]
    layout: str
    title: str
    dash: str
    typos: float
    """Share of words with a typing error."""
    fillers: dict[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Product:
    """A product with planted facts."""

    name: str
    title: str
    description: str
    facts: tuple[tuple[str, str], ...]
    """(Point, sign), the same for all reviewers."""
    quality: float
    wording: dict[str, Phrase]
    """Point -> the detail that its reviewers notice most."""
    fillers: dict[str, str]


def spread(rng: random.Random, width: float) -> float:
    """A number around 0, nearly normal, with standard deviation `width`; the same on every machine."""
    return (rng.random() + rng.random() + rng.random() + rng.random() - 2) * width * 1.7320508


def pick(rng: random.Random, options: tuple[T, ...]) -> T:
    """Draw one option."""
    return options[int(rng.random() * len(options))]


def few(rng: random.Random, options: tuple[T, ...], count: int) -> tuple[T, ...]:
    """Draw `count` different options, or all if there are fewer."""
    return tuple(rng.sample(options, min(count, len(options))))


def make_person(rng: random.Random, lexicon: Lexicon, name: str) -> Person:
    """Draw a user's traits and habits."""
    tone = pick(rng, TONES)
    aspects = few(rng, tuple(dict.fromkeys(point.aspect for point in lexicon.points)), 2)
    cared = few(rng, tuple(point for point in lexicon.points if point.aspect in aspects), SAYINGS // 2)
    others = tuple(point for point in lexicon.points if point not in cared)
    sayings = (*cared, *few(rng, others, SAYINGS - len(cared)))
    named = lexicon.named
    smiles = rng.random() < 0.25
    return Person(
        name=name,
        sayings=tuple(point.name for point in sayings),
        aspects=aspects,
        tone=tone,
        leniency=spread(rng, 0.7),
        length=int(30 + 90 * rng.random() * rng.random() + 20 * rng.random()),
        punctuation=pick(rng, PUNCTUATION),
        case=pick(rng, CASE),
        contractions=pick(rng, CONTRACTIONS),
        emoji=tuple(pick(rng, named["emoji"][sign, tone].fitting).text for sign in "+-") if smiles else (),
        signoff=pick(rng, named["signoffs"]["signoffs", tone].fitting).text if rng.random() < 0.5 else "",
        wording={
            (p.name, sign): phrase
            for p in sayings
            for sign in "+-"
            if (phrase := favorite(rng, p.said[sign, tone], 0.4))
        },
        openings=tuple(lexicon.by_stars["openings"][stars, tone].pick(rng, 0.4) for stars in (1, 2, 3, 4, 5)),
        tics=tuple(named["tics"]["tics", tone].pick(rng, 0.6) for _ in range(2)),
        joins={kind: few(rng, named["connectives"][kind, tone].fitting, 3) for kind in ("and", "but")},
        plans=few(rng, PLANS, 3),
        layout=pick(rng, LAYOUT),
        title=pick(rng, TITLE),
        dash=pick(rng, (" - ", " - ", "--", " -- ")),
        typos=pick(rng, (0.0, 0.0, 0.0, 0.003, 0.007, 0.018)),
        fillers={name: (pick(rng, texts), pick(rng, texts)) for name, texts in lexicon.fillers["user"].items()},
    )


def favorite(rng: random.Random, choice: Choice, own_rate: float, impersonal: bool = False) -> Phrase | None:
    """Draw a wording that may be used again and again: a short one, and for several people one without a story.

    Returns:
        None if six draws give no such wording.
    """
    for _ in range(6):
        phrase = choice.pick(rng, own_rate)
        if len(phrase.text.split()) <= 14 and not (impersonal and _OWN_STORY.search(phrase.text)):
            return phrase
    return None


def headline(text: str) -> str:
    """A title with capitals, small words aside."""
    small = ("a", "an", "and", "at", "by", "for", "from", "in", "of", "on", "or", "the", "to", "with")
    words = text.split(" ")
    return " ".join(w if n and w in small else w[0].upper() + w[1:] for n, w in enumerate(words))


def make_product(rng: random.Random, lexicon: Lexicon, name: str) -> Product:
    """Draw a product; its description tells its first fact of praise, if it has one."""
    items = {kind: choice.fitting for (kind, _), choice in lexicon.named["items"].items()}
    fillers = {key: pick(rng, texts) for key, texts in lexicon.fillers.get("item", {}).items()}
    title = headline(pick(rng, items["titles"]).text.format_map(fillers))
    fillers |= {"noun": pick(rng, items["nouns"]).text, "maker": pick(rng, items["makers"]).text, "title": title}
    quality = 5.0 - 2.9 * rng.random() * rng.random()
    share = min(0.9, max(0.15, (quality - 2.1) / 2.8))
    points = few(rng, tuple(lexicon.points), FACTS)
    facts = tuple((point.name, "+" if rng.random() < share else "-") for point in points)
    praised = sum(sign == "+" for _, sign in facts)
    quality = min(5.0, max(1.5, quality + 0.5 * (praised - share * len(facts))))
    wording = {}
    for point, (_, sign) in zip(points, facts, strict=True):
        phrase = favorite(rng, point.said[sign, pick(rng, TONES)], 0.0, impersonal=True)
        if phrase:
            wording[point.name] = phrase
    told = next((point for point, (_, sign) in zip(points, facts, strict=True) if sign == "+"), None)
    words = [pick(rng, items["descriptions"])] + ([pick(rng, told.description)] if told else [])
    description = " ".join(phrase.text.format_map(fillers) for phrase in words)
    return Product(name, title, description, facts, quality, wording, fillers)
