"""Which users gain: the gain in NLL of halves of the users, by uniqueness, by past reviews, and by peers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

from dep.evaluation.significance import mean_interval
from dep.pipeline.user_gains import UserGain, user_gains
from experiments.study.page import Section

_SPLITS: dict[str, tuple[str, str, Callable[[UserGain], float]]] = {
    "uniqueness": ("like the mean user", "unlike the mean user", lambda user: user.rank),
    "past reviews": ("fewer", "more", lambda user: user.past),
    "peers of a past review": ("fewer", "more", lambda user: user.peers),
}
"""For each way to halve the users: the name of the lower half, of the upper half, and the number that decides."""


def section(run: Path, arms: Sequence[str], baseline: str, labels: Mapping[str, str]) -> Section:
    """Return the table of the gains of some arms over a baseline, for both halves of the users.

    Args:
        run: the folder of a finished run.
        arms: names of its arms.
        baseline: name of the arm that gains are measured against.
        labels: the label of each arm.
    """
    users = user_gains(run, arms, baseline)
    rows = []
    for name, (lower, upper, number) in _SPLITS.items():
        middle = median(map(number, users))
        for half, inside in ((lower, False), (upper, True)):
            members = [user for user in users if (number(user) > middle) == inside]
            if members:
                gains = (mean_interval([user.gains[arm] for user in members]) for arm in arms)
                cells = [f"{g.value:+.4f} ({g.low:+.4f} to {g.high:+.4f})".replace("-", "−") for g in gains]
                rows.append([f"{name}: {half} (up to {middle:.3g})" if not inside else f"{name}: {half}", *cells])
                rows[-1].insert(1, f"{len(members):,}")
    note = (
        f"Gain in NLL over {labels.get(baseline, baseline)}, averaged over a user's requests and the seeds; more is "
        "better. Users are halved at the median. Uniqueness is the rank of the distance from the mean user."
    )
    return Section("Who gains", note, ["users", "n", *(labels.get(arm, arm) for arm in arms)], rows, level=3)
