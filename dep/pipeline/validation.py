"""Measures what `dep validate` prints: columns of a source, what each filter leaves, and the author probe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dep.data.filters import Histories, Step, passing, reviewers_by_item, reviews_by_user, steps
from dep.data.probe_sample import sample
from dep.data.settings import ProtocolConfig
from dep.data.sources import table_files
from dep.data.sources.amazon import Amazon
from dep.data.sources.guess import Guess
from dep.data.sources.table import FIELDS, TableSource
from dep.data.survey import Survey
from dep.data.vectors.difference import differences
from dep.evaluation.author_probe import author_ranks, rows_of
from dep.evaluation.author_verdict import Verdict
from dep.evaluation.style_vectors import style_vectors
from dep.reporting.validation import Column, Probe
from dep.types import Corpus, Vectors
from dep.utils.errors import DepError
from dep.utils.progress import stage


def columns_of(source: Any, guessed: Guess | None, counted: Survey) -> list[Column]:
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


def format_of(source: Any) -> str:
    """Name the format of a source's files."""
    if not isinstance(source, TableSource):
        return {"amazon2014": "Amazon Reviews 2014", "amazon2023": "Amazon Reviews 2023"}.get(source.kind, source.kind)
    paths = source.paths()
    kind = table_files.format_of(paths[0])
    if kind in ("CSV", "TSV"):
        mark = source.config.delimiter or table_files.delimiter_of(paths[0])
        kind += f", fields divided by {'a tab' if mark == chr(9) else repr(mark)[1:-1]}"
    return f"{kind}, {len(paths)} files" if len(paths) > 1 else kind


def steps_of(corpora: Mapping[str, Corpus], protocol: ProtocolConfig) -> list[Step]:
    """Count what each filter leaves, of all categories together."""
    rows = sum(len(corpus.reviews) for corpus in corpora.values())
    with stage("counting what each filter leaves", len(corpora), show=rows > 30_000) as advance:
        counted = []
        for corpus in corpora.values():
            counted.append(steps(corpus, protocol))
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


def probe_sample(corpora: Mapping[str, Corpus], protocol: ProtocolConfig) -> Probe | None:
    """Probe a sample of the category with most users; None if it has no two users to tell apart."""
    kept: dict[str, Histories] = {category: passing(corpus, protocol) for category, corpus in corpora.items()}
    category = max(kept, key=lambda name: (len(kept[name]), len(corpora[name].reviews)))
    histories = kept[category]
    if len(histories) < 2:
        histories = reviews_by_user(corpora[category].reviews)
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


def hopeless(corpora: Mapping[str, Corpus], protocol: ProtocolConfig) -> Verdict:
    """Return the verdict where nothing can be trained or tested."""
    users = {review.user for corpus in corpora.values() for review in corpus.reviews}
    items = {review.item for corpus in corpora.values() for review in corpus.reviews}
    if len(users) < 2:
        why = "all reviews are by one user, and there is nobody to differ from"
    elif len(items) < 2:
        why = "all reviews are of one item, so nobody has a past review of another one"
    elif all(len(users) < 2 for corpus in corpora.values() for users in reviewers_by_item(corpus.reviews).values()):
        why = "no item has two reviewers, so nobody's review can be compared with another's"
    elif good := [category for category, corpus in corpora.items() if passing(corpus, protocol)]:
        bad = ", ".join(category for category in corpora if category not in good)
        why = f"nobody passes the filters in {bad}; source.categories=[{','.join(good)}] leaves that out"
    else:
        why = "too few users have four or more reviews of items that others reviewed too"
    return Verdict("none", f"Personalisation has no chance with these reviews: {why}.")
