from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from dep.config.loader import load
from dep.evaluation import wordnet as wordnet_module
from dep.evaluation import wordnet_check
from dep.evaluation.metrics import MetricsConfig, build_metric, build_metrics, text_metrics
from dep.evaluation.metrics.bleu import STATISTICS, Bleu, bleu_of_sums
from dep.evaluation.metrics.meteor import Meteor, sentences
from dep.evaluation.metrics.rouge import Rouge1, RougeL, bootstrap_median, common_subsequence

CONF = Path(__file__).resolve().parents[3] / "conf"
WORDS = [
    "the",
    "a",
    "film",
    "flick",
    "was",
    "great",
    "bad",
    "begins",
    "starts",
    "with",
    "music",
    "loved",
    "it",
    ".",
]


def random_texts(n: int, seed: int, longest: int = 30) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(1, longest))) for _ in range(n)]


# --- ROUGE ----------------------------------------------------------------------------------------


def test_rouge1_is_the_f1_of_clipped_unigrams():
    # "the" is clipped to 1 match: 2 matches, precision 2/3, recall 2/2.
    assert Rouge1().per_example(["The the film"], ["the FILM!"]) == [pytest.approx(2 * (2 / 3) / (2 / 3 + 1))]


def test_rouge_equals_that_of_the_library():
    from rouge_score.rouge_scorer import RougeScorer

    predictions, references = random_texts(60, 0, 90), random_texts(60, 1, 90)
    for stem in (False, True):
        scorer = RougeScorer(["rouge1", "rougeL"], use_stemmer=stem)
        library = [scorer.score(r, p) for p, r in zip(predictions, references, strict=True)]
        assert RougeL(RougeL.Config(use_stemmer=stem)).per_example(predictions, references) == [
            scores["rougeL"].fmeasure for scores in library
        ]
        assert Rouge1(Rouge1.Config(use_stemmer=stem)).per_example(predictions, references) == [
            scores["rouge1"].fmeasure for scores in library
        ]


@pytest.mark.parametrize(("a", "b", "length"), [("abcbdab", "bdcaba", 4), ("", "a", 0), ("a", "", 0), ("xy", "ab", 0)])
def test_the_length_of_the_longest_common_subsequence_is_right(a, b, length):
    assert common_subsequence(list(a), list(b)) == length


def test_the_bootstrap_median_equals_that_of_evaluate_after_seeding_numpy():
    from rouge_score.scoring import BootstrapAggregator, Score

    values = Rouge1().per_example(random_texts(40, 2), random_texts(40, 3))
    aggregator = BootstrapAggregator()
    for value in values:
        aggregator.add_scores({"rouge1": Score(value, value, value)})
    np.random.seed(7)
    assert bootstrap_median(values, seed=7) == pytest.approx(aggregator.aggregate()["rouge1"].mid.fmeasure, abs=1e-15)


def test_official_rouge_l_continues_the_stream_of_random_numbers_as_evaluate_does():
    from rouge_score.rouge_scorer import RougeScorer
    from rouge_score.scoring import BootstrapAggregator

    predictions, references = random_texts(40, 2), random_texts(40, 3)
    scorer, aggregator = RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"]), BootstrapAggregator()
    for prediction, reference in zip(predictions, references, strict=True):
        aggregator.add_scores(scorer.score(reference, prediction))
    np.random.seed(42)
    published = {name: score.mid.fmeasure for name, score in aggregator.aggregate().items()}
    settings = load([CONF / "official.yaml"]).evaluate.metrics
    metrics = {name: build_metric(name, settings) for name in ("rouge1", "rougeL")}
    ours = {name: metric.corpus(predictions, references) for name, metric in metrics.items()}
    assert ours == pytest.approx({name: published[name] for name in ("rouge1", "rougeL")}, abs=1e-14)
    assert ours["rougeL"] != pytest.approx(
        bootstrap_median(RougeL().per_example(predictions, references), 42), abs=1e-9
    )
    assert "seed:42,before:2" in metrics["rougeL"].signature


def test_the_corpus_number_is_the_mean_unless_the_bootstrap_median_is_selected():
    predictions, references = random_texts(40, 2), random_texts(40, 3)
    values = Rouge1().per_example(predictions, references)
    assert Rouge1().corpus(predictions, references) == pytest.approx(np.mean(values))
    median = Rouge1(Rouge1.Config(aggregate="bootstrap_median"))
    assert median.corpus(predictions, references) == bootstrap_median(values)
    assert "bootstrap_median[1000,seed:0]" in median.signature
    assert "agg:mean" in Rouge1().signature


# --- BLEU -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("predictions", "references"),
    [
        (random_texts(50, 4), random_texts(50, 5)),
        (["the film was great"], ["zebra crossing ahead now"]),  # no match at all
        (["the film was great"], ["a flick was bad"]),  # smoothed: 14.03's case
        (["great film"], ["great film"]),  # too short for a 4-gram
        ([""], ["a film"]),
        (["it's 3.5 stars, isn't it?"], ["It's 3.5 stars, right?"]),  # 13a tokens
    ],
)
def test_corpus_bleu_equals_sacrebleus(predictions, references):
    import sacrebleu

    theirs = sacrebleu.corpus_bleu(predictions, [references], force=True).score
    assert Bleu().corpus(predictions, references) == pytest.approx(theirs, abs=1e-9)


def test_bleu_of_an_array_of_sums_equals_bleu_of_each_sum():
    rows = np.array(Bleu().statistics(random_texts(30, 6), random_texts(30, 7)), dtype=float)
    sums = np.random.default_rng(0).integers(0, 3, (5, 4, 30)) @ rows
    together = bleu_of_sums(sums)
    assert together.shape == (5, 4)
    assert together[3, 2] == bleu_of_sums(sums[3, 2])
    assert rows.shape == (30, len(STATISTICS))


def test_the_value_of_one_example_is_sentence_bleu():
    import sacrebleu

    predictions, references = random_texts(9, 8), random_texts(9, 9)
    theirs = [sacrebleu.sentence_bleu(p, [r]).score for p, r in zip(predictions, references, strict=True)]
    assert Bleu().per_example(predictions, references) == pytest.approx(theirs)


def test_the_signature_of_bleu_equals_sacrebleus():
    from sacrebleu.metrics import BLEU

    theirs = BLEU()
    theirs.corpus_score(["a"], [["a"]])
    ours = Bleu().signature.removeprefix("bleu|").replace("sacrebleu:", "version:")
    assert ours == str(theirs.get_signature())


# --- METEOR ---------------------------------------------------------------------------------------


def test_a_full_stop_inside_a_text_is_a_separate_token():
    text = 'It was great. I paid $3.50! Mr. Smith and J. K. wrote "fine." So...\nbad'
    expected = "It was great . I paid $ 3.50 ! Mr. Smith and J. K. wrote `` fine . '' So ... bad"
    assert " ".join(Meteor().tokens(text)) == expected


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("one. two", ["one.", "two"]),
        ("no space.here", ["no space.here"]),
        ("e.g. this, etc. and that", ["e.g. this, etc. and that"]),
        ("you and I. Then?! Yes ", ["you and I.", "Then?!", "Yes"]),
        ("  ", []),
        ("", []),
    ],
)
def test_sentences_end_at_punctuation_before_white_space_but_not_after_abbreviations(text, parts):
    assert sentences(text) == parts


@pytest.mark.usefixtures("small_wordnet")
def test_meteor_follows_the_papers_formula():
    # 6 of 6 match in one chunk, two of them as synonyms.
    both = Meteor().per_example(["We begin with a great film"], ["we start with a great flick"])
    assert both == [pytest.approx(1 - 0.5 * (1 / 6) ** 3)]
    # "start" and "starting" share a stem; 3 of 3 in one chunk against 3 of 4: P = 1, R = 3/4.
    fmean = (1 * 0.75) / (0.9 * 1 + 0.1 * 0.75)
    stems = Meteor().per_example(["starting a film"], ["start a film today"])
    assert stems == [pytest.approx((1 - 0.5 * (1 / 3) ** 3) * fmean)]
    # Two chunks: "film great" against "great film".
    assert Meteor().per_example(["film great"], ["great film"]) == [pytest.approx(1 - 0.5)]


@pytest.mark.usefixtures("small_wordnet")
def test_meteor_equals_nltks_on_the_same_tokens():
    from nltk.translate.meteor_score import single_meteor_score

    meteor = Meteor()
    predictions, references = random_texts(40, 10), random_texts(40, 11)
    theirs = [
        single_meteor_score(meteor.tokens(r), meteor.tokens(p), wordnet=wordnet_module.wordnet())
        for p, r in zip(predictions, references, strict=True)
    ]
    assert meteor.per_example(predictions, references) == theirs
    assert meteor.corpus(predictions, references) == pytest.approx(np.mean(theirs))


def test_meteor_with_this_machines_wordnet_gives_the_known_score():
    try:
        wordnet_module.locate()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    assert wordnet_check.check_known_score() == pytest.approx(0.99769, abs=1e-5)
    # NLTK's own documented example.
    text = "It is a guide to action which ensures that the military always obeys the commands of the party"
    reference = "It is a guide to action that ensures that the military will forever heed Party commands"
    assert Meteor().corpus([text], [reference]) == pytest.approx(0.6944, abs=5e-5)


# --- all metrics ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_wordnet")
@pytest.mark.parametrize("name", ["rouge1", "rougeL", "meteor", "bleu"])
def test_an_empty_text_scores_zero_at_its_position(name):
    metric = build_metric(name)
    values = metric.per_example(["", "a great film was", "a film"], ["a film", "a great film was", ""])
    assert values[0] == values[2] == 0
    assert values[1] > 0.9


@pytest.mark.parametrize("name", text_metrics())
def test_lists_of_different_lengths_are_refused(name):
    with pytest.raises(ValueError, match=f"{name}: 2 predictions against 1 references"):
        build_metric(name).per_example(["a", "b"], ["a"])


@pytest.mark.parametrize("name", ["rouge1", "rougeL", "bleu"])
def test_a_corpus_without_pairs_is_refused(name):
    with pytest.raises(ValueError, match="no pairs"):
        build_metric(name).corpus([], [])


def test_the_error_for_an_unknown_metric_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"metric 'rouge2': expected one of .*meteor.*rouge1"):
        build_metrics(MetricsConfig(names=["bleu", "rouge2"]))


def test_metrics_are_built_in_the_order_of_the_configuration():
    assert list(build_metrics(MetricsConfig(names=["bleu", "rouge1"]))) == ["nll", "bleu", "rouge1"]
