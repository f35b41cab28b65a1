"""Writes histories into the SQLite database of a stopped Prefect server.

Straight into the tables, because the API cannot date a state back, and is far slower. Columns and
JSON are those that Prefect 3.8 itself writes: the id of an event is the id of its state, labels
and related resources are in the order of its own events, and run_count, start_time and end_time
follow its orchestration rules.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from bench.history import Place, Run, Step

TERMINAL = frozenset({"COMPLETED", "FAILED", "CANCELLED", "CRASHED"})
RUNS_AT_ONCE = 2_000
NAMESPACE = uuid.UUID("6b1f4f5e-0000-4000-8000-000000000000")

RUN_TIME = "1970-01-01 00:00:01.000000"
"""A duration, as Prefect's SQLite columns hold it; the columns' own default cannot be read."""

Row = tuple[Any, ...]
Json = Mapping[str, Any]

COLUMNS = {
    "flow": "id name",
    "work_pool": "id name type default_queue_id",
    "work_queue": "id name work_pool_id",
    "deployment": "id name tags flow_id work_queue_id parameter_openapi_schema pull_steps labels",
    "task_run": "id name task_key dynamic_key",
    "flow_run": (
        "id name state_type run_count expected_start_time start_time end_time total_run_time "
        "empirical_policy tags flow_id deployment_id parent_task_run_id state_id state_name "
        "state_timestamp work_queue_id labels"
    ),
    "flow_run_state": "id type timestamp name message state_details flow_run_id",
    "events": (
        "id occurred event resource_id resource related_resource_ids related payload received "
        "recorded follows"
    ),
    "event_resources": "id occurred resource_id resource_role resource event_id",
}
"""Tables in the order in which foreign keys want them, with the columns that have no default."""

POLICY = json.dumps({"max_retries": 0, "retry_delay_seconds": 0.0, "pause_keys": []})


def identifier(*words: str) -> str:
    """The same uuid for the same words."""
    return str(uuid.uuid5(NAMESPACE, "/".join(words)))


@dataclass(slots=True)
class Rows:
    """Rows by table, to be written together."""

    tables: dict[str, list[Row]] = field(default_factory=lambda: {name: [] for name in COLUMNS})

    def add(self, table: str, *values: Any) -> None:
        """One row; the values in the order of `COLUMNS`."""
        self.tables[table].append(values)


def write(database: Path, runs: Iterable[Run], extra: Sequence[Json] = ()) -> None:
    """Writes runs with all that belongs to them, and further events in the API's own JSON."""
    connection = sqlite3.connect(database)
    try:
        connection.execute("PRAGMA synchronous = OFF")
        indexes = _without_indexes(connection)
        places: set[Place] = set()
        remaining = iter(runs)
        while chunk := list(islice(remaining, RUNS_AT_ONCE)):
            rows = Rows()
            for place in {run.place for run in chunk} - places:
                _add_place(rows, place)
                places.add(place)
            for run in chunk:
                _add_run(rows, run)
            _insert(connection, rows)
        rows = Rows()
        for event in extra:
            _add_event(rows, event)
        _insert(connection, rows)
        for statement in indexes:
            connection.execute(statement)
        connection.execute("ANALYZE")
        connection.commit()
    finally:
        connection.close()


def _without_indexes(connection: sqlite3.Connection) -> list[str]:
    """Drops the indexes of the large tables, which are far cheaper to make at the end; how."""
    found = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL "
        "AND tbl_name IN ('events', 'event_resources')"
    ).fetchall()
    for name, _ in found:
        connection.execute(f"DROP INDEX {name}")
    return [sql for _, sql in found]


def _insert(connection: sqlite3.Connection, rows: Rows) -> None:
    for table, columns in COLUMNS.items():
        names = columns.split()
        marks = ", ".join("?" * len(names))
        # Names come from the table above; a flow of several chunks or deployments is kept once.
        statement = f"INSERT OR IGNORE INTO {table} ({', '.join(names)}) VALUES ({marks})"
        connection.executemany(statement, rows.tables[table])
    connection.commit()


def _add_place(rows: Rows, place: Place) -> None:
    flow, deployment, pool, queue = _ids(place)
    rows.add("flow", flow, place.flow)
    if place.pool:
        rows.add("work_pool", pool, place.pool, "process", queue)
        rows.add("work_queue", queue, "default", pool)
    if place.deployment:
        labels = json.dumps({"prefect.flow.id": flow})
        tags = json.dumps(place.tags)
        rows.add("deployment", deployment, place.deployment, tags, flow, queue, "{}", "[]", labels)


def _ids(place: Place) -> tuple[str, str | None, str | None, str | None]:
    """Of flow, deployment, pool and queue."""
    deployment = identifier("deployment", place.deployment_key) if place.deployment else None
    pool = identifier("pool", place.pool) if place.pool else None
    queue = identifier("queue", place.pool) if place.pool else None
    return identifier("flow", place.flow), deployment, pool, queue


def _add_run(rows: Rows, run: Run) -> None:
    related = related_resources(run)
    count, before = 0, None
    for step in run.steps:
        count += step.type == "RUNNING"
        if not step.event_lost:
            _add_event(rows, state_event(run, step, before, count, related))
        before = step
    for at in run.heartbeats:
        _add_event(rows, heartbeat(run, at, related))
    if not run.deleted:
        _add_run_row(rows, run, count)


def _add_run_row(rows: Rows, run: Run, count: int) -> None:
    flow, deployment, _, queue = _ids(run.place)
    task_run = identifier("task-run", run.id) if run.in_process else None
    if task_run:
        rows.add("task_run", task_run, "sub-0", "sub", "0")
    last, expected = run.steps[-1], run.steps[0].at
    start, end = _start_and_end(run.steps)
    labels = json.dumps({"prefect.flow.id": flow})
    times = [None if at is None else sql_time(at) for at in (expected, start, end)]
    rows.add(
        "flow_run",
        *(run.id, run.name, last.type, count, *times, RUN_TIME, POLICY),
        *(json.dumps(run.place.tags), flow, deployment, task_run, last.id, last.name),
        *(sql_time(last.at), queue, labels),
    )
    details = json.dumps({"flow_run_id": run.id})
    for step in run.steps:
        message = step.message or None
        at = sql_time(step.at)
        rows.add("flow_run_state", step.id, step.type, at, step.name, message, details, run.id)


def _start_and_end(steps: Sequence[Step]) -> tuple[datetime | None, datetime | None]:
    """As Prefect keeps them: the first start; the first end since the run was last alive."""
    start = end = None
    for step in steps:
        if step.type == "RUNNING" and start is None:
            start = step.at
        if step.type not in TERMINAL:
            end = None
        elif end is None:
            end = step.at
            start = start or step.at
    return start, end


def related_resources(run: Run) -> list[dict[str, str]]:
    """What Prefect's own events of a run name beside it."""
    flow, deployment, pool, queue = _ids(run.place)
    task_run = identifier("task-run", run.id) if run.in_process else None
    kinds = [
        ("flow", flow, run.place.flow),
        ("deployment", deployment, run.place.deployment),
        ("work-queue", queue, "default"),
        ("work-pool", pool, run.place.pool),
        ("task-run", task_run, "sub-0"),
    ]
    related = [_resource(kind, str(id_), name) for kind, id_, name in kinds if id_]
    for resource in related:
        if resource["prefect.resource.role"] == "work-pool":
            resource["prefect.work-pool.type"] = "process"
    tags = sorted(run.place.tags)
    return related + [
        {"prefect.resource.id": f"prefect.tag.{tag}", "prefect.resource.role": "tag"}
        for tag in tags
    ]


def _resource(kind: str, id_: str, name: str) -> dict[str, str]:
    return {
        "prefect.resource.id": f"prefect.{kind}.{id_}",
        "prefect.resource.role": kind,
        "prefect.resource.name": name,
    }


def state_event(
    run: Run, step: Step, before: Step | None, run_count: int, related: Sequence[Json]
) -> dict[str, Any]:
    """The event of one state, in the JSON of the events API."""
    resource = {
        "prefect.resource.id": f"prefect.flow-run.{run.id}",
        "prefect.resource.name": run.name,
        "prefect.run-count": str(run_count),
        "prefect.state-message": step.message,
        "prefect.state-name": step.name,
        "prefect.state-timestamp": step.at.isoformat(),
        "prefect.state-type": step.type,
    }
    return {
        "id": step.id,
        "occurred": step.at.isoformat(),
        "event": f"prefect.flow-run.{step.name}",
        "resource": resource,
        "related": list(related),
        "payload": {
            "intended": {"from": before.type if before else None, "to": step.type},
            "initial_state": _state(before) if before else None,
            "validated_state": _state(step),
        },
        "follows": before.id if before and (step.at - before.at).total_seconds() < 300 else None,
    }


def _state(step: Step) -> dict[str, str]:
    told = {"type": step.type, "name": step.name}
    return told | ({"message": step.message} if step.message else {})


def heartbeat(run: Run, at: datetime, related: Sequence[Json]) -> dict[str, Any]:
    """The sign of life that a running flow sends; it has no labels of a state."""
    return {
        "id": identifier("heartbeat", run.id, at.isoformat()),
        "occurred": at.isoformat(),
        "event": "prefect.flow-run.heartbeat",
        "resource": {
            "prefect.resource.id": f"prefect.flow-run.{run.id}",
            "prefect.resource.name": run.name,
        },
        "related": list(related),
        "payload": {},
        "follows": None,
    }


def _add_event(rows: Rows, event: Json) -> None:
    at = sql_time(datetime.fromisoformat(event["occurred"]))
    resource, related = event["resource"], event["related"]
    id_ = resource["prefect.resource.id"]
    ids = [other["prefect.resource.id"] for other in related]
    rows.add(
        "events",
        *(event["id"], at, event["event"], id_, json.dumps(resource), json.dumps(ids)),
        *(json.dumps(related), json.dumps(event["payload"]), at, at, event["follows"]),
    )
    for involved in (resource, *related):
        labels = dict(involved)
        own_id = labels.pop("prefect.resource.id")
        role = labels.pop("prefect.resource.role", "")
        key = str(uuid.uuid4())
        rows.add("event_resources", key, at, own_id, role, json.dumps(labels), event["id"])


def sql_time(at: datetime) -> str:
    """A time as Prefect's SQLite columns hold it."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
