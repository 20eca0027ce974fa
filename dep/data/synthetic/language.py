"""The vocabulary and the sentences of the built-in world, which are the same for all seeds.

Facts of items and sayings of users are both drawn from `CONCEPTS` and stand in the same kinds of sentence. One review
therefore does not show whether a concept is a fact or a saying; other users' reviews of the item do.
"""

from __future__ import annotations

import random

CATEGORIES = {"Books": "book", "Movies_and_TV": "film", "CDs_and_Vinyl": "record"}
"""The paper's three categories, each with the noun for its items."""

ASPECTS = {
    "story": "ending prologue twist subplot flashback narrator",
    "people": "villain sidekick heroine detective grandmother twins",
    "places": "harbor castle desert railway forest lighthouse",
    "pictures": "cover maps photographs lettering costumes portraits",
    "sound": "chorus violin drums silence choir piano",
    "mood": "melancholy humor romance suspense nostalgia dread",
    "packing": "booklet sleeve ribbon poster sticker label",
    "money": "price discount shipping bargain warranty refund",
}
CONCEPTS: tuple[str, ...] = tuple(word for words in ASPECTS.values() for word in words.split())
"""All 48 concepts: six for each of eight aspects."""
ASPECT_OF: dict[str, str] = {word: aspect for aspect, words in ASPECTS.items() for word in words.split()}

ARTICLES = ("the", "that", "this", "its", "all the")
"""The words that can stand before a concept; each user prefers one of them."""

TONES: dict[str, dict[str, tuple[str, ...]]] = {
    "warm": {"up": ("I loved", "I cherish", "I treasure"), "down": ("I regret", "I forgave", "I mourn")},
    "dry": {"up": ("I concede", "I credit", "one respects"), "down": ("one endures", "I question", "I doubt")},
    "giddy": {"up": ("oh wow", "hooray for", "I squealed at"), "down": ("oh no", "yikes about", "I gasped at")},
    "grumpy": {"up": ("I tolerate", "even I liked", "I survived"), "down": ("I resent", "spare me", "I am tired of")},
}
"""How sentences begin, by the author's tone and by whether the rating is above the middle."""

CIRCLES = (
    "orchard lantern anchor meadow copper marble saddle thimble compass kettle pepper walnut "
    "falcon otter badger heron maple cedar ivory amber velvet canvas pewter saffron"
).split()
"""Names of circles. The users in a circle review similar items and use one greeting, which the difference removes."""

ITEM_FIRST = (
    "Silver Hidden Broken Golden Northern Silent Crimson Distant Frozen Hollow Midnight Paper Restless Scarlet Secret "
    "Second Stolen Sunken Velvet Wandering Winter Wooden Yellow Burning"
).split()
ITEM_SECOND = (
    "River Garden Mirror Letter Tower Journey Promise Bridge Window Crown Harvest Shadow Station Feather Machine "
    "Market Ocean Orchard Painter Season Signal Summer Thread Voyage"
).split()
TITLES = {
    1: ("Not for me", "A letdown", "Sorry, no"),
    2: ("Rather weak", "Below par", "Hoped for more"),
    3: ("Middle of the road", "It was okay", "Mixed feelings"),
    4: ("Good stuff", "Well worth it", "Quite nice"),
    5: ("A favorite", "Simply great", "Could not be better"),
}
"""Titles of reviews by rating; the author has no influence."""


def greeting(circle: str) -> str:
    """Return the greeting that the users of a circle write."""
    return f"Greetings to the {circle} club."


def distinct_sentences() -> int:
    """Count the different sentences that the language can form."""
    return sum(len(leads) for tone in TONES.values() for leads in tone.values()) * len(CONCEPTS) * len(ARTICLES)


def sentence(rng: random.Random, concept: str, tone: str, up: bool, article: str) -> str:
    """Draw a sentence about `concept`."""
    words = f"{rng.choice(TONES[tone]['up' if up else 'down'])} {article} {concept}."
    return words[0].upper() + words[1:]
