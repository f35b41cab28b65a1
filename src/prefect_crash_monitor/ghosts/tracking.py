"""Ghosts as the monitor remembers them: since when it knows, and when it became sure. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from prefect_crash_monitor.explain.evidence.evidence import HEARTBEAT
from prefect_crash_monitor.explain.sampling import diagnosis_of
from prefect_crash_monitor.ghosts.ghost import Ghost
from prefect_crash_monitor.model.codec import Moment
from prefect_crash_monitor.model.crash import Crash, Diagnosis
from prefect_crash_monitor.model.interval import TICK


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A ghost, and since when the monitor knows of it."""

    ghost: Ghost
    first_seen: Moment
    sure_at: Moment | None = None
    """When it became one to tell of: the last moment that the judgement then looked at. None as
    long as its silence may be an outage of Prefect, or nobody can tell whether it lives."""

    @property
    def id(self) -> str:
        """Of the state it was left in: a new attempt of the run is another ghost."""
        return self.ghost.left_in.state_id


def found(
    ghosts: Iterable[Ghost],
    known: Iterable[Found],
    *,
    heard: datetime | None,
    through: datetime,
    now: datetime,
) -> tuple[Found, ...]:
    """What is known of ghosts after a sweep; those that are none any more are forgotten.

    `heard` is when Prefect last stored an event of anyone, up to one heartbeat period ago: those
    alive have spoken up since. One that is merely silent is told of if that was a moment before,
    or since the monitor knows of it. One that is only likely must stay so for a period.
    `through` is the moment before which the judgement looks at what happened.
    """
    before = {one.id: one for one in known}
    return tuple(
        _sure(
            _as_known(ghost, before.get(ghost.left_in.state_id), now),
            heard=heard,
            through=through,
            now=now,
        )
        for ghost in ghosts
    )


def heard_since(ghosts: Iterable[Ghost], known: Iterable[Found], now: datetime) -> datetime | None:
    """Since when it matters what Prefect heard; None where all is told of, or not silent."""
    before = {one.id: one for one in known}
    silent = (
        before.get(ghost.left_in.state_id)
        for ghost in ghosts
        if ghost.is_claimed and ghost.is_silent
    )
    since = [one.first_seen if one else now for one in silent if not (one and one.sure_at)]
    return min(*since, now - 2 * HEARTBEAT) if since else None


def _as_known(ghost: Ghost, before: Found | None, now: datetime) -> Found:
    """The ghost as it is now, since it was first seen as one.

    What nobody could tell yet was none: what is likely since just now has to stay so.
    """
    if before is None or (ghost.is_claimed and not before.ghost.is_claimed):
        return Found(ghost=ghost, first_seen=now)
    return replace(before, ghost=ghost)


def _sure(one: Found, *, heard: datetime | None, through: datetime, now: datetime) -> Found:
    if not one.ghost.is_claimed:
        return replace(one, sure_at=None)
    if one.sure_at is not None or not _believed(one, heard, now):
        return one
    return replace(one, sure_at=through - TICK)


def _believed(one: Found, heard: datetime | None, now: datetime) -> bool:
    looked_at = one.ghost.looked_at or now
    if not one.ghost.certain and looked_at - one.first_seen < HEARTBEAT:
        return False  # that it stayed so only another look can tell
    if not one.ghost.is_silent:
        return True
    return heard is not None and heard >= min(one.first_seen, now - 2 * HEARTBEAT)


def newly_sure(after: Iterable[Found], before: Iterable[Found]) -> list[Found]:
    """Those to tell of for the first time."""
    told = {one.id for one in before if one.sure_at}
    return [one for one in after if one.sure_at and one.id not in told]


def to_judge(ghosts: Iterable[Found]) -> list[Crash]:
    """Those that open incidents, as crashes at the moment of being sure.

    Not subflows that died with their parent.
    """
    sure = [
        replace(one.ghost.left_in, at=one.sure_at)
        for one in ghosts
        if one.sure_at and not one.ghost.left_in.dies_with_parent
    ]
    return sorted(sure, key=lambda ghost: (ghost.at, ghost.state_id))


def diagnoses(ghosts: Iterable[Found]) -> dict[str, Diagnosis]:
    """Their diagnoses, by state id."""
    return {one.id: diagnosis_of(one.ghost.why, "") for one in ghosts}
