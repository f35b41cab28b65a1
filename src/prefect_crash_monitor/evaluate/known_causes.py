"""Which kinds of crashes a monitor has seen before, and when. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from prefect_crash_monitor.model.codec import Moment
from prefect_crash_monitor.model.crash import Crash, Diagnosis

CAUSES_KEPT = 2_000
FORGOTTEN_AFTER = timedelta(days=90)
"""A kind of crash that was not seen for so long is new again."""


@dataclass(frozen=True, slots=True)
class Acquaintance:
    """When a kind of crash was seen for the first and for the last time."""

    first: Moment
    last: Moment


def acquainted(
    seen: Mapping[str, Acquaintance],
    crashes: Iterable[Crash],
    diagnoses: Mapping[str, Diagnosis],
    as_of: datetime,
) -> dict[str, Acquaintance]:
    """What is known with these crashes, by fingerprint; without what was long not seen."""
    known = dict(seen)
    for crash in crashes:
        diagnosis = diagnoses.get(crash.state_id)
        if diagnosis is None or not diagnosis.fingerprint:
            continue
        before = known.get(diagnosis.fingerprint, Acquaintance(crash.at, crash.at))
        known[diagnosis.fingerprint] = Acquaintance(
            min(before.first, crash.at), max(before.last, crash.at)
        )
    fresh = [item for item in known.items() if item[1].last > as_of - FORGOTTEN_AFTER]
    return dict(sorted(fresh, key=lambda item: item[1].last)[-CAUSES_KEPT:])
