"""Drafts one review: which remarks it makes, in which order, and how they are joined into sentences."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass

from dep.data.synthetic.english.authors import PLANS, Person, Product, pick
from dep.data.synthetic.english.lexicon import Choice, Lexicon, Phrase, Point
from dep.data.synthetic.english.phrase_files import TONES
from dep.data.synthetic.english.surface import cased, contracted, ended, escaped, mistyped, with_article

FACT_RATE, OPPOSED_RATE = 0.85, 0.5
"""How often a reviewer mentions a fact that agrees with the stars, and one that does not."""
TONE_RATE, PLAN_RATE, WORDING_RATE = 0.8, 0.75, 0.6
"""How often a review has its author's tone, one of the author's plans, and the wording that author or product favor."""
PRAISE = (0.08, 0.22, 0.52, 0.8, 0.93)
"""Probability, by stars, that an author's saying is praise."""
SHORTEST, LONGEST = 20, 150
_PERSONAL = re.compile(r"(I|I'\w+|we|you|my|{who})\b")
_FREE = re.compile(r"(?:.*[,:] |but |still, )?\{clause\}")
_STRONG = re.compile(r"\b(best|most|main|only|one|sold|another|quibble|also|plus)\b")
_ONCE = frozenset(("who", "when", "gift", "place", "title", "maker"))
"""Placeholders that a review fills once if it can."""


@dataclass(frozen=True, slots=True)
class Remark:
    """A point that is to be mentioned."""

    point: Point
    sign: str
    phrase: Phrase


class Fillers(dict[str, str]):
    """What stands for the placeholders in one review; drawn when it is first asked for."""

    def __init__(self, rng: random.Random, lexicon: Lexicon, person: Person, product: Product) -> None:
        super().__init__(product.fillers)
        self._rng, self._review, self._person = rng, lexicon.fillers["review"], person

    def __missing__(self, name: str) -> str:
        if name in self._review:
            value = pick(self._rng, self._review[name])
        else:
            value = self._person.fillers[name][self._rng.random() < 0.3]
        self[name] = value
        return value


class Pool:
    """The phrases of a category, sorted for the writer."""

    def __init__(self, lexicon: Lexicon) -> None:
        self.lexicon = lexicon
        self.points = {point.name: point for point in lexicon.points}
        self.of_aspect: dict[str, tuple[Point, ...]] = {}
        for point in lexicon.points:
            self.of_aspect[point.aspect] = (*self.of_aspect.get(point.aspect, ()), point)


def _undoubled(text: str) -> str:
    """Drop one of two words `that` in a row, as in "I like that that voice"."""
    return text.replace(" that that ", " that ")


class Draft:
    """One review in the making."""

    def __init__(self, pool: Pool, rng: random.Random, person: Person, product: Product, rating: int) -> None:
        self.pool, self.rng, self.person, self.product, self.rating = pool, rng, person, product, rating
        self.fillers = Fillers(rng, pool.lexicon, person, product)
        self.tone = person.tone if rng.random() < TONE_RATE else pick(rng, TONES)
        self.words = max(24, min(135, int(person.length * (0.65 + 0.7 * rng.random()))))
        self.used: set[str] = set()
        self.strong = False
        self.said: set[Phrase] = set()
        self.remarks = self._remarks()

    def _remarks(self) -> list[Remark]:
        rng, person, product, points = self.rng, self.person, self.product, self.pool.points
        count = max(3, min(7, round(self.words / 15)))
        agreeing = {"+": self.rating >= 3, "-": self.rating <= 3}
        signs: dict[str, str] = dict(product.facts)
        facts = [n for n, sign in signs.items() if rng.random() < (FACT_RATE if agreeing[sign] else OPPOSED_RATE)]
        sayings = rng.sample(person.sayings, min(len(person.sayings), max(1, round(count * 0.35))))
        chosen = facts + [name for name in sayings if name not in facts]
        while len(chosen) > count:
            chosen.pop(int(rng.random() * len(chosen)))
        if len(chosen) < count and rng.random() < 0.5:
            others = self.pool.of_aspect[pick(rng, person.aspects)]
            name = pick(rng, others).name
            if name not in chosen and name not in signs:
                chosen.append(name)
        remarks = []
        for name in chosen:
            sign = signs.get(name) or ("+" if rng.random() < PRAISE[self.rating - 1] else "-")
            phrase = product.wording.get(name) if name in signs else person.wording.get((name, sign))
            if phrase is None or rng.random() > WORDING_RATE or self.used.intersection(phrase.slots):
                phrase = self._pick(points[name].said[sign, self.tone], 0.4)
            self.used.update(_ONCE.intersection(phrase.slots))
            remarks.append(Remark(points[name], sign, phrase))
        return self._ordered(remarks)

    def _ordered(self, remarks: list[Remark]) -> list[Remark]:
        rng = self.rng
        place = {aspect: rng.random() for aspect in self.pool.of_aspect}
        first = "+" if (self.rating >= 3) == (rng.random() < 0.8) else "-"
        mixed = rng.random() < 0.3
        return sorted(remarks, key=lambda r: ((not mixed) and r.sign != first, place[r.point.aspect], r.point.name))

    def _pick(self, choice: Choice, own_rate: float) -> Phrase:
        """Draw a phrase; one about a person or time of which the review has spoken is drawn again."""
        phrase = choice.pick(self.rng, own_rate)
        for _ in range(3):
            if not self.used.intersection(phrase.slots):
                break
            phrase = choice.pick(self.rng, own_rate)
        self.used.update(_ONCE.intersection(phrase.slots))
        return phrase

    def _filled(self, phrase: Phrase) -> str:
        self.said.add(phrase)
        return with_article(phrase.text.format_map(self.fillers)) if phrase.slots else phrase.text

    def _about(self, kind: str, own_rate: float) -> Phrase:
        return self._pick(self.pool.lexicon.by_stars[kind][self.rating, self.tone], own_rate)

    def text(self) -> str:
        """The text, with all of the author's habits."""
        rng, person = self.rng, self.person
        plan = pick(rng, person.plans) if rng.random() < PLAN_RATE else pick(rng, PLANS)
        parts = self._parts(plan)
        total = sum(len(sentence.split()) for part in parts for sentence in part)
        while total > LONGEST:
            total -= len(parts[-1].pop().split())
            parts = [part for part in parts if part]
        if total < SHORTEST:
            parts.append([self._filled(self._about("closings", 0.3)), self._filled(self._about("verdicts", 0.3))])
        lines = [" ".join(ended(rng, sentence, person, self.rating) for sentence in part) for part in parts]
        if person.signoff and rng.random() < 0.5:
            lines.append(person.signoff)
        text = ("<br /><br />" if person.layout == "breaks" and self.words > 45 else " ").join(lines)
        text = cased(rng, contracted(text, person.contractions), person.case)
        if person.emoji and self.rating != 3 and rng.random() < 0.7:
            text += " " + person.emoji[self.rating < 3]
        text = mistyped(rng, text, person.typos)
        return escaped(text) if rng.random() < 0.1 else text

    def _parts(self, plan: str) -> list[list[str]]:
        rng, room = self.rng, self.words - 10 * len(self.remarks)
        halves = self._halves(plan.count("R"))
        parts: list[list[str]] = []
        for letter in plan:
            if letter == "R":
                parts.append(self._joined(halves.pop(0)))
                continue
            kind, rate = _PARTS[letter]
            if rng.random() < (rate if room > 8 else rate / 3):
                phrase = self._about(kind, 0.5)
                if letter == "O" and rng.random() < 0.4:
                    phrase = self.person.openings[self.rating - 1]
                room -= len(phrase.text.split())
                parts.append([self._filled(phrase)])
        return [part for part in parts if part]

    def _halves(self, count: int) -> list[list[Remark]]:
        cut = (len(self.remarks) + 1) // 2
        return [self.remarks] if count == 1 else [self.remarks[:cut], self.remarks[cut:]]

    def _joined(self, remarks: list[Remark]) -> list[str]:
        """The remarks as sentences: in pairs, after connectives, or plain."""
        rng, sentences, last, at = self.rng, [], "", 0
        if self.person.layout == "lists" and len({remark.sign for remark in remarks}) == 2:
            return self._listed(remarks)
        while at < len(remarks):
            one, other = remarks[at], remarks[at + 1] if at + 1 < len(remarks) else None
            at += 1
            text = self._filled(one.phrase)
            if not one.phrase.sentence:
                if other is not None and self._fit(one, other):
                    kind = "and" if one.sign == other.sign else "but"
                    join = (
                        pick(rng, self.person.joins[kind]) if rng.random() < 0.6 else self._named("connectives", kind)
                    )
                    near = one.point.aspect == other.point.aspect
                    form = join.text if near or join.text.startswith("{a}") else "{a}, but {b}"
                    text = _undoubled(form.format(a=text, b=self._filled(other.phrase)))
                    at, one = at + 1, other
                else:
                    text = self._led(text, one, last)
            sentences.append(text)
            last = one.sign
            if self.words > 50 and rng.random() < 0.35 and (more := self._more(one)):
                sentences.append(more)
            if rng.random() < 0.1:
                reaction = self._named("reactions", one.sign, 0.6).text
                if reaction not in sentences:
                    sentences.append(reaction)
        return sentences

    def _more(self, remark: Remark) -> str:
        """The same point in other words, or nothing."""
        phrase = self._pick(remark.point.said[remark.sign, self.tone], 0.3)
        return self._filled(phrase) if phrase not in self.said else ""

    def _listed(self, remarks: list[Remark]) -> list[str]:
        """The remarks as a list of praise and a list of blame."""
        lists = []
        for sign, heading in (("+", "Pros"), ("-", "Cons")):
            parts = [self._filled(remark.phrase).rstrip(".!") for remark in remarks if remark.sign == sign]
            lists.append(f"{heading}: " + ", ".join(parts))
        return lists

    def _fit(self, one: Remark, other: Remark) -> bool:
        """Whether two remarks are joined: more often those of one aspect or of opposite signs."""
        if other.phrase.sentence or len(one.phrase.text) + len(other.phrase.text) > 150:
            return False
        rate = 0.6 if one.point.aspect == other.point.aspect else 0.1 if one.sign == other.sign else 0.3
        return self.rng.random() < rate

    def _named(self, kind: str, heading: str, own_rate: float = 0.0) -> Phrase:
        return self.pool.lexicon.named[kind][heading, self.tone].pick(self.rng, own_rate)

    def _led(self, text: str, remark: Remark, last: str) -> str:
        """A clause after a connective or within one of the author's tics, or as it is."""
        rng, word = self.rng, "plus" if remark.sign == "+" else "minus"
        turn = last not in ("", remark.sign)
        if rng.random() < (0.6 if turn else 0.22):
            pattern = self._named("connectives", f"turn-{word}" if turn else word)
            alone = sum(other.sign == remark.sign for other in self.remarks) == 1
            strong = bool(_STRONG.search(pattern.text))
            late = last != "" or not re.search(r"\b(also|plus|another)\b", pattern.text)
            fits = not strong or (not self.strong and (alone or not turn) and late)
            self.strong |= strong and fits
        else:
            pattern = pick(rng, self.person.tics) if rng.random() < 0.7 else self._named("tics", word, 0.6)
            fits = rng.random() < 0.22 and pattern.text not in self.used
            self.used.add(pattern.text)
        if not fits or (_PERSONAL.match(text) and not _FREE.fullmatch(pattern.text)):
            return text
        return _undoubled(pattern.text.replace("{clause}", text))

    def title(self, text: str) -> str:
        """The review's title."""
        rng, person = self.rng, self.person
        style = person.title if rng.random() < 0.7 else pick(rng, ("verdict", "point", "words"))
        marked = [remark for remark in self.remarks if (remark.sign == "+") == (self.rating >= 3)]
        if style == "point" and marked:
            remark = pick(rng, tuple(marked))
            title = pick(rng, remark.point.titles[remark.sign]).format_map(self.fillers)
        elif style == "words" and not text.casefold().startswith("pros"):
            words = re.split(r"<br />", text)[0].split()[: 3 + int(4 * rng.random())]
            return " ".join(words).rstrip(",;:-") + "..."
        else:
            title = self._filled(self._about("titles", 0.5))
        if person.case == "lower" or person.typos > 0.02:
            return title.lower()
        return (
            title + "!" if person.punctuation == "exclamations" and title[-1] not in "!?" and self.rating > 3 else title
        )


_PARTS: Mapping[str, tuple[str, float]] = {
    "O": ("openings", 0.8),
    "V": ("verdicts", 0.9),
    "A": ("asides", 0.45),
    "C": ("closings", 0.7),
}
