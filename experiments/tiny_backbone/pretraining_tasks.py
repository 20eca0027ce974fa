"""What the built-in backbone is taught: every variant of the prompt, on worlds that no experiment evaluates.

A soft token needs a language to speak in. In most lessons a slot token is therefore filled with plain words: the mean
direction of the input embeddings of the words that describe the review (his) or what sets it apart from its peers'
(diff), some dropped and some wrong. A part of the lessons has noise in its slots, so that the model also learns to do
without. No embedding of a text is ever seen here.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch

from dep.data.prompts.builder import PromptBuilder
from dep.data.prompts.settings import PromptConfig
from dep.data.synthetic.generator import Person, World, Written, make_world
from dep.data.synthetic.language import CATEGORIES, CONCEPTS
from dep.methods.profiles.questions import difference_question, profile_question
from dep.types import Branch, Item, Prompt, Request, Review, Slot

FIRST_LESSON_SEED = 1_000_000
"""Worlds of lessons have this seed or a larger one; worlds of experiments a smaller one."""
FIRST_WORD = 9 + 256
"""Ids below are special tokens and single bytes."""
BAG = 8
"""Words in a slot at most; a slot's "vector" in a lesson is [BAG] token ids, padded with -1 (all -1: noise)."""


FIRST_SHARES = {"copy": 70, "read": 20, "plain": 4, "text": 6}
"""How often each kind of lesson comes at first: looking things up in the context has to be found before it pays."""
SHARES = {
    "plain": 8, "text": 12, "text+slots": 60, "slots": 35, "titles": 1, "profile": 5, "difference": 5,
    "copy": 10, "read": 20,
}  # fmt: skip
"""How often each kind of lesson comes then. `copy` and `read` are short: of the tokens they are few."""


@dataclass(frozen=True)
class Lesson:
    """A prompt and what it practises."""

    prompt: Prompt
    kind: str


class Lessons:
    """An endless, seeded stream of lessons for one tokenizer."""

    def __init__(self, tokenizer: object, seed: int, shares: Mapping[str, float] = SHARES, users: int = 130) -> None:
        self.rng = random.Random(seed)
        self.seed = seed
        self.shares = shares
        self.users = users
        self.tokenizer = tokenizer
        self.builders: dict[tuple[bool, tuple[str, ...], bool, bool], PromptBuilder] = {}
        words = {*CONCEPTS}
        self.word_id = {w: self._single(w) for w in words}

    def _single(self, word: str) -> int:
        ids = self.tokenizer.encode(f" {word}", add_special_tokens=False)  # type: ignore[attr-defined]
        return int(ids[0])

    def builder(self, text: bool, branches: tuple[str, ...], guidance: bool, history: bool = True) -> PromptBuilder:
        """The builder of one variant of the template; all share one memo of tokenised texts."""
        key = (text, branches, guidance, history)
        if key not in self.builders:
            made = PromptBuilder(
                self.tokenizer,  # type: ignore[arg-type]
                PromptConfig(8 if history else 0, text, guidance, max_input_tokens=1400),
                branches,  # type: ignore[arg-type]
            )
            if self.builders:
                made.share_memo(next(iter(self.builders.values())))
            self.builders[key] = made
        return self.builders[key]

    def words(self, written: Written, branch: str) -> list[str]:
        """Plain words that describe a review (his) or what sets it apart (diff), with the noise of real evidence."""
        rng, person, thing = self.rng, written.person, written.thing
        own = [c for c in written.sayings if c not in thing.facts]
        stranger = person.circle != thing.circle
        if branch == "his":
            words = [c for c in dict.fromkeys(written.facts + written.sayings) if rng.random() > 0.15]
            greets = written.greeted and rng.random() > 0.1
        else:
            words = [c for c in own if rng.random() > 0.1] + [c for c in written.facts if rng.random() < 0.05]
            greets = written.greeted and stranger and rng.random() > 0.4
        often = 1.0 if branch == "his" else 0.5  # what sets a review apart is mostly what it speaks of
        words += [person.circle] * greets
        words += [person.tone] * (rng.random() < 0.6 * often)
        words += [rng.choice(CONCEPTS)] * (rng.random() < 0.2 * often)
        return words

    def traits(self, person: Person) -> list[str]:
        """Plain words that describe the author, whether or not the review says them: so that slots pay beside texts."""
        rng = self.rng
        words = [c for c in person.sayings if rng.random() < 0.5]
        words += [person.circle] * (rng.random() < 0.4)
        return words + [person.tone] * (rng.random() < 0.4)

    def slot(self, written: Written, fill: str) -> Slot:
        """A past review whose vectors name words."""
        bags = {}
        for branch in ("his", "diff"):
            words = self.traits(written.person) if fill == "user" else self.words(written, branch)
            words = [] if fill == "noise" else words
            self.rng.shuffle(words)
            words = words[: 1 if fill == "word" else BAG]
            for w in words:
                if w not in self.word_id:
                    self.word_id[w] = self._single(w)
            bags[branch] = torch.tensor([self.word_id[w] for w in words] + [-1] * (BAG - len(words)))
        return Slot(as_review(written), as_item(written), bags["his"], bags["diff"])

    def stream(self) -> Iterator[Lesson]:
        """Lessons for ever: a fresh world each time the last one's users are through."""
        seed = FIRST_LESSON_SEED + self.seed * 1000
        while True:
            worlds = [make_world(category, seed, self.users) for category in CATEGORIES]
            seed += 1
            lessons = [(world, mine, at) for world in worlds for mine in by_person(world) for at in self.targets(mine)]
            self.rng.shuffle(lessons)
            peers = {id(world): by_thing(world) for world in worlds}
            for world, mine, at in lessons:
                yield self.lesson(mine, at, peers[id(world)])

    def targets(self, mine: list[Written]) -> list[int]:
        """Which of a user's reviews become targets."""
        return self.rng.sample(range(2, len(mine)), 3)

    def lesson(self, mine: list[Written], at: int, peers: dict[str, list[Written]]) -> Lesson:
        """One lesson: a variant of the template drawn at random, or a side task."""
        rng = self.rng
        kind = rng.choices(list(self.shares), list(self.shares.values()))[0]
        if kind == "copy":
            return self.copy()
        target = mine[at]
        history = list(reversed(mine[:at]))[: rng.choice((1, 2, 2, 2, 2, 2, 3, 3, 4, 8))]
        if kind == "difference":
            return self.difference(mine[at], peers)
        if kind == "read":
            return self.read(mine[at])
        fill = rng.choices(["words", "user", "word", "noise"], [70, 14, 8, 8])[0]
        slots = tuple(self.slot(w, fill) for w in history) if kind != "plain" else ()
        request = Request(
            "", "", target.person.name, as_item(target), float(target.rating), target.title, target.text, slots
        )
        if kind == "profile":
            builder = self.builder(True, (), False)
            ids = builder.ask(profile_question(slots, "taught"))
            return Lesson(Prompt("", ids, builder.target(profile(target, history))), kind)
        branches: tuple[str, ...] = ()
        if "slots" in kind:
            branches = rng.choices([("his", "diff"), ("his",), ("diff",)], [60, 20, 20])[0]
        builder = self.builder(kind.startswith("text"), branches, rng.random() < 0.6, kind != "plain")
        return Lesson(builder.build(request), kind)

    def copy(self) -> Lesson:
        """Random tokens, then the same again: what a model that uses its context has to find out first."""
        ids = [self.rng.randrange(FIRST_WORD, len(self.tokenizer)) for _ in range(self.rng.randint(8, 40))]  # type: ignore[arg-type]
        return Lesson(Prompt("", ids, ids), "copy")

    def read(self, written: Written) -> Lesson:
        """One slot, and the words that it holds in the order of the alphabet."""
        branch: Branch = self.rng.choice(("his", "diff"))
        builder = self.builder(False, (branch,), False)
        slot = self.slot(written, "words")
        bag = getattr(slot, branch)
        words = sorted(self.tokenizer.decode([i]).strip() for i in bag.tolist() if i >= 0)  # type: ignore[attr-defined]
        ids = builder.slot_ids(branch)
        return Lesson(Prompt("", ids, builder.target(", ".join(words)), {branch: [bag]}, {branch: [0]}), "read")

    def difference(self, written: Written, peers: dict[str, list[Written]]) -> Lesson:
        """Side task: how does this review differ from those of others on the same item?"""
        others = [w for w in peers[written.thing.name] if w.person != written.person]
        others = self.rng.sample(others, min(4, len(others)))
        builder = self.builder(True, (), False)
        said = {c for w in others for c in (*w.facts, *w.sayings)}
        own = [c for c in dict.fromkeys(written.facts + written.sayings) if c not in said]
        shared = [c for c in dict.fromkeys(written.facts + written.sayings) if c in said]
        answer = f"Unlike the others, the user speaks of {listed(own)}. Like the others, of {listed(shared)}."
        ask = difference_question(Slot(as_review(written), as_item(written)), [w.text for w in others], "taught")
        ids = builder.ask(ask)
        return Lesson(Prompt("", ids, builder.target(answer)), "difference")


def as_review(written: Written) -> Review:
    """The review that a reader sees."""
    w = written
    return Review(w.person.name, w.thing.name, w.text, float(w.rating), w.title, w.time)


def as_item(written: Written) -> Item:
    """The item that a reader sees."""
    return Item(written.thing.name, written.thing.title, written.thing.description)


def by_person(world: World) -> list[list[Written]]:
    """Each person's reviews, oldest first."""
    mine: dict[str, list[Written]] = {}
    for written in world.written:
        mine.setdefault(written.person.name, []).append(written)
    return list(mine.values())


def by_thing(world: World) -> dict[str, list[Written]]:
    """Each item's reviews."""
    found: dict[str, list[Written]] = {}
    for written in world.written:
        found.setdefault(written.thing.name, []).append(written)
    return found


def listed(words: list[str]) -> str:
    """Words as a phrase: `the ending, the maps`."""
    return ", ".join(f"the {word}" for word in words) if words else "nothing else"


def profile(target: Written, history: list[Written]) -> str:
    """The true profile, as far as the history can tell it: what recurs comes first."""
    counts: dict[str, int] = {}
    for written in history:
        for concept in written.sayings:
            counts[concept] = counts.get(concept, 0) + 1
    often = sorted(counts, key=lambda c: -counts[c])[:4]
    person = target.person
    return f"The user is {person.tone}, often speaks of {listed(often)} and greets the {person.circle} club."
