"""`dep validate` says what a file of reviews holds, what filters leave, and whether personalisation has a chance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dep.commands.base import Command
from dep.config.loader import load
from dep.config.schema import RunConfig, build
from dep.data.loosen import ENOUGH, loosen, merged, users_left
from dep.data.sources import PresplitSource, table_files
from dep.data.sources.amazon import Amazon
from dep.data.sources.detect import detect
from dep.data.sources.guess import Guess, guess
from dep.data.sources.rows import BROKEN
from dep.data.sources.table import NEEDED, TableSource
from dep.data.survey import survey
from dep.evaluation.author_verdict import verdict
from dep.pipeline.validation import columns_of, format_of, hopeless, probe_sample, steps_of
from dep.reporting.validation import Validation, as_json, show
from dep.utils.atomic_io import write_json
from dep.utils.errors import DepError, MissingFile

_DEFAULT = "own_data"
_PEEK = 2000
"""How many rows are read to guess columns and units."""


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
    """Return the file or folder of reviews among the words, None if there is none, and the other words."""
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
    guessed = _guess(config.source) if isinstance(config.source, TableSource.Config) else None
    if guessed:
        words += _guessed_words(guessed, config.source, files, overrides)
        config = load(files, [*words, *overrides])
    name = str(path) if path else str(getattr(config.source, "folder", "")) or config.source.kind
    reader = load(files, [*words, *overrides, *_tolerant(config)])
    source = build(reader, "source")
    if isinstance(source, PresplitSource):
        raise DepError(name, "raw reviews", "a set that is published filtered and split", "use dep prepare, dep probe")
    corpora = source.load()
    logs, notes = getattr(source, "logs", []), getattr(source, "notes", [])
    if any(BROKEN in log.refused for log in logs):
        words.append("source.skip_broken=true")
    if len(corpora) > 1 and isinstance(source, TableSource) and not users_left(corpora, config.protocol):
        together = merged(corpora, source.config.category)
        if users_left(together, config.protocol):
            corpora = together
            words.append("source.columns.category=")
    counted = survey(corpora)
    left = steps_of(corpora, config.protocol)
    users = users_left(corpora, config.protocol)
    loosened = loosen(corpora, config.protocol) if users < ENOUGH else None
    probe = probe_sample(corpora, loosened.config if loosened else config.protocol)
    usable = bool(probe) and bool(users or loosened)
    changes = loosened.changes if loosened else []
    changed = {word.partition("=")[0] for word in changes}
    next_words = [*words, *(word for word in overrides if word.partition("=")[0] not in changed), *changes]
    refused = [note for log in logs for note in log.notes()]
    notes = [note for note in notes if not any(map(note.endswith, refused)) and "have no rating" not in note]
    top = source.config.rating_max if isinstance(source, TableSource) else 5.0
    if guessed and guessed.columns.get("rating") and counted.rated < counted.reviews:
        notes.append(f"A rating below 1 or above source.rating_max={top:g} counts as missing.")
    return Validation(
        name=name,
        format=format_of(source),
        logs=logs,
        columns=columns_of(source, guessed, counted),
        unused=source.unused if isinstance(source, Amazon | TableSource) else [],
        survey=counted,
        rating_max=top,
        steps=left,
        users=users,
        loosened=loosened,
        probe=probe,
        verdict=verdict(probe.rows, probe.gain) if probe and usable else hopeless(corpora, config.protocol),
        notes=notes,
        command=["dep", "prepare", *files, *next_words] if usable else [],
    )


def _source_words(path: Path, files: list[str], overrides: list[str]) -> list[str]:
    """Return the settings that make the source read `path`; a configuration's stay if its source is of that kind."""
    if "source.kind=table" in overrides:
        return [f"source.path={path}"]
    found = detect(path)
    if any(word.startswith("source.kind=") for word in overrides):
        return [f"source.folder={path if path.is_dir() else path.parent}"]
    base: Any = load(files).source
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
        header = "; the first line must name the columns" if table_files.format_of(path) in ("CSV", "TSV") else ""
        raise DepError(
            str(path), f"columns for {', '.join(NEEDED)}",
            f"none that can be guessed for {' and '.join(missing)} among {table_files.named(present)}",
            f"name it, as source.columns.{missing[0]}={table_files.named(present[:1])}{header}",
        )  # fmt: skip
    return found


def _guessed_words(guessed: Guess, config: Any, files: list[str], overrides: list[str]) -> list[str]:
    """Return the guessed settings that the user did not give; units only if no configuration describes the table."""
    given = {word.partition("=")[0] for word in overrides} | {f"source.columns.{key}" for key in config.columns}
    wanted = guessed.overrides if files == [_DEFAULT] else [w for w in guessed.overrides if ".columns." in w]
    return [word for word in wanted if word.partition("=")[0] not in given]
