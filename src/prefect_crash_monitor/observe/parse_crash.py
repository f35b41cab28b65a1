"""From what the API answers to our values; half an answer is an error, never a low number."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum, auto
from typing import Any

from prefect_crash_monitor.model.crash import Crash, Source
from prefect_crash_monitor.model.interval import moment
from prefect_crash_monitor.observe.outcomes import RunNow

FLOW_RUN_RESOURCE = re.compile(r"prefect\.flow-run\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


class Doubt(Enum):
    """Whether the history of a run has to confirm what an event says of it."""

    NONE = auto()
    SOME = auto()
    """To be confirmed; of a deleted run it is believed."""
    BASELESS = auto()
    """To be confirmed; of a deleted run, which cannot confirm it, it is not believed."""


def crash_of_event(event: Mapping[str, Any]) -> Crash | None:
    """The crash that an event tells of; None for one that only imitates a flow run's event."""
    resource = event["resource"]
    run = FLOW_RUN_RESOURCE.fullmatch(resource["prefect.resource.id"])
    if run is None:
        return None
    related = _by_role(event.get("related") or [])
    flow, deployment = related.get("flow", {}), related.get("deployment", {})
    flow_name = flow.get("prefect.resource.name", "")
    payload = event.get("payload") or {}
    return Crash(
        state_id=event["id"],
        at=moment(event["occurred"]),
        flow_run_id=run[1],
        flow_run_name=resource.get("prefect.resource.name", ""),
        state_name=resource.get("prefect.state-name", ""),
        message=resource.get("prefect.state-message") or "",
        run_count=_number(resource.get("prefect.run-count")),
        from_state=(payload.get("intended") or {}).get("from") or "",
        flow_id=_id_of(flow),
        flow=flow_name,
        deployment_id=_id_of(deployment),
        deployment=deployment_key(flow_name, deployment.get("prefect.resource.name", "")),
        work_pool=related.get("work-pool", {}).get("prefect.resource.name", ""),
        work_pool_type=related.get("work-pool", {}).get("prefect.work-pool.type", ""),
        work_queue=related.get("work-queue", {}).get("prefect.resource.name", ""),
        tags=_tags(event.get("related") or []),
        in_process="task-run" in related,
    )


def deployment_name(event: Mapping[str, Any]) -> str:
    """The name of the deployment to whose run an event belongs; empty without one."""
    related = _by_role(event.get("related") or [])
    return related.get("deployment", {}).get("prefect.resource.name", "")


def doubt_of(event: Mapping[str, Any]) -> Doubt:
    """How far an event looks as Prefect's own: anyone may send one, or send one again.

    Prefect's own name the state, and the time of the state is the event's.
    """
    resource = event["resource"]
    stated = resource.get("prefect.state-timestamp")
    if stated is not None and moment(stated) != moment(event["occurred"]):
        return Doubt.BASELESS
    if "prefect.state-name" not in resource:
        return Doubt.BASELESS
    return Doubt.SOME if stated is None else Doubt.NONE


def crash_of_state(
    state: Mapping[str, Any],
    run: Mapping[str, Any],
    flow: Mapping[str, Any],
    deployment: Mapping[str, Any],
) -> Crash:
    """The crash that a state of a flow run tells of, where its event is lost.

    Flow and deployment are empty where they have been deleted. Tags are gathered as Prefect's own
    events gather them.
    """
    flow_name = flow.get("name") or ""
    tagged = (run, flow, deployment)
    return Crash(
        state_id=state["id"],
        at=moment(state["timestamp"]),
        flow_run_id=run["id"],
        flow_run_name=run.get("name") or "",
        state_name=state.get("name") or "",
        message=state.get("message") or "",
        run_count=int(state.get("run_count", run.get("run_count")) or 0),
        flow_id=run.get("flow_id") or "",
        flow=flow_name,
        deployment_id=run.get("deployment_id") or "",
        deployment=deployment_key(flow_name, deployment.get("name", "")),
        work_pool=run.get("work_pool_name") or "",
        work_queue=run.get("work_queue_name") or "",
        tags=tuple(sorted({tag for holder in tagged for tag in holder.get("tags") or []})),
        in_process=run.get("parent_task_run_id") is not None,
        source=Source.FLOW_RUNS,
    )


def run_now(run: Mapping[str, Any]) -> RunNow:
    """A flow run of `/flow_runs/filter`."""
    state = run.get("state") or {}
    return RunNow(
        id=run["id"],
        state_id=run.get("state_id") or state.get("id") or "",
        state_type=run.get("state_type") or state.get("type") or "",
        state_at=moment(state.get("timestamp") or run["updated"]),
        run_count=int(run.get("run_count") or 0),
    )


def labels_of(run: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """A run's labels as text; those that Prefect itself sets are left out."""
    labels = run.get("labels") or {}
    return tuple(
        sorted((key, str(value)) for key, value in labels.items() if not key.startswith("prefect."))
    )


def deployment_key(flow: str, deployment: str) -> str:
    """`flow name/deployment name`, or empty without a deployment."""
    return f"{flow}/{deployment}" if deployment else ""


def _by_role(related: list[Mapping[str, str]]) -> dict[str, Mapping[str, str]]:
    """The first related resource of each role, as Prefect's own lookups take it."""
    roles: dict[str, Mapping[str, str]] = {}
    for resource in related:
        roles.setdefault(resource.get("prefect.resource.role", ""), resource)
    return roles


def _tags(related: list[Mapping[str, str]]) -> tuple[str, ...]:
    prefix = "prefect.tag."
    ids = (r.get("prefect.resource.id", "") for r in related)
    return tuple(sorted({i.removeprefix(prefix) for i in ids if i.startswith(prefix)}))


def _id_of(resource: Mapping[str, str]) -> str:
    return resource.get("prefect.resource.id", "").rpartition(".")[2]


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0
