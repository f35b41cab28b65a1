"""Small bundles for cases that cannot be recorded on today's Prefect, and for changing others."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
SEEN_AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
RUN = "11111111-2222-4333-8444-555555555555"

POD = "job-a-x7kq2"

Bundle = dict[str, Any]

LABELS: dict[str, dict[str, Any]] = yaml.safe_load((HERE / "labels.yaml").read_text())
"""Of the recorded bundles, by file name: the verdict, and the causes that are right."""

NAMES = {
    "SCHEDULED": "Scheduled",
    "PENDING": "Pending",
    "RUNNING": "Running",
    "CRASHED": "Crashed",
    "FAILED": "Failed",
    "COMPLETED": "Completed",
    "CANCELLING": "Cancelling",
}


def recorded(name: str) -> Bundle:
    """A recorded bundle, fresh to be changed."""
    bundle: Bundle = json.loads((HERE / name).read_text())
    return bundle


def at(minutes: float) -> str:
    """A time so many minutes before the bundle was captured."""
    return (SEEN_AT - timedelta(minutes=minutes)).isoformat()


def bundle(
    *course: str,
    message: str | None = None,
    name: str = "",
    ago: float = 20,
    worker: str = "process",
    **parts: Any,
) -> Bundle:
    """A run that went through states of these types, a second each, and is in the last of them.

    `ago` is how many minutes before the capture it came to be so.
    """
    last = course[-1]
    states = [
        {"type": kind, "name": NAMES.get(kind, kind), "message": None, "timestamp": at(ago + step)}
        for kind, step in zip(course, _steps(len(course)), strict=True)
    ]
    states[-1] |= {"message": message, "name": name or NAMES.get(last, last)}
    run = {
        "id": RUN,
        "name": "brisk-otter",
        "state_type": last,
        "state_name": states[-1]["name"],
        "run_count": course.count("RUNNING"),
        "work_pool_name": "pool",
        "work_queue_name": "queue",
        "labels": {"prefect.worker.type": worker},
    }
    whole = {"captured_at": SEEN_AT.isoformat(), "flow_run": run, "states": states}
    return {**whole, "logs": [], "events": [], **parts}


def line(text: str, *, ago: float = 20, level: int = 40, logger: str = "flow_runs") -> Bundle:
    """One log record."""
    return {"name": f"prefect.{logger}", "level": level, "message": text, "timestamp": at(ago)}


def event(name: str, *, ago: float = 20, resource: str = "", **labels: str) -> Bundle:
    """One event; labels are those of its resource, with `__` for dots."""
    told = {key.replace("__", "."): value for key, value in labels.items()}
    about = {"prefect.resource.id": resource or f"prefect.flow-run.{RUN}", **told}
    return {"event": name, "occurred": at(ago), "resource": about, "payload": {}, "related": []}


def pod_event(phase: str, *, pod: str = "uid-a", ago: float = 20, **labels: str) -> Bundle:
    """One pod event of Prefect's observer."""
    told = {f"kubernetes__{key}": value for key, value in labels.items()}
    resource = f"prefect.kubernetes.pod.{pod}"
    return event(f"prefect.kubernetes.pod.{phase}", ago=ago, resource=resource, **told)


def pod(
    phase: str = "Failed",
    *,
    reason: str = "",
    ended: float = 20,
    waiting: str = "",
    terminated: str = "Error",
    code: int = 1,
    condition: tuple[str, str, str] = ("", "", ""),
) -> Bundle:
    """One pod as Kubernetes gives it; `condition` is type, status and reason."""
    over = {"terminated": {"reason": terminated, "exitCode": code, "finishedAt": at(ended)}}
    state = over if phase in {"Failed", "Succeeded"} else {"running": {}}
    state = {"waiting": {"reason": waiting}} if waiting else state
    kind, status, why = condition
    return {
        "metadata": {
            "name": POD,
            "namespace": "flows",
        },
        "spec": {"nodeName": "node-a"},
        "status": {
            "phase": phase,
            "reason": reason or None,
            "containerStatuses": [{"name": "prefect-job", "state": state}],
            "conditions": [{"type": kind, "status": status, "reason": why, "message": "so"}],
        },
    }


def job(reason: str = "", *, suspend: bool = False, ended: float = 20) -> Bundle:
    """One Job as Kubernetes gives it; with a reason it has failed."""
    failed = {"type": "Failed", "status": "True", "reason": reason, "lastTransitionTime": at(ended)}
    return {
        "metadata": {"name": "job-a", "namespace": "flows"},
        "spec": {"suspend": suspend},
        "status": {"conditions": [failed] if reason else []},
    }


def kubernetes(*pods: Bundle, jobs: tuple[Bundle, ...] = (), **events: str) -> Bundle:
    """A bundle's `kubernetes`; events are reason and message."""
    told = [
        {"reason": key, "message": text, "object": f"Pod/{POD}"} for key, text in events.items()
    ]
    return {"pods": list(pods), "jobs": list(jobs), "events": told}


def _steps(count: int) -> list[float]:
    return [(count - 1 - place) / 60 for place in range(count)]
