"""What stays of a counted interval, to tell a late crash from a known one. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from prefect_crash_monitor.config.policy import INTERVALS_KEPT
from prefect_crash_monitor.model.crash import mark
from prefect_crash_monitor.model.interval import Window
from prefect_crash_monitor.model.interval_record import IntervalRecord

SERIES_KEPT = INTERVALS_KEPT


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """An interval already counted, with the marks by which a late event is told from a known."""

    window: Window
    crashed: int
    complete: bool
    revision: int = 0
    marks: frozenset[str] = frozenset()
    """Empty once the interval is past the horizon of corrections."""


def entry(record: IntervalRecord, known: Iterable[str] = ()) -> Counted:
    """What the ledger keeps of a record; `known` are marks it had before."""
    return Counted(
        window=record.window,
        crashed=record.crashed,
        complete=record.complete,
        revision=record.revision,
        marks=frozenset(known) | {mark(id_) for id_ in record.state_ids},
    )


def vanished(counted: Counted, record: IntervalRecord) -> int:
    """How many crashes were counted that can no longer be seen: without event, retried since."""
    return len(counted.marks - {mark(id_) for id_ in record.state_ids})


def late(counted: Counted, record: IntervalRecord) -> frozenset[str]:
    """Marks of crashes that the record has and the count of that interval had not."""
    return frozenset(mark(id_) for id_ in record.state_ids) - counted.marks
