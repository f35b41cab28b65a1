"""Late events: which records they correct, and how."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime

from prefect_crash_monitor.count.counted import Counted, late, vanished
from prefect_crash_monitor.model.crash import Crash, Fate
from prefect_crash_monitor.model.interval import Window
from prefect_crash_monitor.model.interval_record import IntervalRecord


def correctable(counted: Iterable[Counted], horizon: datetime) -> tuple[Counted, ...]:
    """The intervals already counted that a late event may still correct."""
    return tuple(
        one
        for one in counted
        # Of an interval whose marks are forgotten every crash would look late.
        if one.window.start >= horizon and (one.marks or not one.crashed)
    )


def corrections(
    earlier: tuple[Counted, ...], recount: Callable[[Window], IntervalRecord]
) -> tuple[IntervalRecord, ...]:
    """New records of intervals that got more crashes, or a whole view, since they were counted."""
    records = ((counted, recount(counted.window)) for counted in earlier)
    return tuple(
        _revised(counted, record)
        for counted, record in records
        if late(counted, record) or (record.complete and not counted.complete)
    )


def found_late(
    crashes: Iterable[Crash], earlier: Iterable[Counted], records: Iterable[IntervalRecord]
) -> list[Crash]:
    """The crashes of corrected records that the count of their interval had not."""
    known = {counted.window: counted.marks for counted in earlier}
    crashes = list(crashes)
    return [
        crash
        for record in records
        if record.window in known
        for crash in crashes
        if crash.at in record.window and crash.mark not in known[record.window]
    ]


def in_words(record: IntervalRecord, before: Counted) -> str:
    """What the report says of a correction."""
    span = f"{record.window.start:%H:%M}\u2013{record.window.end:%H:%M} UTC"
    return f"Corrected by events that came late: {span} had {before.crashed}, has {record.crashed}."


def _revised(counted: Counted, record: IntervalRecord) -> IntervalRecord:
    """A count never falls: a crash that can no longer be seen (its event is lost, its run was
    retried since) stays in, as recovered."""
    unseen = vanished(counted, record)
    fates = {**record.fates, Fate.RECOVERED: record.fates.get(Fate.RECOVERED, 0) + unseen}
    return replace(record, fates=fates, revision=counted.revision + 1)
