"""How large a share of its runs a deployment usually loses, and how sure that is. Pure values.

A share of few runs says little: 1 crash in 3 runs is a third, and as well chance. So shares are
compared by the ends of their Wilson intervals, which hold the true share in 997 of 1,000 cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

Z = 3.0
"""Standard deviations on either side. Two, 95 %, would be too few: a deployment is looked at 2,000
times a week, and one that loses 2 % of 12 runs an hour would be told of every third week."""

DAYS_TO_DROP_ONE = 3
"""So many days tell which of them was the odd one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How many runs crashed, and how many ended otherwise; each attempt of a run is one."""

    crashed: int
    ended: int

    @property
    def runs(self) -> int:
        """All that ended, in whatever way."""
        return self.crashed + self.ended

    @property
    def rate(self) -> float:
        """0 to 1; 0 where nothing ran."""
        return self.crashed / self.runs if self.runs else 0.0

    @property
    def bounds(self) -> tuple[float, float]:
        """Where the true share may lie (Wilson's score interval); anywhere where nothing ran."""
        if not self.runs:
            return 0.0, 1.0
        doubt = Z * Z / self.runs
        middle = (self.rate + doubt / 2) / (1 + doubt)
        margin = sqrt(doubt * (self.rate * (1 - self.rate) + doubt / 4)) / (1 + doubt)
        return max(middle - margin, 0.0), min(middle + margin, 1.0)


def usual(days: Sequence[Share]) -> Share:
    """The share over these days, all their runs together.

    Of three days and more the worst is left out: one bad day must not hide the next one.
    """
    # Costs 0.4 s and 40 MB, so it is loaded only where a deployment is in question.
    import pandas as pd

    frame = pd.DataFrame(
        {"crashed": [day.crashed for day in days], "ended": [day.ended for day in days]}
    )
    frame["rate"] = frame["crashed"] / frame[["crashed", "ended"]].sum(axis="columns")
    ran = frame.dropna(subset=["rate"])
    if len(ran) >= DAYS_TO_DROP_ONE:
        ran = ran.drop(index=ran["rate"].idxmax())
    total = ran[["crashed", "ended"]].sum()
    return Share(crashed=int(total["crashed"]), ended=int(total["ended"]))
