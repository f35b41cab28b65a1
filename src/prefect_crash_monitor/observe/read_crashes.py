"""Observe: every crash of a window that Prefect can still tell of, and what became of it.

The events are the count, the flow runs are the cross-check. A view that is known to be partial
says why; it is never just a low number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from prefect_crash_monitor.model.crash import Crash, Observation
from prefect_crash_monitor.model.interval import Window
from prefect_crash_monitor.observe.outcomes import CRASHED, RunNow, fates
from prefect_crash_monitor.observe.parse_crash import labels_of, run_now
from prefect_crash_monitor.observe.read_crash_events import (
    CrashEvents,
    first_event_at,
    read_crash_events,
    transitions,
)
from prefect_crash_monitor.observe.read_flow_runs import (
    Json,
    any_changed_before,
    count_changed,
    crashed_states,
    runs_by_id,
    side_by_side,
)
from prefect_crash_monitor.observe.read_histories import (
    HISTORIES_READ,
    latest_crashes,
    settle_doubts,
)
from prefect_crash_monitor.observe.read_missing_events import Lost, find_unseen_runs
from prefect_crash_monitor.observe.read_retention import may_be_cut, uncovered, unread_span
from prefect_crash_monitor.prefect_api.client import Api
from prefect_crash_monitor.prefect_api.read_server_version import gaps_of_version

RUNS_PER_QUERY = 50

SCANNED_FOR_LATER = timedelta(hours=1)
"""Up to this span after a window, events tell of later crashes, 50 runs a request; the scan of a
longer one costs more than the history of each run."""


CLOCKS_DIFFER = timedelta(days=1)
"""Nothing is looked for further ahead of our clock than this."""


async def observe(api: Api, window: Window, *, now: datetime, settle: timedelta) -> Observation:
    """All crashes in `[window.start, window.end)` and their fate as of now.

    At most 3 requests when nothing crashed in a recent window of one interval; with crashes about
    one per 50 of them, one per 200 runs, and one for each run whose events leave a doubt. `settle`
    is how long after its end a window can be trusted.

    Raises:
        ApiTrouble: when there is no usable answer; nothing is half done then.
    """
    read = await read_crash_events(api, _until_now(window, now))
    lost, missing = await _cross_check(api, window, read, now)
    found = _by_time([*read.crashes, *lost.crashes])
    runs = await _runs_now(api, found, lost.runs)
    settled = await settle_doubts(api, window, found, runs, doubts=read.doubts, have=lost.histories)
    crashes = _with_labels(_by_time(settled.crashes), runs)
    states = {id_: run_now(run) for id_, run in runs.items()}
    moved = _moved_on(crashes, states, window) if window.end < now else set()
    later = await _later_crashes(api, sorted(moved - settled.latest.keys()), window.end, now)
    gaps = (*_unsettled(window, now, settle), *_disagreement(read), *missing)
    return Observation(
        window=window,
        crashes=crashes,
        outcomes=fates(crashes, states, {**later, **settled.latest}),
        gaps=(*await gaps_of_version(api), *gaps, *lost.gaps, *settled.gaps),
    )


async def _cross_check(
    api: Api, window: Window, read: CrashEvents, now: datetime
) -> tuple[Lost, tuple[str, ...]]:
    """Crashes without events, and whether there are events to trust at all."""
    cut = may_be_cut(window, now)
    if read.crashes and not cut:
        return await find_unseen_runs(api, window, read.crashes), ()
    first = await first_event_at(api, transitions(window))
    if first is None and not await _anything_ran(api, window, cut=cut):
        return Lost(), ()
    lost = await find_unseen_runs(api, window, read.crashes)
    unread = unread_span(window, first, cut=cut)
    if unread is None:
        return lost, ()
    explained = {run["id"] for run in lost.runs}
    return lost, await uncovered(api, window, unread, explained, cut=cut)


async def _anything_ran(api: Api, window: Window, *, cut: bool) -> bool:
    """Whether there can be a crash in a window without events; ever before it, if it may be cut.

    A run that crashed in it and was retried since has left it: it began before and ended after.
    """
    if cut:
        return await any_changed_before(api, window.end, ())
    return await count_changed(api, window) > 0


async def _runs_now(api: Api, crashes: Sequence[Crash], have: Sequence[Json]) -> dict[str, Json]:
    """The runs of the crashes as they are now, reading only those not at hand."""
    runs = {run["id"]: run for run in have}
    wanted = {crash.flow_run_id for crash in crashes} - runs.keys()
    return runs | await runs_by_id(api, wanted) if wanted else runs


async def _later_crashes(
    api: Api, run_ids: Sequence[str], since: datetime, now: datetime
) -> dict[str, datetime]:
    """The latest crash of each of these runs since then, where it has one; by flow run id."""
    if now - since > SCANNED_FOR_LATER and len(run_ids) <= HISTORIES_READ:
        states = await side_by_side(lambda id_: crashed_states(api, id_), run_ids)
        return latest_crashes(dict(zip(run_ids, states, strict=True)))
    latest: dict[str, datetime] = {}
    for at in range(0, len(run_ids), RUNS_PER_QUERY):
        ids = run_ids[at : at + RUNS_PER_QUERY]
        for crash in (await read_crash_events(api, Window(since, now), ids)).crashes:
            latest[crash.flow_run_id] = crash.at
    return latest


def _moved_on(crashes: Iterable[Crash], runs: Mapping[str, RunNow], window: Window) -> set[str]:
    """Runs that left their crash and changed after the window, so may have crashed again."""
    present = [runs[crash.flow_run_id] for crash in crashes if crash.flow_run_id in runs]
    return {run.id for run in present if run.state_type != CRASHED and run.state_at >= window.end}


def _until_now(window: Window, now: datetime) -> Window:
    """The window without the future beyond a day, of which each day would cost a request.

    The server dates states by its own clock, which may be ahead of ours.
    """
    return Window(window.start, min(window.end, now + CLOCKS_DIFFER))


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


def _by_time(crashes: Iterable[Crash]) -> tuple[Crash, ...]:
    """Each crash once, in order; of two sources the event, which tells more."""
    once: dict[str, Crash] = {}
    for crash in crashes:
        once.setdefault(crash.state_id, crash)
    return tuple(sorted(once.values(), key=lambda crash: (crash.at, crash.state_id)))


def _with_labels(crashes: Iterable[Crash], runs: Mapping[str, Json]) -> tuple[Crash, ...]:
    """The crashes with the labels of their runs, which events do not carry; a rule may ask."""
    return tuple(
        replace(crash, labels=labels_of(runs[crash.flow_run_id]))
        if crash.flow_run_id in runs
        else crash
        for crash in crashes
    )
