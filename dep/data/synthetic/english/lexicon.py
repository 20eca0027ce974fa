"""The phrases of one category and of the common folder, checked and sorted by use."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

from dep.data.synthetic.english.phrase_files import (
    PLACEHOLDER,
    STARS,
    TONES,
    Line,
    check_phrase,
    is_sentence,
    read_points,
    read_sections,
    wrong,
)
from dep.utils.errors import DepError, MissingFile

FOLDER = Path(__file__).parent / "phrases"
CATEGORIES = {"Books": "books", "Home_and_Kitchen": "kitchen", "CDs_and_Vinyl": "music"}
"""Name in the files of the world -> folder of phrases."""
GIVEN = frozenset({"noun", "title", "maker"})
"""Placeholders that every item fills."""
BY_STARS = ("openings", "verdicts", "asides", "closings", "titles")
"""Files whose headings hold stars and tones; none of either means all."""
LEAST = {"openings": 3, "verdicts": 3, "asides": 3, "closings": 2, "titles": 3}
"""Least number of phrases for each pair of stars and tone, with those of the common folder."""
POINT_LEAST = {"+": 3, "-": 3, "T+": 1, "T-": 1, "d": 1}
NAMED = {
    "connectives": ("and", "but", "plus", "minus", "turn-plus", "turn-minus"),
    "tics": ("tics", "plus", "minus"),
    "reactions": ("+", "-"),
    "emoji": ("+", "-"),
    "signoffs": ("signoffs",),
    "items": ("nouns", "makers", "titles", "descriptions"),
}
"""Files whose headings name a kind of phrase, and the kinds."""
SCOPES = ("review", "user", "item")


@dataclass(frozen=True)
class Phrase:
    """A phrase. `slots` are the names of its placeholders; `sentence` says whether it is a sentence or a clause.

    With placeholders, `text` is a format string that `format_map` fills. Without, it is used as it is.
    """

    text: str
    slots: tuple[str, ...]
    sentence: bool


class Choice(NamedTuple):
    """The phrases that fit somewhere, and those of them that fit there only."""

    fitting: tuple[Phrase, ...]
    own: tuple[Phrase, ...]

    def pick(self, rng: random.Random, own_rate: float) -> Phrase:
        """Draw a phrase, with probability `own_rate` from `own` if there are any."""
        phrases = self.own if self.own and rng.random() < own_rate else self.fitting
        return phrases[int(rng.random() * len(phrases))]


@dataclass(frozen=True)
class Point:
    """Something that may be said of any item: a fact of some items, a saying of some users."""

    name: str
    aspect: str
    said: dict[tuple[str, str], Choice]
    """(Sign, tone) -> phrases in that tone or in none."""
    titles: dict[str, tuple[str, ...]]
    description: tuple[Phrase, ...]


@dataclass
class Lexicon:
    """All phrases for one category."""

    category: str
    points: list[Point] = field(default_factory=list)
    by_stars: dict[str, dict[tuple[int, str], Choice]] = field(default_factory=dict)
    """Kind -> (stars, tone) -> phrases."""
    named: dict[str, dict[tuple[str, str], Choice]] = field(default_factory=dict)
    """Kind -> (heading, tone) -> phrases."""
    fillers: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)
    """Scope -> placeholder -> texts."""
    distinct: int = 0
    """Number of different lines."""


@cache
def lexicon(category: str) -> Lexicon:
    """The phrases of a category of the built-in world."""
    return load(FOLDER, CATEGORIES[category])


def load(root: Path, name: str, note: Callable[[DepError], None] = lambda error: None) -> Lexicon:
    """Read and check the folders `common` and `name` below `root`.

    Args:
        root: the folder of all phrases.
        name: the category's folder in it.
        note: is called with the error of every wrong line before the first is raised.

    Raises:
        DepError: a line is wrong (its file and number are named), or phrases of some kind are missing.
    """
    files = [path for part in ("common", name) for path in sorted((root / part).rglob("*.txt"))]
    if not (root / name).is_dir():
        raise MissingFile(str(root / name), "a folder of phrases", "none")
    result = Lexicon(name)
    fillers = [line for path in files if path.stem == "fillers" for line in read_sections(path)]
    known = GIVEN | _fillers(result, fillers)
    lines: dict[str, list[Line]] = {}
    seen: dict[str, Line] = {}
    for path in files:
        kind = "points" if path.parent.name == "points" else path.stem
        if kind not in ("points", "fillers", *BY_STARS, *NAMED):
            raise wrong(path, 1, f"a file of one of the names {' '.join(('fillers', *BY_STARS, *NAMED))}", path.name)
        if kind != "fillers":
            lines.setdefault(kind, []).extend(read_points(path) if kind == "points" else read_sections(path))
    errors: list[DepError] = []
    for kind, all_lines in lines.items():
        for line in all_lines:
            try:
                _check(kind, line, known)
                _check_new(kind, line, seen)
            except DepError as error:
                errors.append(error)
    if errors:
        for wrong_line in errors:
            note(wrong_line)
        raise errors[0]
    result.distinct = len(seen) + len(fillers)
    for kind in BY_STARS:
        result.by_stars[kind] = _by_stars(kind, lines.get(kind, []), root / name)
    for kind, headings in NAMED.items():
        result.named[kind] = _named(kind, headings, lines.get(kind, []), root / name)
    result.points = _points(lines.get("points", []), root / name)
    return result


def _fillers(result: Lexicon, lines: list[Line]) -> frozenset[str]:
    for line in lines:
        if len(line.tags) != 2 or line.tags[1] not in SCOPES:
            line.wrong(f"a heading [name scope], scope one of {' '.join(SCOPES)}", f"[{' '.join(line.tags)}]")
        check_phrase(line, frozenset(), "part")
        of_scope = result.fillers.setdefault(line.tags[1], {})
        if line.text in of_scope.get(line.tags[0], ()):
            line.wrong("a filler that is not there yet", repr(line.text))
        of_scope[line.tags[0]] = (*of_scope.get(line.tags[0], ()), line.text)
    return frozenset(line.tags[0] for line in lines)


def _check(kind: str, line: Line, known: frozenset[str]) -> None:
    if kind in BY_STARS and (bad := [t for t in line.tags if t not in STARS and t not in TONES]):
        line.wrong(f"stars {' '.join(STARS)} and tones {' '.join(TONES)} in the heading", bad[0])
    if kind in NAMED and (not line.tags or line.tags[0] not in NAMED[kind]):
        line.wrong(f"a heading that is one of {' '.join(NAMED[kind])}", f"[{' '.join(line.tags)}]")
    if kind in NAMED and (bad := [t for t in line.tags[1:] if t not in TONES]):
        line.wrong(f"tones {' '.join(TONES)} after the first word of the heading", bad[0])
    if kind == "emoji":
        return
    if kind in ("connectives", "tics"):
        wanted = ("{a}", "{b}") if line.tags[0] in ("and", "but") else ("{clause}",)
        if missing := [w for w in wanted if w not in line.text]:
            line.wrong(f"a pattern with {' and '.join(wanted)}", f"none of {missing[0]}")
        check_phrase(line, known | {"clause", "a", "b"}, "pattern")
    elif kind == "items":
        names = line.tags[0] in ("nouns", "makers")
        form = "part" if names else "title" if line.tags[0] == "titles" else "sentence"
        check_phrase(line, (known - {"title"} if line.tags[0] == "descriptions" else known - GIVEN), form)
    elif kind == "titles" or line.sign.startswith("T"):
        check_phrase(line, known, "title")
    elif kind in ("reactions", "signoffs"):
        check_phrase(line, known, "title" if kind == "signoffs" and not is_sentence(line.text) else "pattern")
    else:
        check_phrase(line, known, "sentence" if line.sign == "d" else "any")


def _check_new(kind: str, line: Line, seen: dict[str, Line]) -> None:
    heading = line.tags[0] if kind in NAMED else ""
    apart = f"{kind} {heading}" if kind in ("titles", "emoji", "connectives", "tics") else line.sign[:1] == "T"
    key = f"{apart} {line.text.casefold().rstrip('.!?')}"
    if key in seen:
        first = seen[key]
        line.wrong("a phrase that is nowhere else", f"{line.text!r}, as in line {first.number} of {first.path.name}")
    seen[key] = line


def _phrase(line: Line) -> Phrase:
    return Phrase(line.text, tuple(dict.fromkeys(PLACEHOLDER.findall(line.text))), is_sentence(line.text))


def _choice(phrases: list[tuple[Phrase, bool]]) -> Choice:
    return Choice(tuple(phrase for phrase, _ in phrases), tuple(phrase for phrase, own in phrases if own))


def _named(kind: str, headings: tuple[str, ...], lines: list[Line], folder: Path) -> dict[tuple[str, str], Choice]:
    table: dict[tuple[str, str], list[tuple[Phrase, bool]]] = {(h, tone): [] for h in headings for tone in TONES}
    for line in lines:
        for tone in line.tags[1:] or TONES:
            table[line.tags[0], tone].append((_phrase(line), len(line.tags) > 1))
    for (heading, tone), phrases in table.items():
        if not phrases:
            raise DepError(f"{folder.name}/{kind}.txt", f"phrases below [{heading} {tone}]", "none", "write some")
    return {key: _choice(phrases) for key, phrases in table.items()}


def _by_stars(kind: str, lines: list[Line], folder: Path) -> dict[tuple[int, str], Choice]:
    table: dict[tuple[int, str], list[tuple[Phrase, bool]]] = {(int(s), tone): [] for s in STARS for tone in TONES}
    for line in lines:
        phrase = _phrase(line)
        all_stars, tones = [t for t in line.tags if t in STARS], [t for t in line.tags if t in TONES]
        for star in all_stars or STARS:
            for tone in tones or TONES:
                table[int(star), tone].append((phrase, bool(tones) or len(all_stars) == 1))
    for (stars, tone), phrases in table.items():
        if len(phrases) < LEAST[kind]:
            raise DepError(
                f"{folder.name}/{kind}.txt", f"at least {LEAST[kind]} phrases for {stars} stars in the tone {tone}",
                str(len(phrases)), f"write some below a heading such as [{stars} {tone}]",
            )  # fmt: skip
    return {key: _choice(phrases) for key, phrases in table.items()}


def _points(lines: list[Line], folder: Path) -> list[Point]:
    of_point: dict[str, list[Line]] = {}
    for line in lines:
        first = of_point.setdefault(line.tags[0], [])
        if first and first[0].path != line.path:
            line.wrong("a point's lines in one file", f"{line.tags[0]} in {first[0].path.name} too")
        first.append(line)
    points = []
    for name, own in of_point.items():
        for sign, least in POINT_LEAST.items():
            count = sum(line.sign == sign and not line.tone for line in own)
            if count < least:
                own[-1].wrong(f"point {name} to have {least} lines of sign {sign} without a tone", str(count))
        points.append(
            Point(
                name,
                own[0].path.stem,
                {
                    (sign, tone): _choice(
                        [(_phrase(x), x.tone == tone) for x in own if x.sign == sign and x.tone in ("", tone)]
                    )
                    for sign in ("+", "-")
                    for tone in TONES
                },
                {sign: tuple(x.text for x in own if x.sign == f"T{sign}") for sign in ("+", "-")},
                tuple(_phrase(x) for x in own if x.sign == "d"),
            )
        )
    if len(points) < 8:
        raise DepError(f"{folder.name}/points", "at least 8 points", str(len(points)), "write more")
    return points
