"""The words that set a user apart, and the votes of the blind test."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from dep.serving.page.votes import REAL, Vote, Votes, against, agreement, chosen, prefers_nll, prefers_rouge, share
from dep.serving.page.words import log_odds, tokens

VOTE = Vote("books", "ann", "i1", 3, "dep", "rag", "text a", "text b", 0.4, 0.2, 3.0, 2.0)


def test_the_word_that_only_the_user_writes_comes_first_and_the_others_word_last() -> None:
    words = log_odds(["a lovely harp !!", "a lovely drum"], ["a dull harp", "a dull drum", "a dull horn"])
    assert words[0].word == "lovely"
    assert words[0][2:] == (2, 0)
    assert words[-1].word == "dull"
    assert words[0].z > 0 > words[-1].z
    assert abs(next(word.z for word in words if word.word == "a")) < abs(words[0].z) / 4


def test_log_odds_are_those_of_the_formula() -> None:
    word = next(word for word in log_odds(["x x y"], ["x y y y"]) if word.word == "x")
    prior = 100 * 3 / 7
    delta = math.log((2 + prior) / (3 + 100 - 2 - prior)) - math.log((1 + prior) / (4 + 100 - 1 - prior))
    assert word.z == pytest.approx(delta / math.sqrt(1 / (2 + prior) + 1 / (1 + prior)))


def test_texts_without_words_have_no_difference() -> None:
    assert log_odds(["one"], []) == log_odds([], ["one"]) == []
    assert tokens(["It's FINE!! … 😀 42"]) == {"it's": 1, "fine": 1, "!!": 1, "…": 1, "😀": 1}


def test_votes_come_back_as_they_were_stored(tmp_path: Path) -> None:
    votes = Votes(tmp_path / "votes.sqlite")
    assert votes.all() == []
    some = [replace(VOTE, choice="a"), replace(VOTE, system_b=REAL, rouge_b=None, nll_b=None, choice="neither")]
    for vote in some:
        votes.add(vote)
    assert Votes(votes.path).all() == some


def test_agreement_counts_votes_for_the_text_that_a_metric_prefers() -> None:
    votes = [replace(VOTE, choice="a"), replace(VOTE, choice="neither"), replace(VOTE, rouge_b=0.4, choice="b")]
    rouge, nll = agreement(votes, prefers_rouge), agreement(votes, prefers_nll)
    assert rouge is not None
    assert nll is not None
    assert (rouge.share, rouge.n) == (0.75, 2)  # equal values are left out
    assert (nll.share, nll.n) == (0.5, 3)
    real = [replace(VOTE, system_b=REAL, rouge_b=None, nll_b=None, choice="b")]
    assert agreement(real, prefers_nll) is None
    assert against([*votes, *real], REAL, "dep") == real
    found = chosen(real, REAL)
    assert found is not None
    assert found.share == 1


def test_the_interval_is_wilsons() -> None:
    found = share([1.0] * 8 + [0.0] * 2)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)  # of Wilson (1927), as in R's binom
    assert share([]) is None
