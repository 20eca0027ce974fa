"""Finds the source that reads a file or folder which a user names."""

from __future__ import annotations

from pathlib import Path

from dep.data.sources import files, table_files
from dep.utils.errors import MissingFile


def detect(path: Path) -> list[str]:
    """Return the settings of the source that reads a path or a pattern such as `part-*.csv`, as `source.kind=table`.

    Files named as an Amazon release's are read as such, which finds the items' metadata; all others are tables.

    Raises:
        MissingFile: there is nothing at the path, or a folder holds no reviews.
        DepError: the file is no table by its name.
    """
    if "*" in path.name:
        table_files.find("", str(path))
        return ["source.kind=table", f"source.path={path}"]
    if not path.exists():
        raise MissingFile(str(path), "a file or folder of reviews", files.listing(path.parent), "check its name")
    folder = path if path.is_dir() else path.parent
    found: list[str] = []
    if any(folder.glob("meta_*.jsonl*")) and (path.is_dir() or (folder / f"meta_{path.name}").is_file()):
        found = ["source.kind=amazon2023", f"source.folder={folder}"]
    elif (
        any(folder.glob("reviews_*.json")) or any(folder.glob("reviews_*.json.gz"))
        if path.is_dir()
        else path.name.startswith("reviews_") and path.name.endswith((".json", ".json.gz")) and _is_2014(path)
    ):
        found = ["source.kind=amazon2014", f"source.folder={folder}"]
    if found and path.is_file():
        category = path.name.split(".")[0].removeprefix("reviews_").removesuffix("_5")
        found.append(f"source.categories=[{category}]")
    if not found:
        table_files.find("", str(path))
        found = ["source.kind=table", f"source.path={path}"]
    return found


def _is_2014(path: Path) -> bool:
    """Whether the rows have the columns of the 2014 release."""
    first = table_files.peek(path, 1, skip_broken=True)
    return bool(first) and {"reviewerID", "asin", "reviewText", "unixReviewTime"} <= first[0].keys()
