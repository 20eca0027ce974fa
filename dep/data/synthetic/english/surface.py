"""How an author types: contractions, end marks, capitals, typing errors."""

from __future__ import annotations

import random
import re

from dep.data.synthetic.english.authors import Person, pick

_EXPANDED = {
    "can't": "cannot", "won't": "will not", "it's": "it is", "that's": "that is", "there's": "there is",
    "let's": "let us", "i'm": "I am", "what's": "what is", "here's": "here is",
}  # fmt: skip
_ENDINGS = {"n't": " not", "'ve": " have", "'ll": " will", "'re": " are"}
_HAS = re.compile(r"\b([Ii]t|[Tt]hat|[Tt]here)'s (?=been\b|got\b|had\b|become\b|held\b|made\b)")
_CONTRACTED = re.compile(
    r"\b(?:can't|won't|it's|that's|there's|let's|I'm|what's|here's|(?P<stem>[a-z]+)(?P<end>n't|'ve|'ll|'re))(?![a-z])",
    re.IGNORECASE,
)
_APOSTROPHE = re.compile(r"\b(\w+n)'t\b|\b([Ii]t|[Tt]hat|[Ww]hat|[Tt]here)'s\b|\b(I)'(m|ve)\b")
_A = re.compile(r"\b([Aa]) (?=[aAiI]|[eE](?!u)|[oO](?!ne\b|nce\b)|[uU](?!ni|s[eu]|k)|LP\b)")
_LOUD = re.compile(r"\b(very|really|never|love|loved|so|best|all|every|great|only|hate|always|too|not|worst|whole)\b")
_WORD = re.compile(r"[a-zA-Z]{4,}")
_MISSPELT = {
    "their": "there", "there": "their", "your": "you're", "than": "then", "its": "it's", "it's": "its", "too": "to",
    "definitely": "definately", "receive": "recieve", "received": "recieved", "separate": "seperate",
    "really": "realy", "because": "becuase", "a lot": "alot", "until": "untill", "which": "wich", "quite": "quiet",
    "beautiful": "beautifull", "disappointed": "dissapointed", "recommend": "recomend", "recommended": "reccomended",
    "favorite": "favorate", "could have": "could of", "would have": "would of", "surprised": "suprised",
    "tomorrow": "tommorrow", "whether": "wether", "lose": "loose", "through": "thru", "believe": "beleive",
    "friend": "freind", "weird": "wierd", "especially": "especialy", "excellent": "excellant", "finally": "finaly",
    "happened": "happend", "different": "diffrent",
}  # fmt: skip
_MISSPELL = re.compile(r"\b(" + "|".join(sorted(_MISSPELT, key=len, reverse=True)) + r")\b")


def with_article(text: str) -> str:
    """Return the text with `an` in place of `a` before a vowel."""
    return _A.sub(r"\1n ", text)


def contracted(text: str, habit: str) -> str:
    """Return the text with contractions as they are (`contracted`), without apostrophes (`bare`), or written out."""
    if "'" not in text or habit == "contracted":
        return text
    if habit == "bare":
        return _APOSTROPHE.sub(_bare, text)
    return _CONTRACTED.sub(_expand, _HAS.sub(r"\1 has ", text))


def _bare(match: re.Match[str]) -> str:
    stem, its, i, end = match.groups()
    return f"{stem}t" if stem else f"{its}s" if its else f"{i}{end}"


def _expand(match: re.Match[str]) -> str:
    if match["end"]:
        return match["stem"] + _ENDINGS[match["end"].lower()]
    full = _EXPANDED[match[0].lower()]
    return full[0].upper() + full[1:] if match[0][0].isupper() else full


def ended(rng: random.Random, text: str, person: Person, rating: int) -> str:
    """Capitalise a sentence and end it with the author's marks."""
    text = text[0].upper() + text[1:]
    last = text[-1]
    if last not in ".!?":
        text, last = text + ".", "."
    habit, draw = person.punctuation, rng.random()
    if last == "!":
        if person.tone != "excited" and habit != "exclamations" and draw < 0.8:
            text = text[:-1] + "."
        elif habit == "exclamations" and draw < 0.35:
            text += pick(rng, ("!", "!!"))
    elif last == "." and habit == "exclamations" and draw < (0.15, 0.15, 0.1, 0.35, 0.5)[rating - 1]:
        text = text[:-1] + ("!" if draw < 0.1 or draw > 0.16 else "!!")
    elif last == "." and habit == "ellipses" and draw < 0.3:
        text = text[:-1] + ("...." if draw < 0.05 else "...")
    if habit == "dashes" and rng.random() < 0.7:
        text = re.sub(r", (?=but |and |plus |though |although |only |yet )|; ", person.dash, text, count=1)
    return text


def cased(rng: random.Random, text: str, habit: str) -> str:
    """Write all in small letters, or a word or two in capitals, as `habit` has it."""
    if habit == "lower":
        return text.lower()
    if habit == "capitals":
        return _LOUD.sub(lambda m: m[0].upper() if rng.random() < 0.3 else m[0], text)
    return text


def mistyped(rng: random.Random, text: str, rate: float) -> str:
    """Put typing errors into a share `rate` of the words."""
    expected = rate * (text.count(" ") + 1)
    for _ in range(int(expected) + (rng.random() < expected % 1)):
        known = list(_MISSPELL.finditer(text))
        if known and rng.random() < 0.5:
            match = known[int(rng.random() * len(known))]
            text = text[: match.start()] + _MISSPELT[match[0]] + text[match.end() :]
            continue
        words = list(_WORD.finditer(text))
        if not words:
            return text
        match = words[int(rng.random() * len(words))]
        word, at = match[0], 1 + int(rng.random() * (len(match[0]) - 2))
        kind = rng.random()
        if kind < 0.4:
            word = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        elif kind < 0.75:
            word = word[:at] + word[at + 1 :]
        else:
            word = word[:at] + word[at] + word[at:]
        text = text[: match.start()] + word + text[match.end() :]
    return text


def escaped(text: str) -> str:
    """Return the text with HTML entities in place of ampersands and double quotes, as in an export of a web page."""
    return text.replace("&", "&amp;").replace('"', "&#34;")
