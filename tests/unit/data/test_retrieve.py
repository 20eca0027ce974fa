from __future__ import annotations

from dep.data.retrieve import RETRIEVERS, Recency


def test_recency_gives_the_newest_first_and_never_more_than_there_are() -> None:
    recency = Recency()
    assert recency((3, 5, 8), 2) == [8, 5]
    assert recency((3, 5, 8), 9) == [8, 5, 3]
    assert recency((3, 5, 8), 0) == []
    assert RETRIEVERS["recency"] is Recency
