"""Loader of the published data sets that the paper trains and tests on: DPL-main (reviews) and DPL-meta (items).

    main, splits train val test:  user_id  profile [{asin title timestamp rating text}]  data {the same}
    meta, split full:             asin title description

Both are already filtered and split. `data` is the review to write; `profile` holds the reviews that the user wrote
before it. Each category is a configuration of the data set.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from dep.data.sources import files
from dep.data.sources.rows import parquet_rows, records
from dep.data.sources.values import name, review, string
from dep.types import Corpus, Example, Item, Review, Split
from dep.utils.errors import DepError, MissingFile
from dep.utils.fields import RUNTIME
from dep.utils.hashing import text_digest
from dep.utils.progress import stage
from dep.utils.registry import ComponentConfig

_MAIN_COLUMNS = ("user_id", "profile", "data")
_META_COLUMNS = ("asin", "title", "description")
_HELP = (
    "Without the hub, name local copies: `source.main` a folder with <category>/{train,val,test}*.parquet (or "
    ".jsonl), `source.meta` one with <category>/full*.parquet (or .jsonl), or what `save_to_disk` wrote under "
    "<category>"
)


_ROWS = re.compile(r".*\.(parquet|jsonl(\.gz|\.xz)?)")
_Identity = tuple[str, str, int, str]


class _Row(NamedTuple):
    """A published example: the columns of DPL-main."""

    split: Split
    target: Review
    profile: tuple[Review, ...]


class _Published(NamedTuple):
    corpora: dict[str, Corpus]
    examples: list[Example]


class DPL:
    """Reads the published data sets from the hub, or from local folders of the same schema."""

    kind = "dpl"

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """Which data sets and categories to read."""

        kind: Literal["dpl"] = "dpl"
        main: str = "SnowCharmQ/DPL-main"
        """The reviews: a name on the hub or a local folder."""
        meta: str = "SnowCharmQ/DPL-meta"
        """The items: a name on the hub or a local folder."""
        categories: list[str] = field(default_factory=lambda: ["Books", "Movies_and_TV", "CDs_and_Vinyl"])
        """The categories to read."""
        allow_download: bool = field(default=False, metadata=RUNTIME)
        """Whether data sets may be downloaded from the hub."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.notes: list[str] = []

    def load(self) -> dict[str, Corpus]:
        """Return all published reviews, each once, sorted by (user, time, item)."""
        return self._published.corpora

    def examples(self) -> list[Example]:
        """Return all published examples; each user has eight training, one validation and one test target."""
        return self._published.examples

    def fingerprint(self) -> str:
        """Return the SHA-256 of all reviews, items and examples; it is the same for the hub's copy and a local one."""
        parts = [f"{category}\0{corpus.reviews}\0{corpus.items}" for category, corpus in self.load().items()]
        return text_digest("".join([*parts, repr(self.examples())]))

    @cached_property
    def _published(self) -> _Published:
        corpora: dict[str, Corpus] = {}
        examples: list[Example] = []
        for category in self.config.categories:
            corpora[category], rows = self._category(category)
            row_of = {_identity(review): row for row, review in enumerate(corpora[category].reviews)}
            leaks = 0
            for split, target, profile in rows:
                past = [review for review in profile if not _same(review, target)]
                leaks += len(past) < len(profile)
                # rows of a user are in order of time
                rows_of_past = sorted({row_of[_identity(review)] for review in past})
                examples.append(Example(category, split, row_of[_identity(target)], tuple(rows_of_past)))
            if leaks:
                self.notes.append(
                    f"{category}: the profiles of {leaks:,} examples held the review to write; it is left out of them"
                )
        order = {split: place for place, split in enumerate(get_args(Split))}
        examples.sort(key=lambda e: (order[e.split], e.category, e.row))
        return _Published(corpora, examples)

    def _category(self, category: str) -> tuple[Corpus, list[_Row]]:
        reviews: dict[tuple[str, str, int, str], Review] = {}
        rows: list[_Row] = []
        for split in get_args(Split):
            for number, row in enumerate(self._stream(self.config.main, category, split, _MAIN_COLUMNS), 1):
                where = f"{self.config.main} {category}/{split}, row {number}"
                *past, target = [reviews.setdefault(_identity(one), one) for one in self._written(where, row)]
                rows.append(_Row(split, target, tuple(past)))
        rows, shared = _separated(rows)
        if shared:
            reviews = {_identity(one): one for row in rows for one in (*row.profile, row.target)}
            self.notes.append(
                f"{category}: {shared:,} user ids stand for several people, since rows of such an id share no review; "
                "the people are kept apart"
            )
        self.notes += files.unrated(category, reviews.values())
        seen = {review.item for review in reviews.values()}
        items: dict[str, Item] = {}
        for row in self._stream(self.config.meta, category, "full", _META_COLUMNS):
            if (item := name(row.get("asin"))) in seen:
                files.add_item(items, Item(item, string(row.get("title")), string(row.get("description"))))
        if missing := len(seen - items.keys()):
            self.notes.append(f"{category}: {missing:,} of {len(seen):,} reviewed items are not in {self.config.meta}")
        return files.corpus(category, list(reviews.values()), items), rows

    def _written(self, where: str, row: dict[str, Any]) -> list[Review]:
        """The reviews of a published row: the profile, then the review to write."""
        user, profile = row.get("user_id"), row.get("profile") or []
        entries = [*profile, row.get("data")] if isinstance(profile, list) else [profile]
        found = []
        for entry in entries:
            if not isinstance(entry, dict):
                raise DepError(where, "a list of reviews as profile, and one as data", type(entry).__name__, _HELP)
            asin, text, rating, title, time = map(entry.get, ("asin", "text", "rating", "title", "timestamp"))
            written = review(user, asin, text, rating, title, time)
            if written is None:
                raise DepError(f"{where}: a review of {user!r} on {asin!r} has no user, item, text or time. {_HELP}")
            found.append(written)
        return found

    def _stream(self, name: str, category: str, split: str, columns: tuple[str, ...]) -> Iterator[dict[str, Any]]:
        if not Path(name).is_dir() and not self.config.allow_download:
            raise MissingFile(
                f"{name!r} is not a folder here. {_HELP}; or set source.allow_download=true to fetch it from the hub"
            )
        return _stream(name, category, split, columns)


def _identity(review: Review) -> _Identity:
    """Return what identifies a review: a user may review an item several times, so time and text are part of it."""
    return review.user, review.item, review.time, review.text


def _same(past: Review, target: Review) -> bool:
    """Return whether a review of a profile has the target's text, apart from white space."""
    return past.text.split() == target.text.split()


def _separated(rows: Sequence[_Row]) -> tuple[list[_Row], int]:
    """The rows with people who share a user's name kept apart, and how many such names there are.

    Two rows of one name are of one person if they share a review, or if others link them: what a user wrote before is
    in the profiles of all later rows. A further person's name gets a number.
    """
    rows_of: dict[str, list[int]] = {}
    for at, row in enumerate(rows):
        rows_of.setdefault(row.target.user, []).append(at)
    result, shared = list(rows), 0
    for user, own in rows_of.items():
        _, *others = _people([{_identity(r) for r in (rows[at].target, *rows[at].profile)} for at in own])
        shared += bool(others)
        number = 1
        for person in others:
            number += 1
            while (new := f"{user} ({number})") in rows_of:
                number += 1
            for at in (own[place] for place in person):
                split, target, profile = rows[at]
                past = tuple(replace(review, user=new) for review in profile)
                result[at] = _Row(split, replace(target, user=new), past)
    return result, shared


def _people(written: Sequence[set[_Identity]]) -> list[list[int]]:
    """Indices of the rows of each person, the first row's person first; `written` are the reviews of each row."""
    people: list[tuple[set[_Identity], list[int]]] = []
    for at, reviews in enumerate(written):
        linked = [person for person in people if not person[0].isdisjoint(reviews)]
        people = [person for person in people if person[0].isdisjoint(reviews)]
        people.append((reviews.union(*(p[0] for p in linked)), sorted([at, *(n for p in linked for n in p[1])])))
    return sorted(rows for _, rows in people)


def _stream(source: str, category: str, split: str, columns: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Yield the entries of one split, from a local folder of that name if there is one, else from the hub.

    Raises:
        MissingFile: neither the folder nor the hub has the split.
        DepError: the split lacks a column.
    """
    folder = Path(source) / category
    if Path(source).is_dir() and not (folder / "dataset_dict.json").is_file():
        paths = sorted(path for path in folder.glob(f"{split}*") if _ROWS.fullmatch(path.name))
        if not paths:
            raise MissingFile(
                f"cannot read {source!r}, category {category!r}, split {split!r}: no {split}*.parquet or "
                f"{split}*.jsonl; {files.listing(folder)}. {_HELP}"
            )
        for path in paths:
            reader = parquet_rows if path.suffix == ".parquet" else records
            for number, row in enumerate(reader(path)):
                if not number:
                    _check(str(path), list(row), columns)
                yield row
        return
    rows = _dataset(source, category, split)
    _check(f"{source!r}, category {category!r}, split {split!r}", rows.column_names, columns)
    with stage(f"reading {category} {split}", len(rows), show=len(rows) > 5000) as advance:
        for row in rows:
            advance(1)
            yield row


def _dataset(source: str, category: str, split: str) -> Any:
    """One split, as `save_to_disk` wrote it or as the hub has it."""
    import datasets

    folder = Path(source) / category
    try:
        if (folder / "dataset_dict.json").is_file():
            return datasets.load_from_disk(str(folder))[split]
        return datasets.load_dataset(source, category, split=split)
    except Exception as error:  # the hub's client has no common base for "absent", "offline" and "refused"
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise MissingFile(
            f"cannot read {source!r}, category {category!r}, split {split!r}: {reason}. {_HELP}"
        ) from error


def _check(where: str, found: Sequence[str], columns: tuple[str, ...]) -> None:
    """Refuse rows that lack a column."""
    if missing := [column for column in columns if column not in found]:
        raise DepError(
            f"{where}: expected columns {', '.join(columns)}, found {', '.join(found)}; {', '.join(missing)} missing. "
            f"{_HELP}"
        )
