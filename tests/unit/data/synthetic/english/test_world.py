"""The English world: what is planted can be found in the texts, and the texts read as people's do."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from statistics import mean, median

import pytest

from dep.data.synthetic.english.authors import FACTS, SAYINGS, make_person, make_product
from dep.data.synthetic.english.compose import Writer, Written
from dep.data.synthetic.english.draft import LONGEST, Fillers
from dep.data.synthetic.english.lexicon import CATEGORIES, FOLDER, Choice, Lexicon, lexicon
from dep.data.synthetic.english.phrase_files import TONES
from dep.data.synthetic.english.surface import contracted, ended, mistyped, with_article
from dep.data.synthetic.english.world import EnglishWorld, reviews

HERE = [category for category, folder in CATEGORIES.items() if (FOLDER / folder).is_dir()]


@pytest.fixture(scope="module", params=HERE)
def written(request: pytest.FixtureRequest) -> list[Written]:
    return list(reviews(EnglishWorld(request.param, 5, users=360)))


def words_of(all_written: list[Written]) -> Lexicon:
    return lexicon(next(category for category in HERE if category[0] == all_written[0].product.name[0]))


def plain(all_written: list[Written]) -> list[Written]:
    """Reviews whose authors type phrases as they stand in the files."""
    return [
        w
        for w in all_written
        if w.person.typos == 0 and w.person.contractions == "contracted" and w.person.case == "normal"
    ]


def test_every_phrase_can_be_filled() -> None:
    import random

    for category in HERE:
        words, rng = lexicon(category), random.Random(1)
        fillers = Fillers(rng, words, make_person(rng, words, "u"), make_product(rng, words, "i"))
        choices: list[Choice] = [c for table in words.by_stars.values() for c in table.values()]
        choices += [c for point in words.points for c in point.said.values()]
        phrases = {phrase for choice in choices for phrase in choice.fitting}
        assert len(phrases) > 500
        for phrase in phrases:
            assert not re.search(r"[{}]", phrase.text.format_map(fillers))
        for point in words.points:
            assert all("{" not in title.format_map(fillers) for t in point.titles.values() for title in t)


def test_five_thousand_reviews_have_no_open_placeholder_and_no_slip_of_the_joints(written: list[Written]) -> None:
    assert len(written) >= 5_000
    for w in written:
        for text in (w.text, w.title, w.product.title, w.product.description):
            assert not re.search(r"[{}]|  |^ | $| [,;!?](?![)])|,,|;,", text), text
    for w in plain(written):
        assert not re.search(r"\b[Aa] (?!one |once |eu)[aeio]", w.text.replace(":", "")), w.text


def test_reviews_have_twenty_to_a_hundred_and_fifty_words(written: list[Written]) -> None:
    words = [len(w.text.split()) for w in written]
    assert 40 <= median(words) <= 90
    assert max(words) <= LONGEST + 12, "a sign-off comes on top"
    assert mean(20 <= n <= LONGEST for n in words) > 0.97


def test_most_reviewers_mention_a_fact_and_an_authors_sayings_come_at_their_rate(written: list[Written]) -> None:
    rates = defaultdict(list)
    for w in written:
        for fact, _ in w.product.facts:
            rates[w.product.name, fact].append(fact in w.facts)
    shares = [mean(mentions) for mentions in rates.values() if len(mentions) >= 8]
    assert mean(shares) > 0.6
    assert mean(share > 0.5 for share in shares) > 0.75
    own = mean(len(w.sayings) / SAYINGS for w in written)
    shared = [len({p for p, _ in w.product.facts} & set(w.person.sayings)) for w in written]
    chance = FACTS * SAYINGS / len(words_of(written).points)
    assert 0.3 < own < 0.6
    assert abs(mean(shared) - chance) < 0.2 * chance, "sayings and facts come from one pool, each drawn for itself"


def test_what_is_mentioned_stands_in_the_text_in_one_of_its_phrases(written: list[Written]) -> None:
    words = words_of(written)
    patterns = {}
    for point in words.points:
        phrases = {phrase.text for choice in point.said.values() for phrase in choice.fitting}
        parts = [re.sub(r"\\{\w+\\}", ".+", re.escape(re.split(r"[,;:]", text)[0].rstrip(".!"))) for text in phrases]
        patterns[point.name] = re.compile("|".join(parts), re.IGNORECASE)
    found = [bool(patterns[name].search(w.text)) for w in plain(written)[:600] for name in (*w.sayings, *w.facts)]
    assert mean(found) > 0.95


def test_the_stars_show_in_the_text(written: list[Written]) -> None:
    words = words_of(written)
    said: dict[int, set[str]] = {}
    for stars in (1, 5):
        own = [p for kind in ("verdicts", "closings") for tone in TONES for p in words.by_stars[kind][stars, tone].own]
        said[stars] = {p.text.rstrip(".!").lower() for p in own if len(p.text.split()) > 3}
    for stars, other in ((1, 5), (5, 1)):
        texts = [w.text.lower() for w in plain(written) if w.rating == stars]
        right = mean(any(p in text for p in said[stars]) for text in texts)
        wrong = mean(any(p in text for p in said[other] - said[stars]) for text in texts)
        assert right > 0.3 > 0.02 > wrong


def test_lenient_authors_give_more_stars(written: list[Written]) -> None:
    above = {
        side: [w.rating - w.product.quality for w in written if (w.person.leniency > 0) == side] for side in (0, 1)
    }
    assert mean(above[1]) - mean(above[0]) > 0.5


def test_habits_of_typing_show_in_an_authors_reviews(written: list[Written]) -> None:
    def of(field: str, value: str) -> list[str]:
        return [w.text for w in written if getattr(w.person, field) == value and not (w.person.emoji or w.person.typos)]

    def share(pattern: str, texts: list[str]) -> float:
        return mean(bool(re.search(pattern, text)) for text in texts)

    assert all(text == text.lower() for text in of("case", "lower"))
    assert share(r"^[A-Z\"&0-9]", of("case", "normal")) == 1
    assert share(r"\.\.\.", of("punctuation", "ellipses")) > 0.7
    assert share(r"\.\.\.", of("punctuation", "plain")) == 0
    assert share("!", of("punctuation", "exclamations")) > 2 * share("!", of("punctuation", "plain"))
    assert share(r"n't\b|'re\b|'ve\b", of("contractions", "written out")) == 0
    assert share("<br />", of("layout", "breaks")) > 0.4 > share("<br />", [w.text for w in written])
    shouting = r"\b(?!CD|TV|EP|LP|DVD|OK|PS|UPS|USB|DIY|FYI|DJ)[A-Z]{3,}\b"
    assert share(shouting, of("case", "normal")) == 0
    assert share(shouting, of("case", "capitals")) > 0.25
    smiles = [any(e in w.text for e in w.person.emoji) for w in written if w.person.emoji]
    assert 0.4 < mean(smiles) < 0.7


def test_a_sign_off_closes_half_of_its_authors_reviews(written: list[Written]) -> None:
    signing = [w for w in plain(written) if w.person.signoff]
    assert 0.4 < mean(w.person.signoff.rstrip(".!") in w.text for w in signing) < 0.65


def test_careless_authors_mistype_at_their_rate_and_careful_ones_never(written: list[Written]) -> None:
    files = [*(FOLDER / "common").rglob("*.txt"), *(FOLDER / words_of(written).category).rglob("*.txt")]
    known = {"br", "an", "pros", "cons", "amp"}
    known |= {word for file in files for word in re.findall(r"[a-z]+", file.read_text(encoding="utf-8").lower())}
    for rate in (0.0, 0.007, 0.018):
        words = [
            word
            for w in written
            if w.person.typos == rate and w.person.contractions == "contracted"
            for word in re.findall(r"[a-z]+", w.text.lower())
        ]
        wrong = mean(word not in known for word in words)
        assert 0.4 * rate <= wrong <= 1.5 * rate + 0.002, rate


def test_some_reviews_are_posted_twice_and_some_texts_come_from_a_web_page(written: list[Written]) -> None:
    texts = Counter(w.text for w in written)
    assert 0.005 < sum(n - 1 for n in texts.values()) / len(written) < 0.03
    pairs = Counter((w.person.name, w.product.name) for w in written)
    assert 0.002 < sum(n - 1 for n in pairs.values()) / len(written) < 0.015
    assert not [w.text for w in written if re.search(r"&(?!amp;|#34;)", w.text)]


def test_texts_vary(written: list[Written]) -> None:
    sentences = {s for w in written for s in re.split(r"(?<=[.!?])\s", w.text)}
    assert len(sentences) > 10_000
    grams: Counter[tuple[str, ...]] = Counter()
    for w in written[:2_000]:
        words = w.text.split()
        grams.update(zip(*(words[n:] for n in range(4)), strict=False))
    assert len(grams) > 0.12 * sum(grams.values())
    assert len({w.text for w in written}) > 0.97 * len(written)


def test_the_parts_of_the_typing_do_as_they_say() -> None:
    import random

    assert contracted("It's fine and I can't say it won't do. It's been fun.", "written out") == (
        "It is fine and I cannot say it will not do. It has been fun."
    )
    assert contracted("I didn't know that it's his", "bare") == "I didnt know that its his"
    assert with_article("a album and a useful EP, a LP") == "an album and a useful EP, an LP"
    rng = random.Random(2)
    words, person = lexicon("Books"), make_person(random.Random(3), lexicon("Books"), "u")
    assert ended(rng, "it ends", person, 3)[:7] == "It ends"
    assert mistyped(rng, "nothing happens here", 0.0) == "nothing happens here"
    assert mistyped(rng, "nothing happens here at all today", 0.3) != "nothing happens here at all today"
    again = [Writer(words).write(random.Random(4), person, make_product(random.Random(5), words, "i"), 7) for _ in "12"]
    assert again[0] == again[1]
