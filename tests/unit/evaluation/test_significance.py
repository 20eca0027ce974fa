from __future__ import annotations

import random

import numpy as np
import pytest

from dep.evaluation import significance
from dep.evaluation.metrics.bleu import Bleu, bleu_of_sums
from dep.evaluation.significance import (
    draws,
    holm,
    mean_interval,
    paired,
    paired_statistic,
    statistic_interval,
)

USERS = ["u2", "u1", "u2", "u3", "u1", "u2", "u4"]
A = [0.9, 0.1, 0.4, 0.7, 0.3, 0.5, 0.2]
B = [0.5, 0.2, 0.1, 0.6, 0.3, 0.1, 0.4]


# --- a reference implementation in plain loops, with the same draws of users ----------------------


def users_in_order(users):
    return list(dict.fromkeys(users))


def percentile(values, share):
    """Linear interpolation between order statistics."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def loop_bootstrap(examples, users, statistic, n_boot, seed):
    """Return `statistic` of the examples of each resample's users."""
    order = users_in_order(users)
    values = []
    for drawn in draws(len(order), n_boot, seed).tolist():
        resample = []
        for number in drawn:
            resample += [example for example, user in zip(examples, users, strict=True) if user == order[number]]
        values.append(statistic(resample))
    return values


def interval_95(values):
    return percentile(values, 0.025), percentile(values, 0.975)


def mean(values):
    return sum(values) / len(values)


def mean_difference(chosen):
    return mean([a for a, _ in chosen]) - mean([b for _, b in chosen])


def loop_p_value(a, b, users, statistic, n_boot, seed):
    """Return the share of resamples with swapped users whose difference is at least as large as the true one."""
    order = users_in_order(users)
    true = abs(statistic(a) - statistic(b))
    extreme = 0
    for swaps in significance._swaps(len(order), n_boot, seed).tolist():
        swapped = {user for user, swap in zip(order, swaps, strict=True) if swap}
        one = [y if user in swapped else x for x, y, user in zip(a, b, users, strict=True)]
        other = [x if user in swapped else y for x, y, user in zip(a, b, users, strict=True)]
        extreme += abs(statistic(one) - statistic(other)) >= true - 1e-12
    return (extreme + 1) / (n_boot + 1)


# --- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("users", [USERS, None])
def test_the_interval_of_a_mean_equals_the_loops(users):
    owners = users or [str(i) for i in range(len(A))]
    resampled = loop_bootstrap(A, owners, mean, 300, 5)
    found = mean_interval(A, users, n_boot=300, seed=5, level=0.9)
    assert found.value == pytest.approx(mean(A))
    assert (found.low, found.high) == pytest.approx((percentile(resampled, 0.05), percentile(resampled, 0.95)))
    assert found.n == len(A)


@pytest.mark.parametrize("users", [USERS, None])
def test_a_paired_comparison_of_means_equals_the_loops(users):
    owners = users or [str(i) for i in range(len(A))]
    resampled = loop_bootstrap(list(zip(A, B, strict=True)), owners, mean_difference, 300, 5)
    found = paired(A, B, users, n_boot=300, seed=5)
    assert found.delta == pytest.approx(mean(A) - mean(B))
    assert (found.low, found.high) == pytest.approx(interval_95(resampled))
    assert found.p == pytest.approx(loop_p_value(A, B, owners, mean, 300, 5))
    assert found.n == len(A)


def test_a_comparison_of_bleu_equals_loops_that_score_the_texts_again():
    import sacrebleu

    rng = random.Random(0)
    words = ["a", "film", "was", "great", "and", "the", "music", "loud"]
    references = [" ".join(rng.choices(words, k=12)) for _ in USERS]
    a = [" ".join([*text.split()[:8], *rng.choices(words, k=4)]) for text in references]
    b = [" ".join([*rng.choices(words, k=6), *text.split()[6:]]) for text in references]

    def corpus_bleu(pairs):
        texts, theirs = zip(*pairs, strict=True)
        return sacrebleu.corpus_bleu(texts, [theirs]).score

    pairs_a, pairs_b = list(zip(a, references, strict=True)), list(zip(b, references, strict=True))
    bleu, n_boot, seed = Bleu(), 60, 3
    rows_a, rows_b = bleu.statistics(a, references), bleu.statistics(b, references)

    resampled_a = loop_bootstrap(pairs_a, USERS, corpus_bleu, n_boot, seed)
    resampled_b = loop_bootstrap(pairs_b, USERS, corpus_bleu, n_boot, seed)
    alone = statistic_interval(rows_a, bleu_of_sums, USERS, n_boot, seed)
    assert alone.value == pytest.approx(corpus_bleu(pairs_a))
    assert (alone.low, alone.high) == pytest.approx(interval_95(resampled_a))

    difference = corpus_bleu(pairs_a) - corpus_bleu(pairs_b)
    differences = [x - y for x, y in zip(resampled_a, resampled_b, strict=True)]
    found = paired_statistic(rows_a, rows_b, bleu_of_sums, USERS, n_boot, seed)
    assert found.delta == pytest.approx(difference)
    assert (found.low, found.high) == pytest.approx(interval_95(differences))
    assert found.p == pytest.approx(loop_p_value(pairs_a, pairs_b, USERS, corpus_bleu, n_boot, seed))


def test_p_approaches_the_exact_randomisation_p():
    """All six pairs favour a. Two of the 2^6 sign patterns are as extreme, so p = 1/32."""
    found = paired([1.0, 2, 3, 4, 5, 6], [0.0] * 6, n_boot=20000)
    assert found.p == pytest.approx(1 / 32, abs=0.004)


def test_equal_systems_have_p_one_and_p_is_never_zero():
    assert paired(A, A).p == 1
    assert paired(A, A)[:3] == (0, 0, 0)
    better = paired(np.linspace(1, 2, 200), np.zeros(200), n_boot=500)
    assert better.p == 1 / 501


def test_the_difference_is_a_minus_b():
    forth, back = paired(A, B, USERS), paired(B, A, USERS)
    assert forth.delta == -back.delta > 0
    assert (forth.low, forth.high) == pytest.approx((-back.high, -back.low))
    assert forth.p == back.p


def test_a_single_user_gives_no_significant_difference():
    found = paired(A, B, ["u"] * len(A))
    assert found.p == 1
    assert found.low == pytest.approx(found.delta)
    assert found.high == pytest.approx(found.delta)


def test_equal_seeds_give_equal_numbers_and_other_seeds_give_other_numbers():
    assert paired(A, B, seed=1) == paired(A, B, seed=1)
    one, other = paired(A, B, n_boot=200, seed=1), paired(A, B, n_boot=200, seed=2)
    assert one.p != other.p
    assert one[1:3] != other[1:3]


def test_blocks_of_resamples_do_not_change_the_numbers(monkeypatch):
    whole = paired(A, B, USERS)
    monkeypatch.setattr(significance, "_BLOCK", 7)
    assert paired(A, B, USERS) == pytest.approx(whole)


# --- coverage of the intervals --------------------------------------------------------------------


def test_intervals_by_user_cover_the_true_mean_and_intervals_by_review_do_not():
    """200 worlds of 40 users with 6 reviews each; the user effect is as large as the noise; 95% intervals."""
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(40), 6).tolist()
    covered = {"user": 0, "review": 0}
    for world in range(200):
        values = np.repeat(rng.normal(size=40), 6) + rng.normal(size=240)
        for unit, by in (("user", users), ("review", None)):
            found = mean_interval(values, by, n_boot=200, seed=world)
            covered[unit] += found.low <= 0 <= found.high
    assert 0.89 <= covered["user"] / 200 <= 0.99
    assert covered["review"] / 200 < 0.80


def test_one_in_twenty_tests_of_equal_systems_has_p_below_five_percent():
    rng = np.random.default_rng(1)
    users = np.repeat(np.arange(20), 3).tolist()
    below = 0
    for world in range(300):
        a, b = (np.repeat(rng.normal(size=20), 3) for _ in "ab")
        below += paired(a, b, users, n_boot=200, seed=world).p <= 0.05
    assert 0.02 <= below / 300 <= 0.085


# --- Holm -----------------------------------------------------------------------------------------


def test_holms_adjustment_by_hand():
    # Sorted .01 .02 .03 .04: times 4, 3, 2, 1 = .04 .06 .06 .04; never below the one before.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.6, 0.5]) == [1, 1]
    assert holm([]) == []
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        holm([0.5, 1.5])


# --- wrong input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mean_interval([]), "at least one example"),
        (lambda: mean_interval([1.0, float("nan")]), "example 1 has a value that is not finite"),
        (lambda: mean_interval([1.0, 2.0], ["u"]), "1 users for 2 examples"),
        (lambda: mean_interval([[1.0, 2.0]]), "one number for each example"),
        (lambda: mean_interval([1.0], level=95), "between 0 and 1, got 95"),
        (lambda: paired([1.0, 2.0], [1.0]), "a has shape"),
    ],
)
def test_wrong_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
