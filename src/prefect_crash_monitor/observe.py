"""Observe: every crash of a window that Prefect can still tell of, and what became of it.

The events are the count, the flow runs are the cross-check. A view that is known to be partial
says why; it is never just a low number.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from prefect_crash_monitor.api import Api
from prefect_crash_monitor.crash_events import (
    CrashEvents,
    first_event_at,
    flow_run_events,
    read_crash_events,
)
from prefect_crash_monitor.event_pages import count_events
from prefect_crash_monitor.fates import CRASHED, RunNow, fates
from prefect_crash_monitor.flow_runs import (
    Json,
    count_changed,
    count_changed_except,
    runs_by_id,
)
from prefect_crash_monitor.lost_events import Lost, find_unseen_attempts, find_unseen_runs
from prefect_crash_monitor.model import Crash, Observation, Window
from prefect_crash_monitor.reading import run_now

RETENTION_CHECKED_FROM = timedelta(hours=3)
"""Windows that begin longer ago are checked for events that Prefect has already deleted."""

QUIET_START = timedelta(minutes=5)
"""A window whose first event is later than this may have lost its beginning to the retention."""

BEFORE = timedelta(days=1)
"""How far before a window an event proves that the retention has not reached it."""

RUNS_PER_QUERY = 50


async def observe(api: Api, window: Window, *, now: datetime, settle: timedelta) -> Observation:
    """All crashes in `[window.start, window.end)` and their fate as of now.

    At most 3 requests when nothing crashed in a recent window; with crashes about one per 50 of
    them and one per 200 runs. `settle` is how long after its end a window can be trusted.

    Raises:
        ApiTrouble: when there is no usable answer; nothing is half done then.
    """
    read = await read_crash_events(api, window)
    lost, missing = await _cross_check(api, window, read, now)
    known = _by_time([*read.crashes, *lost.crashes])
    runs = await _runs_now(api, known, lost.runs)
    attempts = await find_unseen_attempts(api, window, known, runs.values())
    crashes = _by_time([*known, *attempts.crashes])
    later = await _later_crashes(api, window, crashes, runs, now)
    states = {id_: run_now(run) for id_, run in runs.items()}
    return Observation(
        window=window,
        crashes=crashes,
        outcomes=fates(crashes, states, later),
        gaps=(*_unsettled(window, now, settle), *_disagreement(read), *missing, *lost.gaps),
    )


async def _cross_check(
    api: Api, window: Window, read: CrashEvents, now: datetime
) -> tuple[Lost, tuple[str, ...]]:
    """Crashes without events, and whether there are events to trust at all."""
    old = now - window.start > RETENTION_CHECKED_FROM
    first = await first_event_at(api, window) if old or not read.crashes else window.start
    if first is None and not await count_changed(api, window):
        return Lost(), ()
    lost = await find_unseen_runs(api, window, read.crashes)
    if first is not None and not (old and first - window.start > QUIET_START):
        return lost, ()
    unread = Window(window.start, first or window.end)
    if not await _has_unexplained_runs(api, unread, {run["id"] for run in lost.runs}):
        return lost, ()
    if first is not None and await _has_events_before(api, unread):
        return lost, ()
    return lost, (_no_events(unread),)


async def _has_unexplained_runs(api: Api, unread: Window, explained: Collection[str]) -> bool:
    """Whether runs moved in a span without events, beside those whose events are lost."""
    return await count_changed_except(api, unread, explained) > 0


async def _has_events_before(api: Api, unread: Window) -> bool:
    """Whether older events exist: then the retention has not reached the span."""
    before = Window(unread.start - BEFORE, unread.start)
    return await count_events(api, flow_run_events(before)) > 0


def _no_events(unread: Window) -> str:
    return (
        f"flow runs started or ended between {unread.start.isoformat()} and "
        f"{unread.end.isoformat()}, but Prefect has no events of them: the window is older than "
        "the server's event retention (PREFECT_SERVER_EVENTS_RETENTION_PERIOD, 7 days by "
        "default), or its event persister is off. Crashes that were retried since are missing"
    )


async def _runs_now(api: Api, crashes: Sequence[Crash], have: Sequence[Json]) -> dict[str, Json]:
    """The runs of the crashes as they are now, reading only those not at hand."""
    runs = {run["id"]: run for run in have}
    wanted = {crash.flow_run_id for crash in crashes} - runs.keys()
    return runs | await runs_by_id(api, wanted) if wanted else runs


async def _later_crashes(
    api: Api,
    window: Window,
    crashes: Sequence[Crash],
    runs: Mapping[str, Json],
    now: datetime,
) -> dict[str, datetime]:
    """The latest crash after the window of runs that got going since; by flow run id."""
    states = {id_: run_now(run) for id_, run in runs.items()}
    moved = sorted({c.flow_run_id for c in crashes if _moved_on(states.get(c.flow_run_id), window)})
    latest: dict[str, datetime] = {}
    for at in range(0, len(moved) if window.end < now else 0, RUNS_PER_QUERY):
        ids = moved[at : at + RUNS_PER_QUERY]
        for crash in (await read_crash_events(api, Window(window.end, now), ids)).crashes:
            latest[crash.flow_run_id] = crash.at
    return latest


def _moved_on(run: RunNow | None, window: Window) -> bool:
    """Whether a run left its crash and changed after the window, so may have crashed again."""
    return run is not None and run.state_type != CRASHED and run.state_at >= window.end


def _unsettled(window: Window, now: datetime, settle: timedelta) -> tuple[str, ...]:
    if window.end <= now - settle:
        return ()
    gap = (
        f"the window ends less than {settle.total_seconds():.0f} s ago or in the future "
        f"({window.end.isoformat()}): more crashes may come"
    )
    return (gap,)


def _disagreement(read: CrashEvents) -> tuple[str, ...]:
    if read.agree:
        return ()
    gap = (
        f"Prefect counts {read.total} crash events in the window, but gave only {read.seen} in "
        "several readings"
    )
    return (gap,)


def _by_time(crashes: Sequence[Crash]) -> tuple[Crash, ...]:
    """Each crash once, in order; of two sources the event, which tells more."""
    once: dict[str, Crash] = {}
    for crash in crashes:
        once.setdefault(crash.state_id, crash)
    return tuple(sorted(once.values(), key=lambda crash: (crash.at, crash.state_id)))


def with_labels(observation: Observation, labels: Mapping[str, Mapping[str, str]]) -> Observation:
    """The same crashes with the labels of their runs, which events do not carry."""
    crashes = tuple(
        replace(crash, labels=tuple(sorted(labels.get(crash.flow_run_id, {}).items())))
        for crash in observation.crashes
    )
    return replace(observation, crashes=crashes)
