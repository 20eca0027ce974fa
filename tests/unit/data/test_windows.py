"""The order of training: a function of seed and epoch alone."""

from __future__ import annotations

from dep.data.datamodule import Batching, ReviewData, WindowSampler
from dep.data.protocol import ReviewDataset
from dep.types import Example

LENGTHS = [7, 3, 9, 1, 5, 8, 2, 6, 4, 10, 11]


def steps(micro: int, ranks: int = 1, epoch: int = 0, seed: int = 0) -> list[set[int]]:
    """The examples of each optimizer step, all ranks together."""
    per_rank = [list(WindowSampler(LENGTHS, 4, micro, seed, lambda r=r: (epoch, r, ranks))) for r in range(ranks)]  # type: ignore[misc]
    per_step = 4 // micro // ranks
    count = len(per_rank[0]) // per_step
    return [
        {at for rows in per_rank for batch in rows[s * per_step : (s + 1) * per_step] for at in batch}
        for s in range(count)
    ]


def test_an_optimizer_step_sees_the_same_examples_whatever_the_micro_batch_and_devices() -> None:
    assert steps(1) == steps(2) == steps(4) == steps(2, ranks=2) == steps(1, ranks=4)


def test_every_example_comes_in_every_epoch_and_the_order_changes() -> None:
    first, second = steps(2, epoch=0), steps(2, epoch=1)
    assert set().union(*first) == set().union(*second) == set(range(len(LENGTHS)))
    assert first != second
    assert steps(2, epoch=1) == second


def test_the_last_window_is_filled_so_that_all_steps_weigh_the_same() -> None:
    rows = list(WindowSampler(LENGTHS, 4, 2, 0, lambda: (0, 0, 1)))
    assert [len(row) for row in rows] == [2] * 6
    assert len(rows) == len(WindowSampler(LENGTHS, 4, 2, 0, lambda: (0, 0, 1)))


def test_more_room_in_a_window_than_examples_repeats_them() -> None:
    rows = list(WindowSampler([1, 2], 8, 4, 0, lambda: (0, 0, 1)))
    assert sorted(at for row in rows for at in row) == [0] * 4 + [1] * 4


def test_a_micro_batch_holds_rows_of_like_length() -> None:
    for first, second in zip(*[iter(WindowSampler(LENGTHS[:8], 4, 2, 0, lambda: (0, 0, 1)))] * 2, strict=True):
        assert max(LENGTHS[at] for at in first) <= min(LENGTHS[at] for at in second)


def test_a_training_that_goes_on_from_another_draws_a_later_epochs_order() -> None:
    on = list(WindowSampler(LENGTHS, 4, 2, 0, lambda: (0, 0, 1), passed=1))
    assert on == list(WindowSampler(LENGTHS, 4, 2, 0, lambda: (1, 0, 1)))
    assert on != list(WindowSampler(LENGTHS, 4, 2, 0, lambda: (0, 0, 1)))


def test_a_sample_of_training_examples_is_the_same_for_every_seed_and_other_splits_are_whole() -> None:
    examples = [Example("Books", split, row, ()) for split in ("train", "val") for row in range(20)]
    prepared = ReviewDataset({}, examples, {})
    some = [
        ReviewData(prepared, None, None, None, 0, Batching(4, 2, 2, seed, max_examples=limit))  # type: ignore[arg-type]
        for seed, limit in ((0, 6), (1, 6), (0, None), (0, 99))
    ]
    sample, again, every, more = [data.examples("train") for data in some]
    assert len(sample) == 6
    assert sample == again
    assert set(sample) < set(every)
    assert every == more == examples[:20]
    assert some[0].examples("val") == examples[20:]
