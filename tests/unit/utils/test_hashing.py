from __future__ import annotations

import hashlib
from pathlib import Path

from dep.utils.hashing import file_digest, json_digest, seed_from, sequence_digest, short_digest, text_digest


def test_digests_are_sha256_of_the_bytes(tmp_path: Path) -> None:
    expected = hashlib.sha256("é".encode())
    (tmp_path / "a").write_text("é", encoding="utf-8")
    assert text_digest("é") == file_digest(tmp_path / "a") == expected.hexdigest()
    assert short_digest("é") == expected.digest()[:16]
    assert seed_from("é", 4) == int.from_bytes(expected.digest()[:4], "big")


def test_the_order_of_keys_changes_no_digest_and_paths_are_hashed_as_text() -> None:
    assert json_digest({"a": 1, "b": Path("x")}) == json_digest({"b": "x", "a": 1})
    assert json_digest({"a": 1}) != json_digest({"a": 2})


def test_a_sequence_is_told_from_another_with_the_same_letters() -> None:
    assert sequence_digest(["ab", "c"]) != sequence_digest(["a", "bc"])
    assert sequence_digest(["a"], salt="x") != sequence_digest(["a"])
    assert sequence_digest(["\ud800"]) != sequence_digest(["?"])
