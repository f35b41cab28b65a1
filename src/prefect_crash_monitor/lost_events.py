"""Crashes whose event is lost: a server killed before its flush keeps the state, not the event.

Found are those of runs that are still CRASHED, and, by their number of attempts, those of runs
that were seen crashing. Two losses no list read can see: an event lost *and* its run retried
before it was looked for; a crash forced onto a finished run (its end time stays) without event.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from prefect_crash_monitor.api import Api
from prefect_crash_monitor.fates import CRASHED
from prefect_crash_monitor.flow_runs import (
    Json,
    crashed_runs_except,
    crashed_states,
    named,
    side_by_side,
)
from prefect_crash_monitor.model import Crash, Window
from prefect_crash_monitor.reading import crash_of_state, moment, whole_answer

SEEN_PER_QUERY = 2_000
"""Run ids in one filter; databases take about 32,000 parameters a statement."""

STATES_READ = 500
"""Lost runs whose whole history is read; of more, only the state they are in."""

ATTEMPTS_READ = 50
"""Seen runs with unexplained attempts whose history is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """Crashes found without their events, and what could not be looked at."""

    crashes: tuple[Crash, ...] = ()
    runs: tuple[Json, ...] = field(default=())
    """The runs of the first kind as they are now, so that nobody reads them again."""
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
    histories = await _histories(api, unseen)
    crashes = await _crashes(api, histories, window, {crash.state_id for crash in seen})
    if len(unseen) <= STATES_READ:
        return Lost(crashes=crashes, runs=tuple(unseen))
    gap = (
        f"{len(unseen)} crashed runs have no event; of {len(unseen) - STATES_READ} of them only "
        "the latest crash is counted"
    )
    return Lost(crashes=crashes, runs=tuple(unseen), gaps=(gap,))


async def find_unseen_attempts(
    api: Api, window: Window, seen: Sequence[Crash], runs: Iterable[Json]
) -> Lost:
    """Crashes of runs that were seen crashing, but not as often as they did.

    `runs` are the seen ones as they are now. No request where each attempt is explained.
    """
    by_run: dict[str, list[Crash]] = defaultdict(list)
    for crash in seen:
        by_run[crash.flow_run_id].append(crash)
    odd = [run for run in runs if _unexplained(run, by_run[run["id"]], window)]
    looked_at = odd[:ATTEMPTS_READ]
    states = await side_by_side(lambda run: crashed_states(api, run["id"]), looked_at)
    histories = list(zip(looked_at, states, strict=True))
    crashes = await _crashes(api, histories, window, {crash.state_id for crash in seen})
    current = [(run, [run["state"]]) for run in odd[ATTEMPTS_READ:] if _now_crashed(run)]
    crashes += await _crashes(api, current, window, {crash.state_id for crash in seen})
    return Lost(crashes=crashes)


def _unexplained(run: Json, seen: Sequence[Crash], window: Window) -> bool:
    """Whether the run is in a crash unseen, or an earlier attempt of it is unaccounted for.

    An attempt that failed without crashing looks the same; reading its history tells.
    """
    with whole_answer("a flow run"):
        present = _now_crashed(run) and moment(run["state"]["timestamp"]) in window
        before_the_latest = set(range(1, int(run.get("run_count") or 0)))
        return (present and run["state"]["id"] not in {crash.state_id for crash in seen}) or bool(
            before_the_latest - {crash.run_count for crash in seen}
        )


def _now_crashed(run: Json) -> bool:
    return bool(run.get("state")) and run["state"].get("type") == CRASHED


def _parts(window: Window, seen: Sequence[Crash]) -> Iterable[tuple[Window, set[str]]]:
    """The window cut so that no part holds more seen runs than one filter takes."""
    ordered = sorted(seen, key=lambda crash: crash.at)
    cuts = [ordered[at].at for at in range(SEEN_PER_QUERY, len(ordered), SEEN_PER_QUERY)]
    edges = sorted({window.start, *cuts, window.end})
    for start, end in pairwise(edges):
        part = Window(start, end)
        yield part, {crash.flow_run_id for crash in ordered if crash.at in part}


async def _histories(api: Api, runs: Sequence[Json]) -> list[tuple[Json, list[Json]]]:
    """Each run with its crashed states, or with just the present one where there are too many."""
    read = runs[:STATES_READ]
    states = await side_by_side(lambda run: crashed_states(api, run["id"]), read)
    full = list(zip(read, states, strict=True))
    return full + [(run, [run["state"]]) for run in runs[STATES_READ:] if _now_crashed(run)]


async def _crashes(
    api: Api, histories: Sequence[tuple[Json, list[Json]]], window: Window, known: set[str]
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
        return tuple(
            crash_of_state(
                state,
                run,
                flows.get(run["flow_id"], {}).get("name", ""),
                deployments.get(run.get("deployment_id") or "", {}),
            )
            for run, state in new
        )
