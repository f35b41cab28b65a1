"""Gathers the scene of a crash: at most 21 requests for the run, mostly 4, and 14 around it.

What explains the run itself must be readable. All else may be refused or broken: the triage then
says what is missing, and goes on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import quote

from prefect_crash_monitor.errors import Failing, NotThere, Refused
from prefect_crash_monitor.evaluate.read_last_success import filter_of
from prefect_crash_monitor.explain import evidence_of_bundle, explain
from prefect_crash_monitor.explain.read_bundle import capture_bundle
from prefect_crash_monitor.explain.read_bundle_file import Bundle
from prefect_crash_monitor.explain.read_evidence import explain_crashes
from prefect_crash_monitor.model.crash import Crash
from prefect_crash_monitor.model.interval import TICK, Window
from prefect_crash_monitor.model.own import is_own
from prefect_crash_monitor.model.runs import RunsOf
from prefect_crash_monitor.observe.outcomes import CRASHED
from prefect_crash_monitor.observe.parse_crash import crash_of_event
from prefect_crash_monitor.observe.read_crash_events import state_events
from prefect_crash_monitor.observe.read_flow_runs import runs_by_id
from prefect_crash_monitor.prefect_api.answers import rows, whole_answer
from prefect_crash_monitor.prefect_api.client import Api
from prefect_crash_monitor.triage import parse as reading
from prefect_crash_monitor.triage.scene import (
    AROUND,
    Around,
    Edit,
    PastRun,
    Scene,
    Worker,
    WorkerEvent,
)

BEFORE, SINCE = 15, 10
"""Runs of the deployment that are looked at, before the crashed one and after its crash."""

CRASHES, EXPLAINED = 50, 20
"""Other crashes read, a page of Prefect's; and how many of them are explained: 3 requests."""

ENDED = ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"]
HOLDERS = ["PENDING", "RUNNING", "CANCELLING", "PAUSED"]
"""States in which a run may hold a slot of its deployment's concurrency limit."""

EVENTS = 20
"""Changes read, and starts and stops of workers; the latest ones."""

FURTHEST = timedelta(days=13)
"""How far back edits are looked for; Prefect Cloud takes 14 days at most."""

UNSEEN_GOOD = timedelta(days=1)
"""How far back where no run is known to have completed."""

SKIPPED = (Failing, Refused)
"""What one part may end with; a server that is gone ends the triage."""

Json = dict[str, Any]
Part = TypeVar("Part")


async def gather(api: Api, run_id: str, incident: str, now: datetime) -> Scene:
    """All that explains one crashed run.

    Raises:
        BadInput: an id of which the server knows neither a run nor events, or a task run's id.
        ApiTrouble: the run itself could not be read, or the server is gone.
    """
    bundle = await capture_bundle(api, run_id, now)
    evidence = evidence_of_bundle(bundle)
    at = reading.crashed_at(evidence) or now
    parts = _Parts(api, bundle, at, now)
    own, around = await parts.runs_around(run_id)
    deployment, active = await parts.deployment()
    before, since, completed = await parts.history(own)
    pool, workers, worker_events = await parts.pool(evidence.names.pool)
    return Scene(
        run_id=run_id,
        incident=incident,
        looked_at=now,
        crashed_at=at,
        evidence=evidence,
        explanation=explain(evidence),
        run=own,
        deployment=deployment,
        before=before,
        since=since,
        completed=completed,
        active=active,
        around=around,
        pool=pool,
        workers=workers,
        worker_events=worker_events,
        edits=await parts.edits(completed, pool.id if pool else ""),
        gaps=(*bundle.get("notes", ()), *parts.gaps),
    )


def _past_runs(answer: Any) -> tuple[PastRun, ...]:
    return tuple(reading.past_run(run) for run in rows(answer, "flow runs"))


def _workers(answer: Any) -> tuple[Worker, ...]:
    """No list is unknown workers, not a pool without any."""
    return reading.workers_of(rows(answer, "workers"))


def _number(answer: Any) -> int:
    if not isinstance(answer, int):
        raise TypeError(f"no number but {type(answer).__name__}")
    return answer


class _Parts:
    """Reads that may fail one by one; `gaps` names those that did."""

    def __init__(self, api: Api, bundle: Bundle, crashed_at: datetime, now: datetime) -> None:
        self._api = api
        self._at = crashed_at
        self._now = now
        self._deployment = reading.deployment_id_of(bundle)
        self._flow = reading.flow_id_of(bundle)
        self.gaps: list[str] = []

    async def runs_around(self, run_id: str) -> tuple[PastRun | None, Around | None]:
        """The run itself, to be compared, and what crashed beside it; at most 5 requests."""
        span = Window(self._at - AROUND, min(self._at + AROUND, self._now))
        found = await self._part("Crashes at the same time", self._crashes(span, run_id))
        crashes, left_out = found or ((), 0)
        ids = {run_id, *(crash.flow_run_id for crash in crashes)}
        runs = await self._part("The crashed runs", runs_by_id(self._api, ids)) or {}
        own = _past_runs([runs[run_id]])[0] if run_id in runs else None
        if found is None:
            return own, None
        explained = await self._part(
            "Causes of crashes at the same time",
            explain_crashes(self._api, crashes[:EXPLAINED], {}, settled_before=span.start),
        )
        return own, Around(
            span=span,
            crashes=tuple(crashes),
            left_out=left_out,
            workers={id_: reading.worker_of(run) for id_, run in runs.items()},
            diagnoses=explained.diagnoses if explained else {},
        )

    async def deployment(self) -> tuple[Any, int | None]:
        """The deployment, and how many of its runs may hold a slot; 2 requests."""
        if not self._deployment:
            return None, None
        path = f"/deployments/{quote(self._deployment, safe='')}"
        found = await self._parsed("The deployment", self._api.get(path), reading.deployment_now)
        filter_ = self._runs({"state": {"type": {"any_": HOLDERS}}})
        counted = self._api.post("/flow_runs/count", filter_)
        return found, await self._parsed("Runs at work", counted, _number)

    async def history(
        self, own: PastRun | None
    ) -> tuple[tuple[PastRun, ...] | None, tuple[PastRun, ...] | None, PastRun | None]:
        """Runs before it, runs since its crash, and the last that completed; 3 requests."""
        if not (self._deployment or self._flow):
            return None, None, None
        started = own.at if own and own.at else self._at
        earlier = {"before_": (started - TICK).isoformat()}
        later = {"after_": (self._at + TICK).isoformat()}
        before = await self._past("Earlier runs", earlier, ENDED, BEFORE)
        since = await self._past("Later runs", later, ENDED, SINCE)
        good = await self._past("The last run that completed", earlier, ["COMPLETED"], 1)
        return before, since, good[0] if good else None

    async def pool(self, name: str) -> tuple[Any, Any, tuple[WorkerEvent, ...] | None]:
        """The work pool, its workers, and which of these came or went; 3 requests."""
        if not name:
            return None, None, None
        path = f"/work_pools/{quote(name, safe='')}"
        pool = await self._parsed(f"Work pool {name}", self._api.get(path), reading.pool_now)
        if not pool:
            return None, None, None
        listed = self._api.post(f"{path}/workers/filter", {"limit": reading.LISTED})
        workers = await self._parsed("Workers", listed, _workers)
        filter_ = {
            "event": {"name": ["prefect.worker.started", reading.STOPPED]},
            "related": {"id": [f"prefect.work-pool.{pool.id}"]},
            "occurred": _span(self._at - AROUND, self._at + AROUND),
            "order": "DESC",
        }
        events = await self._parsed(
            "Starts and stops of workers", self._events(filter_), reading.worker_events_of
        )
        return pool, workers, events

    async def edits(self, completed: PastRun | None, pool_id: str) -> tuple[Edit, ...] | None:
        """Changes of deployment and pool since the last run that completed; 1 request."""
        ids = [f"prefect.deployment.{self._deployment}"] if self._deployment else []
        ids += [f"prefect.work-pool.{pool_id}"] if pool_id else []
        if not ids:
            return None
        good = completed.at if completed and completed.at else self._at - UNSEEN_GOOD
        filter_ = {
            "event": {"name": list(reading.KINDS)},
            "resource": {"id": ids},
            "occurred": _span(max(good, self._now - FURTHEST), self._now),
            "order": "DESC",
        }
        return await self._parsed(
            "Changes of deployment and pool", self._events(filter_), reading.edits_of
        )

    async def _parsed(
        self, what: str, request: Awaitable[Any], parse: Callable[[Any], Part]
    ) -> Part | None:
        """What a request gives, parsed; an answer that is not as documented is a gap, too."""

        async def parsed() -> Part:
            answer = await request
            with whole_answer(what):
                return parse(answer)

        return await self._part(what, parsed())

    async def _part(self, what: str, request: Awaitable[Part]) -> Part | None:
        try:
            return await request
        except NotThere:
            self.gaps.append(f"{what}: not there (any more).")
        except SKIPPED as error:
            self.gaps.append(f"{what}: {error}")
        return None

    async def _crashes(self, span: Window, run_id: str) -> tuple[list[Crash], int]:
        """The first crashes of the span, without this run's and our own; and how many more."""
        body = {"filter": state_events(span, [CRASHED]), "limit": CRASHES}
        page = await self._api.post("/events/filter", body)
        with whole_answer("crash events"):
            found = [crash for event in page["events"] if (crash := crash_of_event(event))]
            left_out = max(int(page["total"]) - len(page["events"]), 0)
        others = [c for c in found if c.flow_run_id != run_id and not is_own(c)]
        return others, left_out

    async def _past(
        self, what: str, started: Json, types: Sequence[str], limit: int
    ) -> tuple[PastRun, ...] | None:
        filter_ = self._runs({"start_time": started, "state": {"type": {"any_": list(types)}}})
        body = filter_ | {"limit": limit, "sort": "START_TIME_DESC"}
        return await self._parsed(what, self._api.post("/flow_runs/filter", body), _past_runs)

    def _runs(self, more: Json) -> Json:
        """The filter for runs of the deployment; without one, for those of the flow without one."""
        if self._deployment:
            return filter_of(RunsOf.DEPLOYMENT, [self._deployment], more)
        return filter_of(RunsOf.FLOW_WITHOUT_DEPLOYMENT, [self._flow], more)

    async def _events(self, filter_: Json) -> Any:
        page = await self._api.post("/events/filter", {"filter": filter_, "limit": EVENTS})
        with whole_answer("events"):
            return {"events": rows(page["events"], "events")}


def _span(start: datetime, end: datetime) -> dict[str, str]:
    return {"since": start.isoformat(), "until": end.isoformat()}
