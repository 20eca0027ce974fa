"""The world in which users exchange their traits before the test review."""

from __future__ import annotations

from pathlib import Path

import pytest

from dep.data.sources import SyntheticSource
from dep.data.synthetic.generator import make_world
from dep.data.synthetic.permuted import permuted


def test_each_user_s_last_review_and_no_other_has_another_user_s_traits() -> None:
    world = make_world("Books", 3, users=20)
    moved = permuted(world, 3)
    traits = {p.name: (p.sayings, p.tone, p.article, p.circle) for p in world.people}
    borrowed = []
    for person in world.people:
        own = [w for w in moved.written if w.person.name == person.name]
        assert [w.time for w in own] == sorted(w.time for w in world.written if w.person.name == person.name)
        assert all(w.person is person for w in own[:-1])
        last = own[-1].person
        borrowed.append((last.sayings, last.tone, last.article, last.circle))
        assert borrowed[-1] != traits[person.name]
    assert sorted(borrowed) == sorted(traits.values())
    assert permuted(world, 3) == moved


def test_a_permuted_world_has_its_own_folder_and_allows_no_drift(tmp_path: Path) -> None:
    one, other = (SyntheticSource(SyntheticSource.Config(folder=str(tmp_path), users=12, permute=p)) for p in (0, 1))
    assert one.path != other.path
    assert one.fingerprint() != other.fingerprint()
    with pytest.raises(ValueError, match=r"source\.permute: expected no drift"):
        SyntheticSource(SyntheticSource.Config(permute=True, drift=0.5))
