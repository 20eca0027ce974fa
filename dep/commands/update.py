"""`dep update` puts new reviews into the store of a run, which it creates from the run's reviews at first."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from rich.markup import escape

from dep.commands.base import Command
from dep.config.loader import load, load_arms
from dep.config.schema import RunConfig, identity
from dep.data.sources import SOURCES
from dep.data.sources.table import TableSource
from dep.store.reviews import StoredReview
from dep.utils.errors import DepError, MissingFile


def main(command: Command) -> None:
    """Create the store of a run if there is none, and add the reviews of files.

    Raises:
        DepError: the arms have several embedders, or the rows of a file do not say which category they belong to.
    """
    if not command.files:
        raise DepError("dep update", "the folder of a run", "none", "name one, as in `dep update runs/demo new.jsonl`")
    folder, files = Path(command.files[0]), command.files[1:]
    of_files = [word for word in command.overrides if word.startswith("source.")]
    config = _config(folder, [word for word in command.overrides if word not in of_files])
    sources = [_table(folder, config, file, of_files) for file in files]  # before anything is embedded

    from dep.utils.quick_imports import import_transformers

    import_transformers()
    from dep.pipeline.resources import Resources
    from dep.pipeline.store_update import open_store, update
    from dep.store.peer_index import STORE_FILE
    from dep.utils import progress

    progress.quiet()
    resources = Resources(config, command.console)
    index, created = open_store(folder / STORE_FILE, resources, config)
    with index:
        if created:
            command.console.print(f"[bold]store[/]  {index.path}: {len(index):,} reviews of the run")
        if config.difference.weighting != "uniform":
            command.console.print(
                f"[yellow]warning[/] the run weighs peers by difference.weighting={config.difference.weighting}; the "
                "store weighs them equally", highlight=False,
            )  # fmt: skip
        for file, source in zip(files, sources, strict=True):
            started = time.time()
            found = update(index, _reviews(file, source, index.categories()), resources.cache(config).embedder)
            for note in source.notes:
                command.console.print(f"        [yellow]{escape(note)}[/]", highlight=False)
            command.console.print(
                f"[bold]update[/] {escape(file)}: {found.new:,} new, {found.changed:,} changed, {found.unchanged:,} "
                f"unchanged; {found.embedded:,} texts embedded; {time.time() - started:.1f} s"
            )
        command.console.print(f"[bold]store[/]  {index.path}: {len(index):,} reviews")


def _config(folder: Path, overrides: list[str]) -> RunConfig:
    """Return the configuration whose embedder makes a store's vectors.

    Args:
        folder: the folder of a run, or of an arm and a seed in it.
        overrides: settings as `key=value`.

    Raises:
        MissingFile: the folder has no configuration.
        DepError: no arm of the run reads vectors, or arms read vectors of different kinds.
    """
    path = folder / "config.yaml"
    if not path.is_file():
        raise MissingFile(str(path), "the configuration of a run", "none", "name a run's folder, as runs/demo")
    if (folder / "predictions.jsonl").is_file() or (folder / "adapter_config.json").is_file():
        return load([path], overrides)
    from dep.pipeline.arm import Arm

    _, arms = load_arms([path], overrides)
    reading = {name: arm for name, arm in arms.items() if Arm(name, arm, 0, "").needs_vectors}
    kinds = {identity(arm, "embedder", "difference", "protocol"): name for name, arm in reading.items()}
    if len(kinds) != 1:
        found = ", ".join(kinds.values())
        raise DepError(
            str(folder), "arms that read one kind of vectors", f"{len(kinds)} kinds ({found})" if found else "none",
            f"name the folder of an arm, as {folder}/{next(iter(kinds.values()), 'dep')}/seed0",
        )  # fmt: skip
    return reading[next(iter(kinds.values()))]


def _table(folder: Path, config: RunConfig, file: str, overrides: list[str]) -> TableSource:
    """Return the source that reads a file of new reviews, with the columns of the run's own table if it has one."""
    same = config.source.kind == "table"
    words = [f"source.path={file}", "source.folder=", *overrides]
    settings = load([folder / "config.yaml"], words if same else ["source.kind=table", *words]).source
    assert isinstance(settings, TableSource.Config)
    source = SOURCES.build(settings)
    assert isinstance(source, TableSource)
    source.paths()
    return source


def _reviews(file: str, source: TableSource, categories: list[str]) -> list[StoredReview]:
    """Read the reviews of a file; rows that name no category belong to the only one, and rows without a time to now."""
    from dep.pipeline.store_update import stored

    found = [review for corpus in source.load().values() for review in stored(corpus)]
    unnamed = source.config.category
    if "category" not in source.columns and unnamed not in categories:
        if len(categories) != 1:
            raise DepError(
                file, "a column category", "none", f"add it, or set source.category to one of {', '.join(categories)}"
            )
        found = [replace(review, category=categories[0]) for review in found]
    if "time" not in source.columns:
        now = time.time_ns() // 1_000_000
        found = [replace(review, time=now + place) for place, review in enumerate(sorted(found, key=lambda r: r.time))]
    return found
