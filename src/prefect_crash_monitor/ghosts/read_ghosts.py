"""Reads all runs that have not ended, and looks closely at those that may be ghosts.

With nothing running for longer than a minute one request. Else one for 200 runs, three or four for
what is told of all of them, two for 200 that are known, and about five for each suspect.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from prefect_crash_monitor.errors import BadInput
from prefect_crash_monitor.explain import evidence_of_bundle
from prefect_crash_monitor.explain.liveness import WAITING_WORKERS
from prefect_crash_monitor.explain.read_bundle import capture_bundle
from prefect_crash_monitor.ghosts.candidates import (
    SILENCE,
    UNFINISHED,
    may_be_over,
    suspects,
    turns,
)
from prefect_crash_monitor.ghosts.ghost import Dead, Ghost, death
from prefect_crash_monitor.ghosts.read_signs import heard_of
from prefect_crash_monitor.model.incident import SAMPLE_LENGTH
from prefect_crash_monitor.model.own import is_own
from prefect_crash_monitor.observe.outcomes import RunNow
from prefect_crash_monitor.observe.parse_crash import crash_of_state, run_now
from prefect_crash_monitor.observe.read_crash_events import HEARTBEAT
from prefect_crash_monitor.observe.read_flow_runs import Json, all_runs, named, side_by_side
from prefect_crash_monitor.prefect_api.answers import rows, whole_answer
from prefect_crash_monitor.prefect_api.client import Api
from prefect_crash_monitor.redaction.redact import redact

ASKED_AT_ONCE = 200
"""Runs named in one filter."""

EVENTS = 50
"""Most events that Prefect gives at once; the ends that are left out show as silence later."""

ENDS_READ_BACK = timedelta(hours=1)
"""How far back ends told by workers are read; what ended earlier has been silent since."""

KEPT = 500
"""Most ghosts that the monitor remembers, some 2 kB each: the ledger is one value, which each cycle
reads and writes as a whole. A server with more has one problem, not as many."""

EXECUTED, STOPPED, SUBMITTED = (
    "prefect.worker.executed-flow-run",
    "prefect.worker.stopped",
    "prefect.worker.submitted-flow-run",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What a sweep found."""

    ghosts: tuple[Ghost, ...] = ()
    """The longest dead first."""
    left_out: int = 0
    """Suspects that were not looked at this time."""
    not_kept: int = 0
    """Ghosts that are more than the monitor remembers."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader must know of what was left out."""
        left_out = (
            f"{self.left_out} more runs may have ended without saying so and were not looked at "
            "yet; `crash-monitor ghosts` looks at all of them."
        )
        not_kept = (
            f"{self.not_kept} more runs ended without saying so than the monitor remembers: it "
            f"keeps the {KEPT} most certain and newest. `crash-monitor ghosts` lists all of them; "
            "with `--mark` it sets those that are certain CRASHED."
        )
        return (*[left_out] * bool(self.left_out), *[not_kept] * bool(self.not_kept))


async def sweep(
    api: Api,
    now: datetime,
    *,
    known: Iterable[Ghost] = (),
    own_deployments: Collection[str] = (),
    most: int | None = None,
    turn: int = 0,
) -> Sweep:
    """All ghosts as of now.

    At `most` so many suspects are looked at, not the same at each `turn`, and the `KEPT` most
    certain ghosts are given; None looks at all, and gives all. One that is `known` stays so until
    it is looked at again: while it is only likely, or where something is heard of it.
    """
    rows_ = await all_runs(api, {"state": {"type": {"any_": list(UNFINISHED)}}}, "unfinished runs")
    with whole_answer("unfinished flow runs"):
        by_id = {row["id"]: row for row in rows_ if row.get("state")}
        runs = [run_now(row) for row in by_id.values()]
    if not (settled := may_be_over(runs, now)):
        return Sweep()
    beating = await _beating(api, now)
    ended = await _ended(api, settled, now)
    found = suspects(runs, beating=beating, ended=ended, now=now)
    before = {ghost.left_in.state_id: ghost for ghost in known}
    new = [run for run in found if run.state_id not in before]
    at_rest = [before[run.state_id] for run in found if run.state_id in before]
    stirred = beating | await heard_of(api, [one for one in at_rest if not one.is_likely], now)
    again = [
        run
        for run in found
        if run.state_id in before and _is_open(before[run.state_id], stirred, ended)
    ]
    looked_at = [*again, *new] if most is None else turns(again, new, most, turn)
    told = await side_by_side(lambda run: _look(api, run, now), looked_at)
    dead = [(by_id[r.id], seen) for r, seen in zip(looked_at, told, strict=True) if seen]
    seen_now = {run.id for run in looked_at}
    left = [run for run in found if run.id not in seen_now]
    still = [before[run.state_id] for run in left if run.state_id in before]
    ghosts = [*still, *await _named(api, dead, now)]
    ghosts = [ghost for ghost in ghosts if not is_own(ghost.left_in, own_deployments)]
    kept = ghosts if most is None else most_certain(ghosts)
    kept.sort(key=lambda ghost: (ghost.left_in.at, ghost.left_in.state_id))
    return Sweep(
        ghosts=tuple(kept), left_out=len(left) - len(still), not_kept=len(ghosts) - len(kept)
    )


def most_certain(ghosts: Iterable[Ghost]) -> list[Ghost]:
    """As many as are remembered: the most certain first, of those the newest."""
    newest = sorted(ghosts, key=lambda ghost: (ghost.left_in.at, ghost.left_in.state_id))[::-1]
    return sorted(newest, key=lambda ghost: (not ghost.certain, not ghost.is_claimed))[:KEPT]


def _is_open(ghost: Ghost, stirred: Collection[str], ended: Collection[str]) -> bool:
    """Whether a ghost that is known may be none, or have proof by now that it lacked."""
    if ghost.is_likely or ghost.flow_run_id in stirred:
        return True
    return not ghost.certain and ghost.flow_run_id in ended


async def _look(api: Api, run: RunNow, now: datetime) -> Dead | None:
    """Why it is a ghost; None where it is none, or moved on or vanished meanwhile."""
    try:
        bundle = await capture_bundle(api, run.id, now)
    except BadInput:
        return None
    if bundle["flow_run"].get("state_id") != run.state_id:
        return None
    return death(evidence_of_bundle(bundle))


async def _named(api: Api, dead: Sequence[tuple[Json, Dead]], now: datetime) -> list[Ghost]:
    """The ghosts with the names of what they belong to; no request where there is none."""
    flows = await named(api, "flows", {row["flow_id"] for row, _ in dead})
    ids = {row["deployment_id"] for row, _ in dead if row.get("deployment_id")}
    deployments = await named(api, "deployments", ids)
    with whole_answer("unfinished flow runs"):
        return [
            Ghost(
                left_in=crash_of_state(
                    {**row["state"], "message": _sample(row["state"].get("message") or "")},
                    row,
                    flows.get(row["flow_id"], {}),
                    deployments.get(row.get("deployment_id") or "", {}),
                ),
                why=seen.why,
                is_silent=seen.is_silent,
                looked_at=now,
            )
            for row, seen in dead
        ]


def _sample(message: str) -> str:
    """What is remembered of a state's message, which may be of any length and hold secrets."""
    return redact(message[:10_000])[:SAMPLE_LENGTH]


async def _beating(api: Api, now: datetime) -> set[str]:
    """Ids of all runs that sent a heartbeat lately; one request, whatever their number."""
    filter_ = {"event": {"name": [HEARTBEAT]}, "occurred": _since(now - SILENCE, now)}
    answer = await api.post("/events/count-by/resource", {"filter": filter_})
    with whole_answer("heartbeats by flow run"):
        return {_run_id(item["value"]) for item in rows(answer, "heartbeats by flow run")}


async def _ended(api: Api, runs: Sequence[RunNow], now: datetime) -> set[str]:
    """Ids of those whose worker lately told of their end, or was stopped itself."""
    asked = [run.id for run in runs]
    since = _since(now - ENDS_READ_BACK, now)
    stops = await _events(api, {**_by_workers(STOPPED, {"process"}), "occurred": since})
    with whole_answer("events of workers"):
        workers = sorted({event["resource"]["prefect.resource.id"] for event in stops})
    ended: set[str] = set()
    for at in range(0, len(asked), ASKED_AT_ONCE):
        these = {f"prefect.flow-run.{id_}" for id_ in asked[at : at + ASKED_AT_ONCE]}
        about: Json = {"any_resource": {"id": sorted(these)}}
        ends = _by_workers(EXECUTED, WAITING_WORKERS)
        told = await _events(api, {**ends, "occurred": since, **about})
        if workers:
            by_them = {"event": {"name": [SUBMITTED]}, "resource": {"id": workers}, **about}
            told += await _events(api, by_them | {"occurred": _since(now - timedelta(days=7), now)})
        with whole_answer("events of workers"):
            related = (r["prefect.resource.id"] for e in told for r in e["related"])
            ended |= {_run_id(id_) for id_ in related if id_ in these}
    return ended


async def _events(api: Api, filter_: Mapping[str, Any]) -> list[Json]:
    """The newest events that match, a page at most."""
    body = {"filter": {**filter_, "order": "DESC"}, "limit": EVENTS}
    page = await api.post("/events/filter", body)
    with whole_answer("events of workers"):
        return list(page["events"])


def _by_workers(name: str, types: Collection[str]) -> Json:
    """Events of workers of these types: others report a run as executed when it is submitted."""
    return {
        "event": {"name": [name]},
        "resource": {"labels": {"prefect.worker-type": sorted(types)}},
    }


def _since(start: datetime, end: datetime) -> dict[str, str]:
    return {"since": start.isoformat(), "until": end.isoformat()}


def _run_id(resource_id: str) -> str:
    return resource_id.removeprefix("prefect.flow-run.")
