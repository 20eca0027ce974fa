"""The SQLite file of a store: its tables, how it is opened, and its transactions.

    author, category, item    names; a category and an item also have the count and the exact sum of their vectors
    about                     titles and descriptions of items, each once, and how many reviews name it
    review                    one row for each (item, author), with the vector [E] as float32
    release                   private means that were drawn, and how often (`private_means`)
    meta                      width, embedder and settings

SQLite is part of Python, changes one row in microseconds, and recovers by itself from a process that was killed: a
transaction is in the file whole or not at all. DuckDB stores columns, which suits scans of a whole table; a store reads
and writes single rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dep.utils.errors import DepError

_APPLICATION = 0x64657031  # "dep1"
_FORMAT = 1
_PAGE = 8192
_CACHE_KB = 65_536
_MAP_BYTES = 2**31 - 65_536
_CHECKPOINT_PAGES = 16_384
"""Pages in the write-ahead log above which SQLite moves them into the store's file: 128 MB."""
_STATEMENTS = 64
"""Prepared statements that a connection keeps."""
_WAIT = 30.0
"""Seconds that a process waits for another one that writes."""
_TABLES = """
CREATE TABLE meta(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE category(
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, count INTEGER NOT NULL, sum BLOB NOT NULL);
CREATE TABLE author(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, spent INTEGER NOT NULL DEFAULT 0);
CREATE TABLE item(
    id INTEGER PRIMARY KEY, category INTEGER NOT NULL, name TEXT NOT NULL, count INTEGER NOT NULL, sum BLOB NOT NULL,
    UNIQUE(category, name));
CREATE TABLE about(
    id INTEGER PRIMARY KEY, item INTEGER NOT NULL, title TEXT NOT NULL, description TEXT NOT NULL,
    uses INTEGER NOT NULL);
CREATE INDEX about_by_item ON about(item);
CREATE TABLE review(
    id INTEGER PRIMARY KEY, item INTEGER NOT NULL, author INTEGER NOT NULL, time INTEGER NOT NULL, about INTEGER,
    rating REAL, title TEXT NOT NULL, text TEXT NOT NULL, vector BLOB NOT NULL);
CREATE UNIQUE INDEX review_by_key ON review(item, author);
CREATE INDEX review_by_time ON review(item, time);
CREATE INDEX review_by_author ON review(author, time);
CREATE TABLE release(
    item INTEGER PRIMARY KEY, times INTEGER NOT NULL, newest INTEGER, size INTEGER, count REAL, sum BLOB);
"""


def connect(path: Path) -> sqlite3.Connection:
    """Open a store's file, or create it with empty tables.

    Raises:
        DepError: the file is no store, or a newer version of this package wrote it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(
        path, timeout=_WAIT, isolation_level=None, check_same_thread=False, cached_statements=_STATEMENTS
    )
    try:
        db.execute(f"PRAGMA page_size={_PAGE}")
        for setting in (
            "journal_mode=WAL",  # readers do not wait for a writer
            "synchronous=NORMAL",  # a killed process loses nothing; a power cut may lose the last commits, never parts
            "secure_delete=ON",  # deleted content is overwritten with zeros
            "temp_store=MEMORY",
            f"cache_size=-{_CACHE_KB}",
            f"mmap_size={_MAP_BYTES}",
            f"wal_autocheckpoint={_CHECKPOINT_PAGES}",
        ):
            db.execute(f"PRAGMA {setting}")
        with transaction(db, write=True):
            ours = _number(db, "application_id") == _APPLICATION
            if not ours and _number(db, "schema_version") == 0:
                for statement in _TABLES.split(";"):
                    db.execute(statement)
                db.execute(f"PRAGMA application_id={_APPLICATION}")
                db.execute(f"PRAGMA user_version={_FORMAT}")
            elif not ours or _number(db, "user_version") != _FORMAT:
                raise DepError(
                    str(path), f"a store of format {_FORMAT}",
                    f"format {_number(db, 'user_version')}" if ours else "another database", "name another file",
                )  # fmt: skip
        db.execute("CREATE TEMP TABLE batch(item INTEGER, author INTEGER)")
    except sqlite3.DatabaseError as error:
        db.close()
        raise DepError(str(path), "a store", f"{error}", "name another file") from error
    except DepError:
        db.close()
        raise
    return db


@contextmanager
def transaction(db: sqlite3.Connection, write: bool) -> Iterator[None]:
    """Make the statements in the `with` block one transaction; an error or a killed process leaves nothing of it."""
    db.execute("BEGIN IMMEDIATE" if write else "BEGIN")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def empty_log(db: sqlite3.Connection, path: Path) -> None:
    """Move the write-ahead log into the file and cut it to no bytes, so that it holds no copy of what was deleted.

    Raises:
        DepError: another process reads an older state of the file for longer than half a minute.
    """
    for number in range(_STATEMENTS):  # prepared statements hold the last values they were given: close all of them
        db.execute(f"SELECT {number}")
    busy, *_ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise DepError(
            f"{path}-wal", "no process that reads an older state", "one", "stop it and open the store again: the review"
            "s are deleted, but the log still holds them",
        )  # fmt: skip


def _number(db: sqlite3.Connection, pragma: str) -> int:
    return int(db.execute(f"PRAGMA {pragma}").fetchone()[0])
