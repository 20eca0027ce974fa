"""Loader of the published data sets that the paper trains and tests on: DPL-main (reviews) and DPL-meta (items).

    main, splits train val test:  user_id  profile [{asin title timestamp rating text}]  data {the same}
    meta, split full:             asin title description

Both are already filtered and split. `data` is the review to write; `profile` holds the reviews that the user wrote
before it. Each category is a configuration of the data set.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from dep.data.sources import files
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
            for row in self._stream(self.config.main, category, split, _MAIN_COLUMNS):
                *past, target = [
                    self._review(category, split, row["user_id"], e) for e in (*(row["profile"] or ()), row["data"])
                ]
                *past, target = [reviews.setdefault(_identity(one), one) for one in (*past, target)]
                rows.append(_Row(split, target, tuple(past)))
        self.notes += files.unrated(category, reviews.values())
        seen = {review.item for review in reviews.values()}
        items = {
            item: Item(item, string(row["title"]), string(row["description"]))
            for row in self._stream(self.config.meta, category, "full", _META_COLUMNS)
            if (item := name(row["asin"])) in seen
        }
        if missing := len(seen - items.keys()):
            self.notes.append(f"{category}: {missing:,} of {len(seen):,} reviewed items are not in {self.config.meta}")
        return files.corpus(category, list(reviews.values()), items), rows

    def _review(self, category: str, split: str, user: Any, entry: dict[str, Any]) -> Review:
        asin, text, rating, title, time = map(entry.get, ("asin", "text", "rating", "title", "timestamp"))
        found = review(user, asin, text, rating, title, time)
        if found is None:
            raise DepError(
                f"{self.config.main} {category}/{split}: a review of {user} on {asin!r} has no text or time. {_HELP}"
            )
        return found

    def _stream(self, name: str, category: str, split: str, columns: tuple[str, ...]) -> Iterator[dict[str, Any]]:
        if not Path(name).is_dir() and not self.config.allow_download:
            raise MissingFile(
                f"{name!r} is not a folder here. {_HELP}; or set source.allow_download=true to fetch it from the hub"
            )
        return _stream(name, category, split, columns)


def _identity(review: Review) -> tuple[str, str, int, str]:
    """Return what identifies a review: a user may review an item several times, so time and text are part of it."""
    return review.user, review.item, review.time, review.text


def _same(past: Review, target: Review) -> bool:
    """Return whether a review of a profile has the target's text, apart from white space."""
    return past.text.split() == target.text.split()


def _stream(source: str, category: str, split: str, columns: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Yield the entries of one split, from a local folder of that name if there is one, else from the hub.

    Raises:
        MissingFile: neither the folder nor the hub has the split.
        DepError: the split lacks a column.
    """
    import datasets

    folder = Path(source) / category
    try:
        if (folder / "dataset_dict.json").is_file():
            rows = datasets.load_from_disk(str(folder))[split]
        elif Path(source).is_dir():
            found = sorted(p for p in folder.glob(f"{split}*") if p.suffix in {".parquet", ".jsonl"})
            if not found:
                raise MissingFile(f"no {split}*.parquet or {split}*.jsonl; {files.listing(folder)}")
            loader = "parquet" if found[0].suffix == ".parquet" else "json"
            rows = datasets.load_dataset(loader, data_files=[str(p) for p in found], split="train")
        else:
            rows = datasets.load_dataset(source, category, split=split)
    except Exception as error:  # the hub's client has no common base for "absent", "offline" and "refused"
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise MissingFile(
            f"cannot read {source!r}, category {category!r}, split {split!r}: {reason}. {_HELP}"
        ) from error
    if missing := [column for column in columns if column not in rows.column_names]:
        raise DepError(
            f"{source!r}, category {category!r}, split {split!r}: expected columns {', '.join(columns)}, found "
            f"{', '.join(rows.column_names)}; {', '.join(missing)} missing. {_HELP}"
        )
    with stage(f"reading {category} {split}", len(rows), show=len(rows) > 5000) as advance:
        for row in rows:
            advance(1)
            yield row
