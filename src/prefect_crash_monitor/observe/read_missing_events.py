"""Crashes whose event is lost: a server killed before its flush keeps the state, not the event.

Found are those of runs that are still CRASHED; `histories` finds those of runs that were seen
crashing, by their number of attempts. Two losses no list read can see: an event lost *and* its
run retried before it was looked for; a crash forced onto a finished run (its end time stays)
without event.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from prefect_crash_monitor.model.crash import Crash
from prefect_crash_monitor.model.interval import Window, moment
from prefect_crash_monitor.observe.parse_crash import crash_of_state
from prefect_crash_monitor.observe.read_crash_events import deployment_in_events
from prefect_crash_monitor.observe.read_flow_runs import (
    Json,
    crashed_runs_except,
    crashed_states,
    named,
    now_crashed,
    side_by_side,
)
from prefect_crash_monitor.prefect_api.answers import whole_answer
from prefect_crash_monitor.prefect_api.client import Api

SEEN_PER_QUERY = 2_000
"""Run ids in one filter; databases take about 32,000 parameters a statement."""

STATES_READ = 500
"""Lost runs whose whole history is read, retried ones first; of more, the state they are in."""

History = Sequence[Json]
"""The states of type CRASHED that a run ever had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """Crashes found without their events, and what could not be looked at."""

    crashes: tuple[Crash, ...] = ()
    runs: tuple[Json, ...] = ()
    """Their runs as they are now, so that nobody reads them again."""
    histories: Mapping[str, History] = field(default_factory=dict)
    """By flow run id, of those that were read whole."""
    gaps: tuple[str, ...] = ()


async def find_unseen_runs(api: Api, window: Window, seen: Sequence[Crash]) -> Lost:
    """Crashes of runs that are CRASHED now and of which no event was seen in the window.

    One request where nothing is lost and at most `SEEN_PER_QUERY` runs were seen.
    """
    known = {crash.flow_run_id for crash in seen}
    runs: dict[str, Json] = {}
    for part, ids in _parts(window, seen):
        for run in await crashed_runs_except(api, part, ids):
            runs[run["id"]] = run
    unseen = [run for id_, run in runs.items() if id_ not in known]
    unseen.sort(key=_begun_again, reverse=True)
    read, unread = unseen[:STATES_READ], unseen[STATES_READ:]
    states = await side_by_side(lambda run: crashed_states(api, run["id"]), read)
    with_present = [(run, [run["state"]]) for run in unread if now_crashed(run)]
    histories = [*zip(read, states, strict=True), *with_present]
    return Lost(
        crashes=await lost_crashes(api, histories, window, {crash.state_id for crash in seen}),
        runs=tuple(unseen),
        histories={run["id"]: history for run, history in zip(read, states, strict=True)},
        gaps=_unread(len(unseen), sum(map(_begun_again, unread))),
    )


def _begun_again(run: Json) -> bool:
    """Whether the run may have crashed before: one begun once has its one crash."""
    with whole_answer("a crashed flow run"):
        return int(run.get("run_count") or 0) > 1


def _unread(unseen: int, retried: int) -> tuple[str, ...]:
    if not retried:
        return ()
    gap = (
        f"{unseen} crashed runs have no event; of {retried} of them that were begun more than once "
        "only the latest crash is counted"
    )
    return (gap,)


def _parts(window: Window, seen: Sequence[Crash]) -> Iterable[tuple[Window, set[str]]]:
    """The window cut so that no part holds more seen runs than one filter takes."""
    ordered = sorted(seen, key=lambda crash: crash.at)
    cuts = [ordered[at].at for at in range(SEEN_PER_QUERY, len(ordered), SEEN_PER_QUERY)]
    edges = sorted({window.start, *cuts, window.end})
    for start, end in pairwise(edges):
        part = Window(start, end)
        yield part, {crash.flow_run_id for crash in ordered if crash.at in part}


async def lost_crashes(
    api: Api, histories: Iterable[tuple[Json, History]], window: Window, known: set[str]
) -> tuple[Crash, ...]:
    """The crashes of these states that lie in the window and are not known, with their names."""
    with whole_answer("states of crashed runs"):
        new = [
            (run, state)
            for run, states in histories
            for state in states
            if state["id"] not in known and moment(state["timestamp"]) in window
        ]
        flows = await named(api, "flows", {run["flow_id"] for run, _ in new})
        ids = {run["deployment_id"] for run, _ in new if run.get("deployment_id")}
        deployments = await named(api, "deployments", ids)
        deployments |= await _deleted_deployments(api, ids - deployments.keys())
        return tuple(
            crash_of_state(
                state,
                run,
                flows.get(run["flow_id"], {}),
                deployments.get(run.get("deployment_id") or "", {}),
            )
            for run, state in new
        )


async def _deleted_deployments(api: Api, ids: Collection[str]) -> dict[str, Json]:
    """Names of deployments that are gone, so that all crashes of one stand under one name.

    One request each, and mostly none; without a name where no event is left that tells it.
    """
    names = await side_by_side(lambda id_: deployment_in_events(api, id_), sorted(ids))
    return {id_: {"name": name} for id_, name in zip(sorted(ids), names, strict=True) if name}
