"""Which unfinished runs may be ghosts, so that few of many are looked at closely. Pure.

A run that sends heartbeats is no suspect, so a server with thousands of healthy runs costs a
handful of requests.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

from prefect_crash_monitor.explain.evidence.evidence import HEARTBEAT
from prefect_crash_monitor.explain.liveness import PERIODS, SETTLED
from prefect_crash_monitor.explain.rules.waiting import TOO_LONG
from prefect_crash_monitor.observe.outcomes import RunNow

UNFINISHED = ("RUNNING", "PENDING", "CANCELLING")
"""Types of state in which something should be alive. What waits for its time cannot die."""

SILENCE = PERIODS * HEARTBEAT
"""So long without a heartbeat is suspect. A run of longer periods is looked at and found alive."""


def suspects(
    runs: Iterable[RunNow], *, beating: Collection[str], ended: Collection[str], now: datetime
) -> list[RunNow]:
    """Those to look at, the longest in their state first.

    `beating` are ids of runs that sent a heartbeat within `SILENCE`; `ended` of those whose
    worker told of their end, or was itself stopped.
    """
    found = [run for run in runs if _is_suspect(run, beating, ended, now - run.state_at)]
    return sorted(found, key=lambda run: (run.state_at, run.id))


def of_this_turn(found: Sequence[RunNow], most: int, turn: int) -> list[RunNow]:
    """At most so many of them, others at each turn.

    Those that are looked at and are alive are suspects again: they must not hide the others.
    """
    if len(found) <= most:
        return list(found)
    first = turn * most % len(found)
    return [*found[first:], *found[:first]][:most]


def turns(first: Sequence[RunNow], rest: Sequence[RunNow], most: int, turn: int) -> list[RunNow]:
    """At most so many of both; the first ones get what the rest leaves, and half at least."""
    reserved = min(len(rest), most // 2)
    ahead = of_this_turn(first, most - reserved, turn)
    return [*ahead, *of_this_turn(rest, most - len(ahead), turn)]


def may_be_over(runs: Iterable[RunNow], now: datetime) -> list[RunNow]:
    """Those old enough that what their worker tells of their end is final."""
    return [run for run in runs if now - run.state_at >= SETTLED]


def _is_suspect(
    run: RunNow, beating: Collection[str], ended: Collection[str], age: timedelta
) -> bool:
    if run.id in ended:
        return True
    if run.state_type == "PENDING":
        return age >= TOO_LONG
    return age > SILENCE and run.id not in beating
