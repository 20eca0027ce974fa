from __future__ import annotations

import math
import random
import subprocess
import sys
import textwrap

import pytest
import torch
from torch import Tensor

from dep.data.vectors import difference
from dep.data.vectors.difference import Weighting, differences


def _world(seed: int, rows: int = 40, dim: int = 5) -> tuple[Tensor, list[str], list[str], Tensor]:
    """Vectors, users, items and a pool, with repeated (user, item) pairs, lone items and rows out of the pool."""
    rng = random.Random(seed)
    users = [f"u{rng.randrange(7)}" for _ in range(rows)]
    items = [f"i{rng.randrange(6)}" for _ in range(rows - 2)] + ["lone", "lone"]
    users[-1] = users[-2]
    pool = torch.tensor([rng.random() < 0.8 for _ in range(rows)])
    x_NE = torch.randn(rows, dim, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(x_NE, dim=1), users, items, pool


def _oracle(
    his: list[list[float]],
    users: list[str],
    items: list[str],
    pool: list[bool],
    weighting: str,
    source: dict[str, str] | None = None,
    times: list[int] | None = None,
) -> tuple[list[list[float]], list[int]]:
    """Eq. 4 and the authors' weights, one review and one peer at a time; `source`: whose peers an item gets."""
    n, dim = len(his), len(his[0])

    def mean(rows: list[int]) -> list[float]:
        return [math.fsum(his[row][e] for row in rows) / len(rows) for e in range(dim)]

    profile = {}
    for user in set(users):
        own = [row for row in range(n) if users[row] == user]
        profile[user] = mean([row for row in own if pool[row]] or own)
    diffs, counts = [], []
    for row in range(n):
        peers, used = {}, (source or {}).get(items[row], items[row])
        for other in sorted(set(users) - {users[row]}):
            theirs = [r for r in range(n) if (users[r], items[r]) == (other, used) and pool[r]]
            theirs = [r for r in theirs if times is None or times[r] < times[row]]
            if theirs:
                peers[other] = mean(theirs)
        counts.append(len(peers))
        weights = dict.fromkeys(peers, 1 / max(len(peers), 1))
        if weighting == "profile_distance" and peers:
            distance = {other: math.dist(profile[users[row]], profile[other]) for other in peers}
            total = math.fsum(distance.values())
            power = {other: math.exp(d / total if total else 0) for other, d in distance.items()}
            weights = {other: p / math.fsum(power.values()) for other, p in power.items()}
        diffs.append([math.fsum(w * (his[row][e] - peers[o][e]) for o, w in weights.items()) for e in range(dim)])
    return diffs, counts


@pytest.mark.parametrize("weighting", ["uniform", "profile_distance"])
@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_differences_agree_with_the_equation_written_as_loops(
    weighting: Weighting, pooled: bool, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(difference, "_ROWS", 3)
    his_NE, users, items, pool_N = _world(seed)
    pool_N = pool_N if pooled else torch.ones_like(pool_N)
    diff_NE, peers_N = differences(his_NE, users, items, weighting, pool_N if pooled else None)
    expected, counts = _oracle(his_NE.double().tolist(), users, items, pool_N.tolist(), weighting)
    assert peers_N.tolist() == counts
    torch.testing.assert_close(diff_NE.double(), torch.tensor(expected, dtype=torch.float64), atol=1e-7, rtol=0)


@pytest.mark.parametrize("seed", range(4))
def test_the_control_takes_the_peers_of_another_item_a_different_one_for_each_item(seed: int) -> None:
    his_NE, users, items, pool_N = _world(seed)
    names = sorted(set(items))
    circle = torch.randperm(len(names), generator=torch.Generator().manual_seed(0)).tolist()
    source = {names[circle[at]]: names[circle[at - 1]] for at in range(len(names))}
    assert sorted(source.values()) == names
    assert all(item != other for item, other in source.items())
    diff_NE, peers_N = differences(his_NE, users, items, "other_item", pool_N)
    expected, counts = _oracle(his_NE.double().tolist(), users, items, pool_N.tolist(), "uniform", source)
    assert peers_N.tolist() == counts
    torch.testing.assert_close(diff_NE.double(), torch.tensor(expected, dtype=torch.float64), atol=1e-7, rtol=0)


@pytest.mark.parametrize("seed", range(4))
def test_earlier_peers_alone_agree_with_the_equation_written_as_loops(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(difference, "_ROWS", 3)
    his_NE, users, items, pool_N = _world(seed)
    rng = random.Random(seed)
    times = [rng.randrange(30) for _ in users]
    diff_NE, peers_N = differences(his_NE, users, items, "uniform", pool_N, times)
    expected, counts = _oracle(his_NE.double().tolist(), users, items, pool_N.tolist(), "uniform", None, times)
    assert peers_N.tolist() == counts
    assert counts != _oracle(his_NE.double().tolist(), users, items, pool_N.tolist(), "uniform")[1]
    torch.testing.assert_close(diff_NE.double(), torch.tensor(expected, dtype=torch.float64), atol=1e-7, rtol=0)


def test_earlier_peers_have_no_profile_distance() -> None:
    his_NE, users, items, pool_N = _world(0)
    with pytest.raises(ValueError, match="expected weighting 'uniform'"):
        differences(his_NE, users, items, "profile_distance", pool_N, list(range(len(users))))


@pytest.mark.parametrize("weighting", ["uniform", "profile_distance"])
def test_an_item_that_nobody_else_reviewed_gives_zeros_and_no_peers(weighting: Weighting) -> None:
    his_NE, users, items, _ = _world(0)
    diff_NE, peers_N = differences(his_NE, users, items, weighting)
    assert peers_N[-2:].tolist() == [0, 0], "two reviews, one author"
    assert diff_NE[-2:].abs().max() == 0
    alone_NE, none_N = differences(his_NE[:1], users[:1], items[:1], weighting)
    assert (alone_NE.abs().sum().item(), none_N.tolist()) == (0, [0])


@pytest.mark.parametrize("weighting", ["uniform", "profile_distance"])
def test_an_authors_own_reviews_are_never_peers_not_even_with_another_text(weighting: Weighting) -> None:
    his_NE = torch.eye(3)
    diff_NE, peers_N = differences(his_NE, ["a", "a", "b"], ["i", "i", "i"], weighting)
    assert peers_N.tolist() == [1, 1, 1]
    torch.testing.assert_close(diff_NE[0], his_NE[0] - his_NE[2])
    torch.testing.assert_close(diff_NE[2], his_NE[2] - (his_NE[0] + his_NE[1]) / 2)


@pytest.mark.parametrize("weighting", ["uniform", "profile_distance"])
@pytest.mark.parametrize("by_item", [False, True])
def test_the_order_of_rows_changes_nothing(weighting: Weighting, by_item: bool) -> None:
    his_NE, users, items, pool_N = _world(5, rows=200)
    order = torch.randperm(200, generator=torch.Generator().manual_seed(1))
    if by_item:
        order = torch.tensor(sorted(range(200), key=lambda row: (items[row], users[row])))
    diff_NE, peers_N = differences(his_NE, users, items, weighting, pool_N)
    shuffled = [users[at] for at in order], [items[at] for at in order]
    moved_NE, moved_N = differences(his_NE[order], *shuffled, weighting, pool_N[order])
    assert torch.equal(moved_N, peers_N[order])
    torch.testing.assert_close(moved_NE, diff_NE[order], atol=1e-6, rtol=0)


def test_the_authors_weights_favour_peers_with_unlike_profiles() -> None:
    # c writes like a everywhere, b does not; on item i both are peers of a.
    his_NE = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]])
    users, items = ["a", "b", "c", "c"], ["i", "i", "i", "elsewhere"]
    diff_NE, _ = differences(his_NE, users, items, "profile_distance")
    towards_b, towards_c = -diff_NE[0, 1], -diff_NE[0, 2]
    assert towards_b > towards_c > 0
    torch.testing.assert_close(towards_b + towards_c, torch.tensor(1.0))


def test_peers_with_equal_profiles_have_equal_weights() -> None:
    his_NE = torch.tensor([[1.0, 0], [1, 0], [1, 0]])
    diff_NE, peers_N = differences(his_NE, ["a", "b", "c"], ["i"] * 3, "profile_distance")
    assert peers_N.tolist() == [2, 2, 2]
    assert diff_NE.abs().max() == 0


def test_wrong_sizes_and_unknown_weightings_are_named() -> None:
    with pytest.raises(ValueError, match="each of 3 vectors, found 2, 3 and 3"):
        differences(torch.eye(3), ["a", "b"], ["i"] * 3)
    with pytest.raises(ValueError, match="found 'cosine'"):
        differences(torch.eye(1), ["a"], ["i"], "cosine")  # type: ignore[arg-type]


def test_the_first_differences_of_a_process_leave_torch_its_number_of_threads() -> None:
    code = """
        import torch
        from dep.data.vectors.difference import differences
        torch.set_num_threads(1)
        differences(torch.eye(3), ["ann", "bob", "cy"], ["harp"] * 3)
        print(torch.get_num_threads())
    """
    found = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["1"]
