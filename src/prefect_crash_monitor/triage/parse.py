"""From what the API answers to the values of a scene; what is odd or missing is left empty."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from prefect_crash_monitor.explain import Evidence
from prefect_crash_monitor.explain.evidence.lenient_json import (
    BEGINNING,
    Json,
    mapping,
    moment,
    name,
    objects,
    whole,
)
from prefect_crash_monitor.triage.scene import (
    DeploymentNow,
    Edit,
    PastRun,
    PoolNow,
    Worker,
    WorkerEvent,
)

LISTED = 200
"""Most that is read of one answer's list."""

DEEPEST = 2
"""Levels of a changed field's members that are named: `job_variables.env.NAME`."""

WORKER_LABEL = "prefect.worker.name"
STOPPED = "prefect.worker.stopped"
PREFECTS_OWN_NAMES = {"infra_overrides": "job_variables"}
KINDS = {"prefect.deployment.updated": "deployment", "prefect.work-pool.updated": "work pool"}


def past_run(raw: Json) -> PastRun:
    """A flow run of `/flow_runs/filter`."""
    return PastRun(
        id=name(raw.get("id")),
        name=name(raw.get("name")),
        state_type=name(raw.get("state_type")).upper(),
        state_name=name(raw.get("state_name")),
        at=moment(raw.get("start_time")) or moment(raw.get("expected_start_time")),
        ended_at=moment(raw.get("end_time")),
        version=name(raw.get("deployment_version")),
        flow_version=name(raw.get("flow_version")),
        work_pool=name(raw.get("work_pool_name")),
        work_queue=name(raw.get("work_queue_name")),
        worker=worker_of(raw),
        parameters={str(key): _digest(value) for key, value in _members(raw, "parameters")},
        job_variables=_job_variables(raw),
    )


def worker_of(raw: Json) -> str:
    """The worker that took the run, by the label that workers set; empty where there is none."""
    return name(mapping(raw.get("labels")).get(WORKER_LABEL))


def deployment_now(raw: Json) -> DeploymentNow:
    """A deployment of `/deployments/{id}`."""
    limit = mapping(raw.get("global_concurrency_limit"))
    return DeploymentNow(
        id=name(raw.get("id")),
        name=name(raw.get("name")),
        updated_at=moment(raw.get("updated")),
        paused=raw.get("paused") is True,
        limit=whole(limit.get("limit")) if limit.get("active") else None,
        slots_taken=whole(limit.get("active_slots")) or 0,
        limit_name=name(limit.get("name")),
    )


def pool_now(raw: Json) -> PoolNow:
    """A work pool of `/work_pools/{name}`."""
    return PoolNow(
        id=name(raw.get("id")),
        name=name(raw.get("name")),
        kind=name(raw.get("type")),
        status=name(raw.get("status")),
        paused=raw.get("is_paused") is True,
    )


def workers_of(raw: object) -> tuple[Worker, ...]:
    """The workers of a pool, those with the latest heartbeat first."""
    found = [
        Worker(
            name=name(worker.get("name")),
            online=worker.get("status") == "ONLINE",
            heartbeat_at=moment(worker.get("last_heartbeat_time")),
        )
        for worker in objects(raw, LISTED) or ()
    ]
    return tuple(sorted(found, key=lambda w: w.heartbeat_at or BEGINNING, reverse=True))


def edits_of(page: Json) -> tuple[Edit, ...]:
    """What was changed, by events; in order."""
    found = [
        Edit(at=at, what=what, fields=_changed_fields(event))
        for event in objects(page.get("events"), LISTED) or ()
        if (what := KINDS.get(name(event.get("event")))) and (at := moment(event.get("occurred")))
    ]
    return tuple(sorted(found, key=lambda edit: edit.at))


def worker_events_of(page: Json) -> tuple[WorkerEvent, ...]:
    """Workers that started or stopped; in order."""
    found = [
        WorkerEvent(
            at=at,
            worker=name(mapping(event.get("resource")).get("prefect.resource.name")),
            stopped=event.get("event") == STOPPED,
        )
        for event in objects(page.get("events"), LISTED) or ()
        if (at := moment(event.get("occurred")))
    ]
    return tuple(sorted(found, key=lambda event: event.at))


def crashed_at(evidence: Evidence) -> datetime | None:
    """When the run last crashed; where it never did, its latest state; None without any."""
    crashes = [s.at for s in evidence.history or () if s.type == "CRASHED" and s.at]
    states = [s.at for s in (*(evidence.history or ()), evidence.state) if s.at]
    return max(crashes, default=None) or max(states, default=None)


def deployment_id_of(bundle: Mapping[str, Any]) -> str:
    """The run's deployment; of a deleted run as its events tell it."""
    told = name(mapping(bundle.get("flow_run")).get("deployment_id"))
    return told or _related_id(bundle, "deployment")


def flow_id_of(bundle: Mapping[str, Any]) -> str:
    """The run's flow, likewise."""
    return name(mapping(bundle.get("flow_run")).get("flow_id")) or _related_id(bundle, "flow")


def _related_id(bundle: Mapping[str, Any], role: str) -> str:
    for event in objects(bundle.get("events"), LISTED) or ():
        for related in objects(event.get("related"), LISTED) or ():
            if related.get("prefect.resource.role") == role:
                return name(related.get("prefect.resource.id")).rpartition(".")[2]
    return ""


def _changed_fields(event: Json) -> tuple[str, ...]:
    """Names of the fields that an edit changed; of a field with members, of those."""
    payload = mapping(event.get("payload"))
    updates = mapping(payload.get("updates"))
    fields = payload.get("updated_fields")
    names: list[str] = []
    for changed in map(name, fields if isinstance(fields, list) else ()):
        update = mapping(updates.get(changed))
        before, after = update.get("from"), update.get("to")
        field = PREFECTS_OWN_NAMES.get(changed, changed)
        names += _differing(field, before, after)
    return tuple(names)


def _differing(field: str, before: object, after: object, depth: int = DEEPEST) -> list[str]:
    if depth == 0 or not (isinstance(before, Mapping) and isinstance(after, Mapping)):
        return [field]
    keys = sorted({str(key) for key in (*before, *after)})
    changed = [key for key in keys if before.get(key) != after.get(key)]
    names = [_differing(f"{field}.{k}", before.get(k), after.get(k), depth - 1) for k in changed]
    return [name for inner in names for name in inner] or [field]


def _job_variables(raw: Json) -> dict[str, str]:
    digests: dict[str, str] = {}
    for key, value in _members(raw, "job_variables"):
        inner = value.items() if isinstance(value, Mapping) else ()
        digests |= {f"{key}.{member}": _digest(item) for member, item in inner}
        if not inner:
            digests[str(key)] = _digest(value)
    return digests


def _members(raw: Json, field: str) -> list[tuple[Any, Any]]:
    return list(mapping(raw.get(field)).items())


def _digest(value: object) -> str:
    """Tells values apart without holding them."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:16]
