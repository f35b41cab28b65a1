"""Asks the histories of runs where their events leave a doubt: about missing and about false ones.

A run that was seen crashing but not as often as it did has a crash without event. An event that
is not as Prefect's own, or that comes twice, may be nobody's crash: any client of the API may
send one. The states of the run decide; of a deleted run only the event itself can.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from prefect_crash_monitor.model.crash import Crash
from prefect_crash_monitor.model.interval import Window, moment
from prefect_crash_monitor.observe.parse_crash import Doubt
from prefect_crash_monitor.observe.read_flow_runs import (
    Json,
    crashed_states,
    now_crashed,
    side_by_side,
)
from prefect_crash_monitor.observe.read_missing_events import History, lost_crashes
from prefect_crash_monitor.prefect_api.answers import whole_answer
from prefect_crash_monitor.prefect_api.client import Api

HISTORIES_READ = 2_000
"""Runs whose history is read; one request each, some 4 ms and 4 kB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """The crashes about which no doubt is left, and what the histories told beside."""

    crashes: tuple[Crash, ...]
    latest: Mapping[str, datetime] = field(default_factory=dict)
    """The latest crash ever of each run whose history was read; by flow run id."""
    gaps: tuple[str, ...] = ()


async def settle_doubts(
    api: Api,
    window: Window,
    found: Sequence[Crash],
    runs: Mapping[str, Json],
    *,
    doubts: Mapping[str, Doubt],
    have: Mapping[str, History],
) -> Settled:
    """The crashes that really were, with those of these runs that no event told of.

    `runs` are the crashed ones as they are now, `doubts` the odd events by state id, `have`
    the histories at hand. No request where nothing is in doubt.
    """
    by_run: dict[str, list[Crash]] = defaultdict(list)
    for crash in found:
        if crash.flow_run_id in runs or doubts.get(crash.state_id) is not Doubt.BASELESS:
            by_run[crash.flow_run_id].append(crash)
    doubted = [
        run
        for id_, run in runs.items()
        if id_ not in have and _in_doubt(run, by_run[id_], window, doubts)
    ]
    read, unread = doubted[:HISTORIES_READ], doubted[HISTORIES_READ:]
    states = await side_by_side(lambda run: crashed_states(api, run["id"]), read)
    histories = {**have, **{run["id"]: told for run, told in zip(read, states, strict=True)}}

    true = [
        confirmed
        for id_, crashes in by_run.items()
        for confirmed in _confirmed(crashes, histories.get(id_))
    ]
    told = [(runs[id_], history) for id_, history in histories.items()]
    told += [(run, [run["state"]]) for run in unread if now_crashed(run)]
    lost = await lost_crashes(api, told, window, {crash.state_id for crash in true})
    return Settled(
        crashes=(*true, *lost), latest=latest_crashes(histories), gaps=_unread(len(unread))
    )


def _in_doubt(run: Json, seen: Sequence[Crash], window: Window, odd: Collection[str]) -> bool:
    """Whether an event of the run is odd or doubled, or a crash or attempt of it is unexplained.

    An attempt that failed without crashing looks unexplained too; reading its history tells.
    """
    ids = {crash.state_id for crash in seen}
    if len({crash.at for crash in seen}) < len(seen):
        return True
    with whole_answer("a flow run"):
        present = now_crashed(run) and moment(run["state"]["timestamp"]) in window
        confirmed = {run["state"]["id"]} if present else set()
        before_the_latest = set(range(1, int(run.get("run_count") or 0)))
        unexplained = before_the_latest - {crash.run_count for crash in seen}
    return not confirmed <= ids or bool(unexplained) or not (ids - confirmed).isdisjoint(odd)


def _confirmed(crashes: Sequence[Crash], history: History | None) -> Iterable[Crash]:
    """Each crash once, under the id of its state; a run has one state at a time (unique index)."""
    once: dict[datetime, Crash] = {}
    for crash in crashes:
        once.setdefault(crash.at, crash)
    if history is None:
        return once.values()
    with whole_answer("states of a crashed run"):
        ids = {moment(state["timestamp"]): str(state["id"]) for state in history}
    return [replace(crash, state_id=ids[at]) for at, crash in once.items() if at in ids]


def latest_crashes(histories: Mapping[str, History]) -> dict[str, datetime]:
    """When each run crashed last, where it ever did; by flow run id."""
    with whole_answer("states of crashed runs"):
        return {
            id_: max(moment(state["timestamp"]) for state in history)
            for id_, history in histories.items()
            if history
        }


def _unread(number: int) -> tuple[str, ...]:
    if not number:
        return ()
    gap = (
        f"{number} crashed runs more were begun more often than their events explain; crashes of "
        "theirs whose event is lost are not counted"
    )
    return (gap,)
