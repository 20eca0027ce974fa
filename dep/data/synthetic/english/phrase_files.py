"""Reads the text files that hold the phrases, and checks every line.

A file has sections. `[...]` begins a section and names its tags; each further line is one phrase. In a file of points,
`== name` begins a point, and each line below it begins with a sign. Lines that begin with `#` are comments.

    [4 5 warm]                                  == print
    I loved every page of it.                   + the print is large enough
    it kept me company all week                 - dry: somebody has saved a lot of ink

A phrase that ends in `.`, `!` or `?` is a sentence and stands alone; any other is a clause with subject and verb, which
the writer may join to others. `{name}` is a placeholder.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from dep.utils.errors import DepError

TONES = ("dry", "warm", "excited", "grumpy")
STARS = ("1", "2", "3", "4", "5")
UPPER = frozenset("I I'm I've I'd I'll OK TV CD CDs DVD LP EP DJ UPS USB DIY PS FYI".split())
"""Words that may have capitals anywhere; names of weekdays and months and {placeholders} may begin a clause too."""
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_NAMES = re.compile(
    r"(Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)days?|January|February|March|April|May|June|July|August|September|October|"
    r"November|December|Christmas|Easter|Thanksgiving|Halloween|Mother's|Father's"
)
_ALLOWED = re.compile(r"[A-Za-z0-9 ,.!?'\":;()$%&/{}_éèñáóíüöäçß-]+")
_CAPITALS = re.compile(r"\b[A-Z]{2,}s?\b")


@dataclass(frozen=True)
class Line:
    """One phrase with the place where it stands."""

    path: Path
    number: int
    tags: tuple[str, ...]
    """Words of the section's heading."""
    text: str
    sign: str = ""
    """Of a line of a point: `+`, `-`, `T+`, `T-` or `d`."""
    tone: str = ""
    """Of a line of a point, where it is written in one tone only."""

    def wrong(self, expected: str, found: str) -> NoReturn:
        """Raise the error that names this line."""
        raise wrong(self.path, self.number, expected, found)


def wrong(path: Path, number: int, expected: str, found: str) -> DepError:
    """The error for a line of a file."""
    place = "/".join(path.parts[path.parts.index("phrases") + 1 :]) if "phrases" in path.parts else path.name
    return DepError(f"{place}, line {number}", expected, found, "correct the line")


def read_sections(path: Path) -> list[Line]:
    """All phrases of a file with `[...]` headings."""
    lines, tags = [], None
    for number, text in _texts(path):
        if text.startswith("[") and text.endswith("]"):
            tags = tuple(text[1:-1].split())
        elif tags is None:
            raise wrong(path, number, "a heading in brackets before the first phrase", repr(text))
        else:
            lines.append(Line(path, number, tags, text))
    return lines


SIGNS = ("+", "-", "T+", "T-", "d")


def read_points(path: Path) -> list[Line]:
    """All phrases of a file of points; a line's only tag is the name of its point."""
    lines: list[Line] = []
    tags: tuple[str, ...] = ()
    for number, text in _texts(path):
        if text.startswith("=="):
            tags = (text[2:].strip(),)
            if not re.fullmatch(r"[a-z][a-z_]*", tags[0]):
                raise wrong(path, number, "a name of lower-case letters and _ after ==", repr(text))
            continue
        sign, _, rest = text.partition(" ")
        if not tags or sign not in SIGNS or not rest:
            raise wrong(path, number, f"`== name`, or one of {' '.join(SIGNS)} and a phrase", repr(text))
        tone = next((t for t in TONES if rest.startswith(f"{t}: ")), "")
        lines.append(Line(path, number, tags, rest[len(tone) + 2 :] if tone else rest, sign, tone))
    return lines


def _texts(path: Path) -> list[tuple[int, str]]:
    try:
        whole = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DepError(str(path), "text in UTF-8", str(error)) from error
    result = []
    for number, text in enumerate(whole.split("\n"), 1):
        if text != text.strip() or "  " in text or "\t" in text:
            raise wrong(path, number, "no blanks at either end, no two blanks in a row", repr(text))
        if text and not text.startswith("#"):
            result.append((number, text))
    return result


def is_sentence(text: str) -> bool:
    """Whether a phrase stands alone, because it ends in `.`, `!` or `?`."""
    return text[-1] in ".!?"


def check_phrase(line: Line, known: frozenset[str], form: str = "any") -> None:
    """Check the wording of a phrase.

    Args:
        line: the phrase.
        known: placeholders that may stand in it.
        form: `any` (a sentence or a clause), `sentence`, `title` (a heading, no full stop) or `part` (a piece of a
            phrase, as the fillers are).
    """
    text = line.text
    if strange := _ALLOWED.sub("", text):
        line.wrong("plain letters, digits and . , ! ? ' \" : ; ( ) - only", f"{strange!r} in {text!r}")
    for name in PLACEHOLDER.findall(text):
        if name not in known:
            line.wrong(f"one of the placeholders {' '.join(sorted(known))}", f"{{{name}}}")
    if "{" in PLACEHOLDER.sub("", text) or "}" in PLACEHOLDER.sub("", text):
        line.wrong("braces in pairs around one word", repr(text))
    if ".." in text or "--" in text or " - " in text:
        line.wrong("neither ellipses nor dashes (the author's habits add them)", repr(text))
    if shout := [w for w in _CAPITALS.findall(text) if w not in UPPER]:
        line.wrong("no words in capitals (the author's habits add them)", shout[0])
    if form == "sentence" and not is_sentence(text):
        line.wrong("a sentence that ends in . ! or ?", repr(text))
    if form == "title" and text[-1] == ".":
        line.wrong("a title without a full stop", repr(text))
    if form == "part" and is_sentence(text):
        line.wrong("a part of a phrase without an end mark", repr(text))
    if form in ("any", "sentence"):
        _check_case(line)
        if len(text.split()) > 32:
            line.wrong("at most 32 words", f"{len(text.split())} words")


def _check_case(line: Line) -> None:
    first = line.text.split()[0].strip(",;:\"'(")
    free = "{" in first or first in UPPER or first[0].isdigit() or bool(_NAMES.match(first))
    if is_sentence(line.text) and not free and not first[0].isupper():
        line.wrong("a sentence that begins with a capital", repr(line.text))
    if not is_sentence(line.text) and not free and first[0].isupper():
        line.wrong("a clause that begins with a small letter", repr(line.text))
    inner = re.split(r"[.!?]\s+", line.text)
    if not is_sentence(line.text) and len(inner) > 1:
        line.wrong("one clause, or sentences that end in an end mark", repr(line.text))
