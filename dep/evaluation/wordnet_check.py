"""A command that finds or downloads WordNet and checks a known score: `python -m dep.evaluation.wordnet_check`.

`make wordnet` runs it.
"""

from __future__ import annotations

import os
import sys

from dep.evaluation import wordnet
from dep.evaluation.metrics.meteor import Meteor
from dep.utils.errors import DepError

KNOWN_PAIR = ("we begin with a great film", "we start with a great flick")
"""Two texts in which begin/start and film/flick are synonyms. With WordNet, 6 of 6 words match in 1 chunk, and the
score is (1 − ½(1/6)³) · 1 = 0.99769. Without, 4 words match in 2 chunks, and the score is (1 − ½(2/4)³) · 4/6 =
0.625."""
KNOWN_SCORE = 1 - 0.5 * (1 / 6) ** 3


def check_known_score() -> float:
    """Compute METEOR of KNOWN_PAIR with this machine's WordNet, and compare it with the known score.

    Raises:
        DepError: the score is not KNOWN_SCORE, which means that this machine's WordNet is damaged.
    """
    score = Meteor().corpus([KNOWN_PAIR[0]], [KNOWN_PAIR[1]])
    if abs(score - KNOWN_SCORE) > 1e-9:
        raise DepError(f"METEOR of a known pair is {score:.5f}, expected {KNOWN_SCORE:.5f}: WordNet is damaged")
    return score


def main() -> int:
    """Find or download WordNet and check a known score; return the exit code."""
    try:
        try:
            where = wordnet.locate()
        except FileNotFoundError:
            if os.environ.get(wordnet.VARIABLE):
                raise
            print("WordNet is not here yet: fetching it (6 MB)", flush=True)
            wordnet.fetch()
            where = wordnet.locate()
        print(
            f"WordNet {wordnet.wordnet().get_version()} in {where}; METEOR of a known pair: {check_known_score():.5f}"
        )
    except (FileNotFoundError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
