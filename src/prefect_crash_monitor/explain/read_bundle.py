"""Capture: what a Prefect server knows of one flow run, as a bundle, in few requests.

A run may have a million log lines and events: what explains it is kept, and what was left out is
said in the bundle's `notes`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from prefect_crash_monitor.errors import BadInput, NotThere
from prefect_crash_monitor.explain.read_bundle_file import Bundle, safe
from prefect_crash_monitor.model.interval import moment
from prefect_crash_monitor.prefect_api.answers import whole_answer
from prefect_crash_monitor.prefect_api.client import Api

LOG_LINES, EVENTS = 200, 50
"""Most that Prefect gives at once."""

WARNING, WARNING_PAGES = 30, 5
EVENT_PAGES = 10

LONGEST_MESSAGE = 20_000
"""Characters kept of one log line; what a line tells stands at its beginning and its end."""

EVENT_SPAN = timedelta(days=14)
"""Prefect Cloud takes no longer span of events; a server keeps them for 7 days by default."""

SKEW, AFTERMATH = timedelta(hours=1), timedelta(days=1)
"""Before a run's creation (clocks differ) and after its end (a pod's last word), events count."""

NOISE = {"exclude_prefix": ["prefect.task-run."], "exclude_name": ["prefect.flow-run.heartbeat"]}
HEARTBEATS = {"name": ["prefect.flow-run.heartbeat"]}
TASK_RUNS = {"prefix": ["prefect.task-run."]}

RUN_FIELDS = (
    *("id", "name", "created", "updated", "flow_id", "deployment_id", "deployment_version"),
    *("state_id", "state_type", "state_name", "run_count", "expected_start_time"),
    *("next_scheduled_start_time", "start_time", "end_time", "total_run_time"),
    *("estimated_run_time", "estimated_start_time_delta", "auto_scheduled", "created_by"),
    *("parent_task_run_id", "empirical_policy", "infrastructure_pid", "work_pool_name"),
    *("work_queue_name", "tags", "labels", "job_variables", "flow_version"),
)
"""What is told of a flow run: not its parameters and context, which are the user's own data."""

STATE_FIELDS = ("id", "type", "name", "timestamp", "message", "state_details")
LOG_FIELDS = ("level", "message", "name", "timestamp", "task_run_id")

WORKER_STARTED, WORKER_STOPPED = "prefect.worker.started", "prefect.worker.stopped"

Json = Mapping[str, Any]


async def capture_bundle(api: Api, run_id: str, now: datetime) -> Bundle:
    """The evidence on one flow run as of now: 4 to 6 requests, up to 23 for a very long run.

    A deleted run of which events are left gives a bundle of those. `notes` says what was left out.

    Raises:
        BadInput: an id of which the server knows neither a run nor events, or a task run's id.
    """
    try:
        run = await api.get(f"/flow_runs/{run_id}")
    except NotThere:
        return await _capture_deleted(api, run_id, now)
    states = await api.get("/flow_run_states/", {"flow_run_id": run_id})
    logs, log_notes = await _logs(api, run_id)
    with whole_answer("a flow run"):
        end = min(now, moment(run["end_time"]) + AFTERMATH) if run.get("end_time") else now
        start = max(moment(run["created"]) - SKEW, end - EVENT_SPAN)
    events, event_notes = await _events(api, run_id, start, end)
    if not run.get("end_time"):
        events += await _stops(api, events, now)
    return _bundle(now, run, states, logs, events, [*log_notes, *event_notes])


async def _capture_deleted(api: Api, run_id: str, now: datetime) -> Bundle:
    """What is left of a run that is gone: its events, and logs until Prefect clears them away."""
    events, notes = await _events(api, run_id, now - EVENT_SPAN, now)
    told = [event for event in events if _tells_of(event, run_id)]
    if not told:
        raise await _unknown(api, run_id)
    with whole_answer("events of a deleted flow run"):
        names = [event["resource"].get("prefect.resource.name") for event in told]
    run = {"id": run_id, "name": next((name for name in reversed(names) if name), None)}
    logs, log_notes = await _logs(api, run_id)
    gone = "The flow run is deleted; this is what its events and logs still tell."
    return _bundle(now, run, [], logs, events, [gone, *log_notes, *notes])


def _tells_of(event: Json, run_id: str) -> bool:
    """Whether an event is the run's own, not one of another run that is related to it."""
    with whole_answer("events of a flow run"):
        return bool(event["resource"]["prefect.resource.id"] == f"prefect.flow-run.{run_id}")


async def _unknown(api: Api, run_id: str) -> BadInput:
    try:
        task_run = await api.get(f"/task_runs/{run_id}")
    except NotThere:
        return BadInput(
            f"The Prefect API at {api.url} knows no flow run {run_id}, and no events of one. "
            "Check the id, and with `prefect config view` the profile; events are kept for 7 days."
        )
    parent = task_run.get("flow_run_id")
    of = f" of flow run {parent}; explain that one" if parent else "; only flow runs are explained"
    return BadInput(f"{run_id} is a task run{of}.")


def _bundle(
    now: datetime,
    run: Json,
    states: Sequence[Json],
    logs: Sequence[Json],
    events: Sequence[Json],
    notes: Sequence[str],
) -> Bundle:
    with whole_answer("a flow run"):
        bundle = {
            "captured_at": now.isoformat(),
            "flow_run": _some(run, RUN_FIELDS),
            "states": [_some(state, STATE_FIELDS) for state in states],
            "logs": [_line(log) for log in logs],
            "events": [dict(event) for event in events],
        }
    return safe(bundle | ({"notes": list(notes)} if notes else {}))


def _some(item: Json, fields: Sequence[str]) -> Bundle:
    return {field: item[field] for field in fields if field in item}


def _line(log: Json) -> Bundle:
    line = _some(log, LOG_FIELDS)
    message, half = str(line.get("message") or ""), LONGEST_MESSAGE // 2
    if len(message) > LONGEST_MESSAGE:
        line["message"] = f"{message[:half]}\n[... shortened ...]\n{message[-half:]}"
    return line


async def _logs(api: Api, run_id: str) -> tuple[list[Json], list[str]]:
    """All lines where they fit into a page, else the first, the last, and the warnings."""

    def reader(sort: str, bound: str, level: int = 0) -> Callable[..., Awaitable[list[Json]]]:
        async def read(edge: str | None) -> list[Json]:
            filter_: Bundle = {"flow_run_id": {"any_": [run_id]}, "level": {"ge_": level}}
            if edge:
                filter_["timestamp"] = {bound: edge}
            body = {"logs": filter_, "limit": LOG_LINES, "sort": sort}
            return list(await api.post("/logs/filter", body))

        return read

    oldest, newest = ("TIMESTAMP_ASC", "after_"), ("TIMESTAMP_DESC", "before_")
    first, whole = await _pages(reader(*oldest), LOG_LINES, 1, "timestamp")
    if whole:
        return list(first.values()), []
    last, _ = await _pages(reader(*newest), LOG_LINES, 1, "timestamp")
    loud, all_loud = await _pages(reader(*oldest, WARNING), LOG_LINES, WARNING_PAGES, "timestamp")
    lines = sorted((first | loud | last).values(), key=lambda line: moment(line["timestamp"]))
    notes = []
    if not first.keys() & last.keys():
        notes.append(
            f"Log lines below WARNING between the first and last {LOG_LINES} are left out."
        )
    if not all_loud:
        notes.append(f"Only the first {LOG_LINES * WARNING_PAGES} warnings and errors are kept.")
    return lines, notes


async def _events(
    api: Api, run_id: str, start: datetime, end: datetime
) -> tuple[list[Json], list[str]]:
    """All events about the run where they fit into a page, else the telling ones.

    Those left out are of task runs (three each) and heartbeats, but for the newest page of each.
    """
    total = 0

    def reader(order: str, names: Json | None = None) -> Callable[..., Awaitable[list[Json]]]:
        async def read(edge: str | None) -> list[Json]:
            nonlocal total
            span = {"since": start.isoformat(), "until": end.isoformat()}
            if edge:
                span["since" if order == "ASC" else "until"] = edge
            resource = {"id": [f"prefect.flow-run.{run_id}"]}
            filter_ = {"any_resource": resource, "occurred": span, "order": order}
            filter_ |= {"event": names} if names else {}
            page = await api.post("/events/filter", {"filter": filter_, "limit": EVENTS})
            with whole_answer("events of a flow run"):
                total = max(total, int(page["total"]))
                return list(page["events"])

        return read

    found, whole = await _pages(reader("ASC"), EVENTS, 1, "occurred")
    if not whole:
        for order, names, pages in (
            ("ASC", NOISE, EVENT_PAGES // 2),
            ("DESC", NOISE, EVENT_PAGES // 2),
            ("DESC", HEARTBEATS, 1),
            ("DESC", TASK_RUNS, 1),
        ):
            more, _ = await _pages(reader(order, names), EVENTS, pages, "occurred")
            found |= more
    left = total - len(found)
    notes = [f"{left} of {total} events are left out."] if left > 0 else []
    with whole_answer("events of a flow run"):
        return sorted(found.values(), key=lambda event: moment(event["occurred"])), notes


async def _stops(api: Api, events: Sequence[Json], now: datetime) -> list[Json]:
    """Starts and stops of the worker to which the run was submitted, which the run's own events do
    not tell, and what it took after the last stop; no request where no worker is known.

    Workers may share a name: only all of them together tell whether one is left.
    """
    with whole_answer("events of a flow run"):
        taken = [event for event in events if event["event"] == "prefect.worker.submitted-flow-run"]
        if not taken:
            return []
        latest = max(taken, key=lambda event: moment(event["occurred"]))
        worker = latest["resource"]["prefect.resource.id"]

    async def read(names: Sequence[str], since: datetime, limit: int) -> list[Json]:
        filter_ = {
            "event": {"name": list(names)},
            "resource": {"id": [worker]},
            "occurred": {"since": since.isoformat(), "until": now.isoformat()},
            "order": "DESC",
        }
        page = await api.post("/events/filter", {"filter": filter_, "limit": limit})
        with whole_answer("events of a worker"):
            return list(page["events"])

    lives = await read([WORKER_STARTED, WORKER_STOPPED], now - EVENT_SPAN, EVENTS)
    with whole_answer("events of a worker"):
        stops = [moment(life["occurred"]) for life in lives if life["event"] == WORKER_STOPPED]
        if not stops or max(stops) < moment(latest["occurred"]):
            return lives
    return lives + await read([latest["event"]], max(stops), 1)


async def _pages(
    read: Callable[[str | None], Awaitable[list[Json]]], size: int, pages: int, time: str
) -> tuple[dict[str, Json], bool]:
    """Rows by id, each page beginning at the time at which the last one ended; and if that is all.

    Prefect's own offsets have no tie-break, so pages by them lose rows and repeat rows.
    """
    found: dict[str, Json] = {}
    edge = None
    for _ in range(pages):
        page, before = await read(edge), len(found)
        with whole_answer("logs or events of a flow run"):
            found |= {row["id"]: row for row in page}
            if len(page) < size:
                return found, True
            edge = page[-1][time]
        if len(found) == before:
            break  # a whole page at one instant: there is no way past it
    return found, False
