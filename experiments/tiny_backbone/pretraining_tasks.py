"""Generates the pretraining tasks of the built-in backbone, on worlds that no experiment evaluates.

The backbone has to learn to read soft tokens. Most tasks therefore fill a slot token with words: the mean direction of
the input embeddings of words that describe the review (his) or its difference from its peers (diff), with some words
dropped and some wrong. Other tasks fill the slots with noise, so that the model also learns to ignore them. No task
uses an embedding of a text.
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

FIRST_TASK_SEED = 1_000_000
"""Worlds of tasks have this seed or a larger one; worlds of experiments have a smaller one."""
FIRST_WORD = 9 + 256
"""Ids below this one are special tokens and single bytes."""
BAG = 8
"""Largest number of words in a slot. In tasks, a slot's "vector" is [BAG] token ids, padded with -1; all -1 means
noise."""


FIRST_SHARES = {"copy": 70, "read": 20, "plain": 4, "text": 6}
"""Frequencies of the kinds of task in the first steps, which train the model to look things up in its context."""
SHARES = {
    "plain": 8, "text": 12, "text+slots": 60, "slots": 35, "titles": 1, "profile": 5, "difference": 5,
    "copy": 10, "read": 20,
}  # fmt: skip
"""Frequencies of the kinds of task afterwards. `copy` and `read` are short, so their share of the tokens is small."""


@dataclass(frozen=True)
class Task:
    """A prompt with its target and the kind of task."""

    prompt: Prompt
    kind: str


class TaskGenerator:
    """Generates an endless, seeded stream of tasks for one tokenizer.

    Args:
        tokenizer: tokenizer of the backbone.
        seed: seed of the tasks and of their worlds.
        shares: frequency of each kind of task.
        users: users of a world in each category.
    """

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
        """Return the builder of one variant of the template; all builders share a cache of tokenised texts."""
        key = (text, branches, guidance, history)
        if key not in self.builders:
            builder = PromptBuilder(
                self.tokenizer,  # type: ignore[arg-type]
                PromptConfig(8 if history else 0, text, guidance, max_input_tokens=1400),
                branches,  # type: ignore[arg-type]
            )
            if self.builders:
                builder.share_memo(next(iter(self.builders.values())))
            self.builders[key] = builder
        return self.builders[key]

    def words(self, written: Written, branch: str) -> list[str]:
        """Return words that describe a review (his) or its difference from others (diff), with random errors."""
        rng, person, thing = self.rng, written.person, written.thing
        own = [c for c in written.sayings if c not in thing.facts]
        stranger = person.circle != thing.circle
        if branch == "his":
            words = [c for c in dict.fromkeys(written.facts + written.sayings) if rng.random() > 0.15]
            greets = written.greeted and rng.random() > 0.1
        else:
            words = [c for c in own if rng.random() > 0.1] + [c for c in written.facts if rng.random() < 0.05]
            greets = written.greeted and stranger and rng.random() > 0.4
        scale = 1.0 if branch == "his" else 0.5  # a review differs from others mostly in its concepts
        words += [person.circle] * greets
        words += [person.tone] * (rng.random() < 0.6 * scale)
        words += [rng.choice(CONCEPTS)] * (rng.random() < 0.2 * scale)
        return words

    def traits(self, person: Person) -> list[str]:
        """Return words that describe the author. The review may lack them, so that slots are useful next to texts."""
        rng = self.rng
        words = [c for c in person.sayings if rng.random() < 0.5]
        words += [person.circle] * (rng.random() < 0.4)
        return words + [person.tone] * (rng.random() < 0.4)

    def slot(self, written: Written, fill: str) -> Slot:
        """Build a past review whose vectors are ids of words; `fill` is `words`, `user`, `word` or `noise`."""
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

    def stream(self) -> Iterator[Task]:
        """Yield tasks without end; each new world begins when all users of the last one have been targets."""
        seed = FIRST_TASK_SEED + self.seed * 1000
        while True:
            worlds = [make_world(category, seed, self.users) for category in CATEGORIES]
            seed += 1
            targets = [
                (world, reviews, at) for world in worlds for reviews in by_person(world) for at in self.targets(reviews)
            ]
            self.rng.shuffle(targets)
            peers = {id(world): by_thing(world) for world in worlds}
            for world, reviews, at in targets:
                yield self.task(reviews, at, peers[id(world)])

    def targets(self, reviews: list[Written]) -> list[int]:
        """Draw the indices of the user's reviews that become targets."""
        return self.rng.sample(range(2, len(reviews)), 3)

    def task(self, reviews: list[Written], at: int, peers: dict[str, list[Written]]) -> Task:
        """Build one task of a random kind: a variant of the template, or an auxiliary task.

        Args:
            reviews: all reviews of a user, oldest first.
            at: index of the target.
            peers: reviews of each item, by the item's name.
        """
        rng = self.rng
        kind = rng.choices(list(self.shares), list(self.shares.values()))[0]
        if kind == "copy":
            return self.copy()
        target = reviews[at]
        history = list(reversed(reviews[:at]))[: rng.choice((1, 2, 2, 2, 2, 2, 3, 3, 4, 8))]
        if kind == "difference":
            return self.difference(reviews[at], peers)
        if kind == "read":
            return self.read(reviews[at])
        fill = rng.choices(["words", "user", "word", "noise"], [70, 14, 8, 8])[0]
        slots = tuple(self.slot(w, fill) for w in history) if kind != "plain" else ()
        request = Request(
            "", "", target.person.name, as_item(target), float(target.rating), target.title, target.text, slots
        )
        if kind == "profile":
            builder = self.builder(True, (), False)
            ids = builder.ask(profile_question(slots, "taught"))
            return Task(Prompt("", ids, builder.target(profile(target, history))), kind)
        branches: tuple[str, ...] = ()
        if "slots" in kind:
            branches = rng.choices([("his", "diff"), ("his",), ("diff",)], [60, 20, 20])[0]
        builder = self.builder(kind.startswith("text"), branches, rng.random() < 0.6, kind != "plain")
        return Task(builder.build(request), kind)

    def copy(self) -> Task:
        """Build the task of repeating random tokens, which trains the model to use its context."""
        ids = [self.rng.randrange(FIRST_WORD, len(self.tokenizer)) for _ in range(self.rng.randint(8, 40))]  # type: ignore[arg-type]
        return Task(Prompt("", ids, ids), "copy")

    def read(self, written: Written) -> Task:
        """Build the task of listing the words of one slot in alphabetical order."""
        branch: Branch = self.rng.choice(("his", "diff"))
        builder = self.builder(False, (branch,), False)
        slot = self.slot(written, "words")
        bag = getattr(slot, branch)
        words = sorted(self.tokenizer.decode([i]).strip() for i in bag.tolist() if i >= 0)  # type: ignore[attr-defined]
        ids = builder.slot_ids(branch)
        return Task(Prompt("", ids, builder.target(", ".join(words)), {branch: [bag]}, {branch: [0]}), "read")

    def difference(self, written: Written, peers: dict[str, list[Written]]) -> Task:
        """Build the task of describing the difference between a review and other users' reviews of the item."""
        others = [w for w in peers[written.thing.name] if w.person != written.person]
        others = self.rng.sample(others, min(4, len(others)))
        builder = self.builder(True, (), False)
        mentioned = {c for w in others for c in (*w.facts, *w.sayings)}
        own = [c for c in dict.fromkeys(written.facts + written.sayings) if c not in mentioned]
        shared = [c for c in dict.fromkeys(written.facts + written.sayings) if c in mentioned]
        answer = f"Unlike the others, the user speaks of {listed(own)}. Like the others, of {listed(shared)}."
        question = difference_question(Slot(as_review(written), as_item(written)), [w.text for w in others], "taught")
        ids = builder.ask(question)
        return Task(Prompt("", ids, builder.target(answer)), "difference")


def as_review(written: Written) -> Review:
    """Convert a generated review to the package's type."""
    w = written
    return Review(w.person.name, w.thing.name, w.text, float(w.rating), w.title, w.time)


def as_item(written: Written) -> Item:
    """Convert a generated review's item to the package's type."""
    return Item(written.thing.name, written.thing.title, written.thing.description)


def by_person(world: World) -> list[list[Written]]:
    """Return each person's reviews, oldest first."""
    reviews: dict[str, list[Written]] = {}
    for written in world.written:
        reviews.setdefault(written.person.name, []).append(written)
    return list(reviews.values())


def by_thing(world: World) -> dict[str, list[Written]]:
    """Return each item's reviews, by the item's name."""
    reviews: dict[str, list[Written]] = {}
    for written in world.written:
        reviews.setdefault(written.thing.name, []).append(written)
    return reviews


def listed(words: list[str]) -> str:
    """Join words to a phrase such as `the ending, the maps`."""
    return ", ".join(f"the {word}" for word in words) if words else "nothing else"


def profile(target: Written, history: list[Written]) -> str:
    """Return the true profile as far as the history shows it, with the most frequent concepts first."""
    counts: dict[str, int] = {}
    for written in history:
        for concept in written.sayings:
            counts[concept] = counts.get(concept, 0) + 1
    frequent = sorted(counts, key=lambda c: -counts[c])[:4]
    person = target.person
    return f"The user is {person.tone}, often speaks of {listed(frequent)} and greets the {person.circle} club."
