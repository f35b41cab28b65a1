"""Draws how the current attempt of a run went from its states, events and logs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

from prefect_crash_monitor.explain.evidence.cluster import SLACK
from prefect_crash_monitor.explain.evidence.evidence import HEARTBEAT, Course, Event, Log, State

NONE = timedelta(0)

CRASHED = "CRASHED"
STARTED = frozenset({"PENDING", "RUNNING"})
DONE = frozenset({"COMPLETED", "FAILED", "CANCELLED", "CRASHED"})

HEARTBEAT_EVENT = "prefect.flow-run.heartbeat"
SHORTEST_PERIOD = timedelta(seconds=30)
"""Prefect accepts none shorter."""

LOGGERS_OF_THE_RUN = frozenset({"prefect.flow_runs", "prefect.task_runs"})
"""Those of the worker and the observer tell nothing of the run's own life."""


def attempt_of(states: Sequence[State]) -> datetime | None:
    """When the current attempt was scheduled.

    That is the last SCHEDULED state which was followed by a start. One that was not (the run
    waits, or crashed while it did) still belongs to the attempt before.
    """
    attempts = [
        before.at
        for before, after in pairwise(states)
        if before.type not in STARTED | {"CANCELLING", "PAUSED"} and after.type in STARTED
    ]
    return next((at for at in reversed(attempts) if at), None)


def in_attempt(at: datetime | None, attempt_at: datetime | None, slack: timedelta = SLACK) -> bool:
    """Whether something may belong to the attempt that began then."""
    return at is None or attempt_at is None or at >= attempt_at - slack


def course_of(
    state: State,
    states: Sequence[State],
    logs: Sequence[Log] | None,
    events: Sequence[Event] | None,
    *,
    whole: bool,
    came_from: str = "",
    run_count: int | None = None,
    retries: int | None = None,
) -> Course:
    """The course of the current attempt; logs and events are those of the attempt.

    `whole` says that no state is missing, `came_from` is the type of the state before.
    """
    attempt_at = attempt_of(states)
    attempt = [one for one in states if in_attempt(one.at, attempt_at)]
    running_at = max((s.at for s in attempt if s.type == "RUNNING" and s.at), default=None)
    beats = [
        event.at
        for event in events or ()
        if event.name == HEARTBEAT_EVENT and event.at and in_attempt(event.at, running_at, NONE)
    ]
    crashes = sum(one.type == CRASHED for one in states)
    return Course(
        attempt_at=attempt_at,
        pending_at=next((one.at for one in attempt if one.type == "PENDING"), None),
        running_at=running_at,
        ran=_ran(attempt, logs or (), events or (), came_from, run_count, whole=whole),
        alive_at=_alive_at(attempt, logs or (), events or ()),
        heartbeats=None if events is None else len(beats),
        period=_period(beats),
        crashes=max(crashes, int(state.type == CRASHED)),
        crash_left=crashes > 0 and state.type != CRASHED,
        evicted=_evicted(states, retries),
    )


def _ran(
    attempt: Sequence[State],
    logs: Iterable[Log],
    events: Iterable[Event],
    came_from: str,
    run_count: int | None,
    *,
    whole: bool,
) -> bool | None:
    if came_from == "RUNNING" or any(one.type == "RUNNING" for one in attempt):
        return True
    if came_from == "PENDING" or (whole and len(attempt) > 1):
        return False
    if any(event.name == "prefect.flow-run.Running" for event in events):
        return True
    if any(log.text.startswith("Beginning flow run ") for log in logs):
        return True
    return None if run_count is None else run_count > 0


def _alive_at(
    attempt: Iterable[State], logs: Iterable[Log], events: Iterable[Event]
) -> datetime | None:
    signs = [
        *(one.at for one in attempt if one.type not in DONE),
        *(log.at for log in logs if log.logger in LOGGERS_OF_THE_RUN),
        *(event.known_at for event in events if _is_life(event.name)),
    ]
    return max((sign for sign in signs if sign), default=None)


def _is_life(name: str) -> bool:
    return name == HEARTBEAT_EVENT or name.startswith(
        ("prefect.task-run.", "prefect.flow-run.pull")
    )


def _period(beats: Sequence[datetime]) -> timedelta:
    """How often the run sends heartbeats: the middle gap, so that a lost one does not count."""
    gaps = [(after - before).total_seconds() for before, after in pairwise(sorted(beats))]
    return max(timedelta(seconds=median(gaps)), SHORTEST_PERIOD) if gaps else HEARTBEAT


def _evicted(states: Sequence[State], retries: int | None) -> bool:
    """A flow that retries by itself goes the same way, and was not evicted."""
    return not retries and any(
        before.type == "RUNNING" and after.type == "SCHEDULED" for before, after in pairwise(states)
    )
