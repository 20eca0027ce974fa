"""The English world as a source: the same bytes from the same seed, the raw schema, and traits that vectors tell."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zlib
from itertools import pairwise
from pathlib import Path

import pytest
import torch

import dep
from dep.data.sources import EnglishSource
from dep.data.synthetic.english import write
from dep.data.synthetic.english.lexicon import CATEGORIES, FOLDER
from dep.data.synthetic.english.world import EnglishWorld
from dep.data.vectors.store import Vectors
from dep.utils.errors import DepError

HERE = [category for category, folder in CATEGORIES.items() if (FOLDER / folder).is_dir()]
SMALL = EnglishSource.Config(categories=HERE, users=24)


def source(folder: Path, seed: int = 0, users: int = 24) -> EnglishSource:
    return EnglishSource(EnglishSource.Config(folder=str(folder), seed=seed, categories=HERE, users=users))


def test_a_seed_gives_the_same_bytes_whatever_the_order_of_sets(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from dep.data.synthetic.english.write import write_world; "
        "from dep.data.synthetic.english.world import EnglishWorld; "
        "write_world(Path(sys.argv[1]), [EnglishWorld('Books', 3, users=20)])"
    )
    for number in "12":
        env = {**os.environ, "PYTHONHASHSEED": number}
        subprocess.run([sys.executable, "-c", code, str(tmp_path / number)], check=True, env=env)
    names = sorted(path.name for path in (tmp_path / "1").iterdir())
    assert names == ["Books.jsonl", "meta_Books.jsonl", "truth_Books.json", "world.json"]
    assert all((tmp_path / "1" / n).read_bytes() == (tmp_path / "2" / n).read_bytes() for n in names)
    assert source(tmp_path, 1).fingerprint() != source(tmp_path, 2).fingerprint()


def test_files_have_the_raw_schema_and_load_as_any_other(tmp_path: Path) -> None:
    made = source(tmp_path)
    corpora = made.load()
    assert sorted(corpora) == sorted(HERE)
    for category, corpus in corpora.items():
        rows = [json.loads(line) for line in (made.path / f"{category}.jsonl").read_text().splitlines()]
        assert sorted(r.text for r in corpus.reviews) == sorted(row["text"] for row in rows)
        assert {row["rating"] for row in rows} <= {1.0, 2.0, 3.0, 4.0, 5.0}
        assert all(1_300_000_000_000 < row["timestamp"] < 1_600_000_000_000 for row in rows)
        assert all(item.title and len(item.description) > 20 for item in corpus.items.values())
        truth = json.loads((made.path / f"truth_{category}.json").read_text())
        assert set(truth["users"]) == {r.user for r in corpus.reviews}
        assert {r.item for r in corpus.reviews} <= set(truth["items"])


def test_a_changed_phrase_makes_another_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "english"
    shutil.copytree(FOLDER.parent, package)
    before = write.content(package)
    assert before == write.content()
    with (package / "phrases/books/asides.txt").open("a", encoding="utf-8") as file:
        file.write("I own a boat\n")
    assert write.content(package) != before
    worlds = [EnglishWorld("Books", 1, users=20)]
    write.write_world(tmp_path / "world", worlds)
    reviews = tmp_path / "world/Books.jsonl"
    text = reviews.read_text()
    reviews.write_text("kept\n")
    write.write_world(tmp_path / "world", worlds)
    assert reviews.read_text() == "kept\n", "a complete world is left as it is"
    monkeypatch.setattr(write, "content", lambda: "another version")
    write.write_world(tmp_path / "world", worlds)
    assert reviews.read_text() == text


@pytest.mark.parametrize(
    ("values", "message"),
    [({"categories": ["Cars"]}, "source.categories"), ({"users": 0}, "source.users"), ({"users": 9}, "source.users")],
)
def test_settings_out_of_range_are_named(tmp_path: Path, values: dict[str, object], message: str) -> None:
    with pytest.raises(DepError, match=message):
        EnglishSource(EnglishSource.Config(**{"folder": str(tmp_path), "categories": ["Books"], **values})).load()  # type: ignore[arg-type]


def hashed(text: str, width: int = 384) -> torch.Tensor:
    """A vector of unit length: counts of hashed words and pairs of words."""
    words = re.findall(r"[a-z']+", text.lower())
    vector = torch.zeros(width)
    for gram in [*words, *map(" ".join, pairwise(words))]:
        vector[zlib.crc32(gram.encode()) % width] += 1
    return torch.nn.functional.normalize(vector.sqrt(), dim=0)


def test_a_probe_finds_planted_sayings_better_in_differences_than_in_reviews(tmp_path: Path) -> None:
    made = source(tmp_path, users=130)
    corpora, vectors = {"Books": made.load()["Books"]}, {}
    for category, corpus in corpora.items():
        his_NE = torch.stack([hashed(review.text) for review in corpus.reviews])
        diff_NE, peers_N = dep.differences(his_NE, [r.user for r in corpus.reviews], [r.item for r in corpus.reviews])
        vectors[category] = Vectors(his_NE, diff_NE, peers_N)
    auc = {(row.trait, row.vectors): row.auc_U.mean().item() for row in made.planted(corpora, vectors)}
    assert auc["sayings", "diff"] > auc["sayings", "his"] > 0.53
    assert auc["sayings, not facts", "diff"] > auc["sayings, not facts", "his"] + 0.05
    assert min(auc[trait, "diff"] for trait in ("tone", "punctuation", "case", "contractions", "emoji")) > 0.53
