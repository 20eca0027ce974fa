"""`dep validate`: what a file of reviews holds, what the filters leave, and whether personalisation has a chance."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dep.commands.base import Command
from dep.config.loader import load
from dep.config.schema import RunConfig, build
from dep.data.filters import Histories, Step, passing, steps
from dep.data.loosen import ENOUGH, Loosened, loosen, merged, users_left
from dep.data.probe_sample import sample
from dep.data.sources import PresplitSource, table_files
from dep.data.sources.amazon import Amazon
from dep.data.sources.detect import detect
from dep.data.sources.guess import Guess, guess
from dep.data.sources.rows import BROKEN
from dep.data.sources.table import FIELDS, NEEDED, TableSource
from dep.data.survey import Survey, survey
from dep.data.vectors.difference import differences
from dep.evaluation.author_probe import author_ranks, rows_of
from dep.evaluation.author_verdict import Verdict, verdict
from dep.evaluation.style_vectors import style_vectors
from dep.reporting.validation import Column, Probe, Validation, as_json, show
from dep.types import Corpus, Vectors
from dep.utils.atomic_io import write_json
from dep.utils.errors import DepError, MissingFile
from dep.utils.progress import stage

_DEFAULT = "own_data"
_PEEK = 2000
"""Rows by which columns and units are guessed."""


def main(command: Command) -> None:
    """Print what was found, and write it as JSON if that was asked for.

    Raises:
        DepError: there are no usable reviews, or no filters leave anybody (after the tables).
    """
    path, files = _split(command.files)
    if path is None and not files:
        raise DepError("dep validate", "a file of reviews", "none", "name one, as in `dep validate reviews.csv`")
    found = _validate(path, files or [_DEFAULT], command.overrides)
    show(found, command.console)
    if command.json:
        write_json(Path(command.json), as_json(found))
        command.console.print(f"[bold]json[/]    {command.json}")
    if not found.command:
        raise DepError(
            found.name, "two or more users, each with four or more reviews of items that others reviewed too", "",
            "give more reviews, or other columns",
        )  # fmt: skip


def _split(words: list[str]) -> tuple[Path | None, list[str]]:
    """The file or folder of reviews among the words, and the configurations."""
    data = [word for word in words if _is_data(Path(word))]
    if len(data) > 1:
        raise DepError("dep validate", "one file or folder", " and ".join(data), "name a folder, or one at a time")
    return (Path(data[0]) if data else None), [word for word in words if word not in data]


def _is_data(path: Path) -> bool:
    if path.suffix in (".yaml", ".yml"):
        return False
    return path.exists() or bool(table_files.format_of(path)) or len(path.parts) > 1


def _validate(path: Path | None, files: list[str], overrides: list[str]) -> Validation:
    words = _source_words(path, files, overrides) if path else []
    config = load(files, [*words, *overrides])
    guessed: Guess | None = None
    if isinstance(config.source, TableSource.Config):
        guessed = _guess(config.source)
        own = {word.partition("=")[0] for word in overrides}
        wanted = guessed.overrides if files == [_DEFAULT] else [w for w in guessed.overrides if ".columns." in w]
        given = {f"source.columns.{key}" for key in config.source.columns}
        words += [word for word in wanted if word.partition("=")[0] not in own | given]
        config = load(files, [*words, *overrides])
    name = str(path) if path else str(getattr(config.source, "folder", "")) or config.source.kind
    reader = load(files, [*words, *overrides, *_tolerant(config)])
    source = build(reader, "source")
    if isinstance(source, PresplitSource):
        raise DepError(name, "raw reviews", "a set that is published filtered and split", "use dep prepare, dep probe")
    corpora = source.load()
    if any(BROKEN in log.refused for log in source.logs):
        words.append("source.skip_broken=true")
    if len(corpora) > 1 and isinstance(source, TableSource) and not users_left(corpora, config.protocol):
        together = merged(corpora, source.config.category)
        if users_left(together, config.protocol):
            corpora = together
            words.append("source.columns.category=")
    counted = survey(corpora)
    left = _steps(corpora, config)
    loosened = loosen(corpora, config.protocol) if left[-1].users < ENOUGH else None
    probe = _probe(corpora, config, loosened)
    usable = bool(probe) and bool(left[-1].users or loosened)
    next_words = [*words, *overrides, *(loosened.changes if loosened else [])]
    refused = [note for log in source.logs for note in log.notes()]
    return Validation(
        name=name,
        format=_format(source),
        logs=source.logs,
        columns=_columns(source, guessed, counted),
        unused=source.unused if isinstance(source, Amazon | TableSource) else [],
        survey=counted,
        rating_max=source.config.rating_max if isinstance(source, TableSource) else 5.0,
        steps=left,
        loosened=loosened,
        probe=probe,
        verdict=verdict(probe.rows, probe.gain) if probe and usable else _hopeless(corpora, loosened),
        notes=[note for note in source.notes if not any(map(note.endswith, refused)) and "have no rating" not in note],
        command=["dep", "prepare", *files, *next_words] if usable else [],
    )


def _source_words(path: Path, files: list[str], overrides: list[str]) -> list[str]:
    """The settings that make the source read `path`; those of a configuration for the same kind of source stay."""
    found = detect(path)
    base: Any = load(files, overrides).source
    if found[0] != f"source.kind={base.kind}":
        return found
    if files == [_DEFAULT]:
        return found[1:]
    if isinstance(base, TableSource.Config) and not (path / base.path).is_file():
        return ["source.folder=", f"source.path={path}"]
    return [f"source.folder={path}"] if path.is_dir() else found[1:]


def _tolerant(config: RunConfig) -> list[str]:
    return ["source.skip_broken=true"] if isinstance(config.source, TableSource.Config) else []


def _guess(config: TableSource.Config) -> Guess:
    """Guess the columns that the configuration does not name.

    Raises:
        DepError: there are no rows, or a needed column is not found.
    """
    path = table_files.find(config.folder, config.path)[0]
    rows = table_files.peek(path, _PEEK, config.delimiter, skip_broken=True)
    if not rows:
        raise MissingFile(str(path), "reviews, one a row", "no rows", "give another file")
    found = guess(rows, config.columns)
    missing = [key for key in NEEDED if not found.columns.get(key)]
    if missing:
        present = list(dict.fromkeys(str(key) for row in rows for key in row))
        raise DepError(
            str(path), f"columns for {', '.join(NEEDED)}",
            f"none that can be guessed for {' and '.join(missing)} among {', '.join(present)}",
            f"name it, as source.columns.{missing[0]}={present[0]}",
        )  # fmt: skip
    return found


def _columns(source: Any, guessed: Guess | None, counted: Survey) -> list[Column]:
    """How fields were found; none for a source of the user's own."""
    if isinstance(source, Amazon):
        fixed = source.columns
        of_reviews = {**fixed._asdict(), "item": " or ".join(fixed.item)}
        columns = [Column(key, of_reviews[key], f"as published in {source.release}") for key in FIELDS[:6]]
        counts = {"title": counted.items_titled, "description": counted.items_described}
        return columns + [Column(f"item_{key}", key if n else "", "in the metadata") for key, n in counts.items()]
    if guessed is None:
        return []
    columns = []
    for key in FIELDS:
        column = source.columns.get(key, "")
        how = f"guessed {guessed.reasons[key]}" if key in guessed.reasons else "set" if column != key else "same name"
        columns.append(Column(key, column, how))
    return columns


def _format(source: Any) -> str:
    if not isinstance(source, TableSource):
        return {"amazon2014": "Amazon Reviews 2014", "amazon2023": "Amazon Reviews 2023"}.get(source.kind, source.kind)
    paths = source.paths()
    kind = table_files.format_of(paths[0])
    if kind in ("CSV", "TSV"):
        mark = source.config.delimiter or table_files.delimiter_of(paths[0])
        kind += f", fields divided by {'a tab' if mark == chr(9) else repr(mark)[1:-1]}"
    return f"{kind}, {len(paths)} files" if len(paths) > 1 else kind


def _steps(corpora: Mapping[str, Corpus], config: RunConfig) -> list[Step]:
    """What each filter leaves, of all categories together."""
    rows = sum(len(corpus.reviews) for corpus in corpora.values())
    with stage("counting what each filter leaves", len(corpora), show=rows > 30_000) as advance:
        counted = []
        for corpus in corpora.values():
            counted.append(steps(corpus, config.protocol))
            advance(1)
    longest = max(counted, key=len)
    whole = [[step for found in counted for step in found if step.what == first.what] for first in longest]
    return [
        Step(
            same[0].what, same[0].settings, sum(s.reviews for s in same), sum(s.users for s in same),
            sum(s.items for s in same), all(s.off for s in same),
        )
        for same in whole
    ]  # fmt: skip


def _probe(corpora: Mapping[str, Corpus], config: RunConfig, loosened: Loosened | None) -> Probe | None:
    """Probe a sample of the category with most users; None if it has no two users to tell apart."""
    protocol = loosened.config if loosened else config.protocol
    kept: dict[str, Histories] = {category: passing(corpus, protocol) for category, corpus in corpora.items()}
    category = max(kept, key=lambda name: (len(kept[name]), len(corpora[name].reviews)))
    histories = kept[category]
    if len(histories) < 2:
        histories = {}
        for review in corpora[category].reviews:
            histories.setdefault(review.user, []).append(review)
    chosen = sample(corpora[category], histories)
    reviews = chosen.corpus.reviews
    with stage("telling authors by their style", len(reviews), show=len(reviews) > 500) as advance:
        his_NE = style_vectors([review.text for review in reviews], advance=advance)
        diff_NE, peers_N = differences(his_NE, [r.user for r in reviews], [r.item for r in reviews])
        try:
            ranks = author_ranks(chosen.corpus, Vectors(his_NE, diff_NE, peers_N), chosen.rows)
        except DepError:  # fewer than two users with two reviews each
            return None
    return Probe(category, rows_of(ranks), ranks.gain(), len(reviews))


def _hopeless(corpora: Mapping[str, Corpus], loosened: Loosened | None) -> Verdict:
    """The verdict where nothing can be trained or tested."""
    users = {review.user for corpus in corpora.values() for review in corpus.reviews}
    items = {review.item for corpus in corpora.values() for review in corpus.reviews}
    if len(users) < 2:
        why = "all reviews are by one user, and there is nobody to differ from"
    elif len(items) < 2:
        why = "all reviews are of one item, so nobody has a past review of another one"
    elif not any(_shared(corpus) for corpus in corpora.values()):
        why = "no item has two reviewers, so nobody's review can be compared with another's"
    else:
        why = "too few users have four or more reviews of items that others reviewed too"
    return Verdict("none", f"Personalisation has no chance with these reviews: {why}.")


def _shared(corpus: Corpus) -> bool:
    reviewers: dict[str, str] = {}
    return any(reviewers.setdefault(review.item, review.user) != review.user for review in corpus.reviews)
