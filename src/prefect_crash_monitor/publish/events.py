"""The events we publish: their names, labels and payloads, as plain values.

Ids are derived from what an event says, so a cycle run twice sends the same event twice and
Prefect keeps it once. No event names a leader (`follows`): Prefect 3.8 holds followers back from
automations for up to 15 minutes when the leader was not seen.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from prefect_crash_monitor.count.count import record_json
from prefect_crash_monitor.ghosts.ghost import Ghost
from prefect_crash_monitor.model.codec import Id, Moment, Payload, to_json
from prefect_crash_monitor.model.incident import Incident, Kind, Transition
from prefect_crash_monitor.model.interval_record import IntervalRecord

INTERVAL_COUNTED = "crash-monitor.interval.counted"
INCIDENT_EVENTS = {kind: f"crash-monitor.incident.{kind}" for kind in Kind}
INCIDENT_RESOURCE = "crash-monitor.incident"
DIGEST = "crash-monitor.incidents.digest"
TO_LABEL = "crash-monitor.to"
"""On a digest: the field of the policy that names who is told."""
DIGEST_RESOURCE = "crash-monitor.digest"
NOTIFY_LABEL = "crash-monitor.notify"
"""On incident events: whether each is told `alone`, or in the `digest` of its cycle."""
ACTION = "crash-monitor.action"
ACTION_RESOURCE = "crash-monitor.act"
MODE_LABEL = "crash-monitor.mode"
"""On events of acts: `act`, or `dry_run` where nothing was changed."""
GHOST_FOUND = "crash-monitor.ghost.found"
GHOST_RESOURCE = "crash-monitor.ghost"
MONITOR_RESOURCE = "crash-monitor.monitor"
MONITOR_LABEL = "crash-monitor.monitor"
"""Name of the policy on every event of ours, so that two monitors on one server stay apart."""
SEVERITY_LABEL = "crash-monitor.severity"
"""By which incidents are routed."""
EVENT_IDS = uuid.uuid5(uuid.NAMESPACE_URL, "prefect-crash-monitor/events")
STATE_IDS_TOLD = 20_000
"""Prefect refuses events above 1.5 MB; these are 0.8 MB."""

LABEL_LIMIT = 1_000
"""Characters kept of a label: names come from users and may be of any length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingEvent:
    """One event as Prefect's `POST /events` takes it."""

    id: Id
    event: str
    occurred: Moment
    resource: Mapping[str, str]
    payload: Payload = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """The JSON body; labels are strings, always present."""
        return {
            "id": self.id,
            "event": self.event,
            "occurred": self.occurred.isoformat(),
            "resource": dict(self.resource),
            "related": [],
            "payload": dict(self.payload),
        }


def interval_event(record: IntervalRecord, *, monitor: str, now: datetime) -> OutgoingEvent:
    """The event of one counted interval; a correction (`revision` above 0) is a new event."""
    span = f"{record.window.start.isoformat()}/{record.window.end.isoformat()}"
    return OutgoingEvent(
        id=event_id(monitor, INTERVAL_COUNTED, span, str(record.revision)),
        event=INTERVAL_COUNTED,
        occurred=now,
        resource={
            "prefect.resource.id": monitor_resource(monitor),
            "prefect.resource.name": f"Crash monitor {monitor}",
            MONITOR_LABEL: monitor,
            "crash-monitor.since": record.window.start.isoformat(),
            "crash-monitor.until": record.window.end.isoformat(),
            "crash-monitor.crashed": str(record.crashed),
            "crash-monitor.complete": str(record.complete).lower(),
            "crash-monitor.revision": str(record.revision),
        },
        payload=record_json(record) | {"state_ids": list(record.state_ids[:STATE_IDS_TOLD])},
    )


def incident_event(
    transition: Transition,
    notification: Mapping[str, str],
    *,
    monitor: str,
    now: datetime,
    alone: bool = True,
) -> OutgoingEvent:
    """The event of something to tell; `notification` has the rendered `subject` and `text`."""
    incident = transition.incident
    notify = {NOTIFY_LABEL: "alone" if alone else "digest"}
    return OutgoingEvent(
        id=_id_of(transition, monitor),
        event=INCIDENT_EVENTS[transition.kind],
        occurred=now,
        resource=incident_labels(incident, monitor=monitor) | notify,
        payload={
            **notification,
            "kind": str(transition.kind),
            "reason": str(transition.reason),
            "decided_for": transition.at.isoformat(),
            "incident": incident_json(incident),
            "state": to_json(Incident, incident),
        },
    )


def _id_of(transition: Transition, monitor: str) -> str:
    incident = transition.incident
    return event_id(
        monitor,
        incident.id,
        str(incident.episode),
        incident.opened_at.isoformat(),
        transition.kind,
        str(incident.reminders),
    )


def digest_event(
    transitions: Sequence[Transition],
    notification: Mapping[str, str],
    *,
    to: str,
    severity: str,
    monitor: str,
    now: datetime,
) -> OutgoingEvent:
    """One event for many things to tell of one cycle; `severity` is that of the worst.

    `to` is the field of the policy that names who is told.

    Its id is made of theirs: two cycles at once that decide the same tell it once.
    """
    id_ = event_id(monitor, DIGEST, to, *sorted(_id_of(t, monitor) for t in transitions))
    return OutgoingEvent(
        id=id_,
        event=DIGEST,
        occurred=now,
        resource={
            "prefect.resource.id": f"{DIGEST_RESOURCE}.{id_}",
            "prefect.resource.name": f"{len(transitions)} incidents",
            MONITOR_LABEL: monitor,
            SEVERITY_LABEL: severity,
            TO_LABEL: to,
        },
        payload={
            **notification,
            "incidents": [
                {"incident": f"{t.incident.id}.{t.incident.episode}", "kind": str(t.kind)}
                for t in transitions
            ],
        },
    )


def ghost_event(ghost: Ghost, *, monitor: str, now: datetime) -> OutgoingEvent:
    """The event of a run that ended without saying so: one for each state it is left in."""
    left_in = ghost.left_in
    return OutgoingEvent(
        id=event_id(monitor, GHOST_FOUND, left_in.state_id),
        event=GHOST_FOUND,
        occurred=now,
        resource={
            "prefect.resource.id": f"{GHOST_RESOURCE}.{left_in.flow_run_id}",
            "prefect.resource.name": _label(left_in.flow_run_name),
            MONITOR_LABEL: monitor,
            SEVERITY_LABEL: str(ghost.why.severity),
            "crash-monitor.cause": ghost.why.cause or "",
            "crash-monitor.confidence": str(ghost.why.confidence),
            "crash-monitor.deployment": _label(left_in.deployment),
            "crash-monitor.work-pool": _label(left_in.work_pool),
            "crash-monitor.flow-run": left_in.flow_run_id,
        },
        payload=ghost.to_json(),
    )


def incident_labels(incident: Incident, *, monitor: str) -> dict[str, str]:
    """The labels that automations match and deduplicate on; all strings, always present."""
    return {
        "prefect.resource.id": incident_resource(incident),
        "prefect.resource.name": _label(f"{incident.rule}: {incident.group or 'everything'}"),
        MONITOR_LABEL: monitor,
        "crash-monitor.rule": incident.rule,
        SEVERITY_LABEL: incident.severity,
        "crash-monitor.cause": incident.cause,
        "crash-monitor.deployment": _label(_only(incident.deployments)),
        "crash-monitor.work-pool": _label(_only(incident.work_pools)),
        "crash-monitor.group": _label(incident.group),
        "crash-monitor.reminder": str(incident.reminders),
    }


def incident_json(incident: Incident) -> dict[str, Any]:
    """An incident as `crash-monitor incidents` and event payloads show it."""
    return {
        "incident": f"{incident.id}.{incident.episode}",
        "rule": incident.rule,
        "scope": incident.scope,
        "group": incident.group,
        "severity": incident.severity,
        "cause": incident.cause,
        "opened_at": incident.opened_at.isoformat(),
        "first_crash_at": incident.first_crash_at.isoformat(),
        "last_crash_at": incident.last_crash_at.isoformat(),
        "resolved_at": incident.resolved_at.isoformat() if incident.resolved_at else None,
        "crashes": incident.crashes,
        "ghosts": incident.ghosts,
        "deployments": dict(incident.deployments),
        "work_pools": dict(incident.work_pools),
        "reminders": incident.reminders,
        "sample": incident.sample,
        "sample_run_id": incident.sample_run_id,
        "title": incident.title,
        "evidence": incident.evidence,
        "remedy": incident.remedy,
        "command": incident.command,
    }


def incident_resource(incident: Incident) -> str:
    """`crash-monitor.incident.<id>.<episode>`, what the automations deduplicate on."""
    return f"{INCIDENT_RESOURCE}.{incident.id}.{incident.episode}"


def monitor_resource(monitor: str) -> str:
    """The resource of the monitor that runs with the policy of this name."""
    return f"{MONITOR_RESOURCE}.{monitor}"


def event_id(*parts: str) -> str:
    """The same id for the same parts, on every machine."""
    return str(uuid.uuid5(EVENT_IDS, "\x1f".join(parts)))


def _only(counts: Mapping[str, int]) -> str:
    """The one name there is; empty where there are several or none."""
    return next(iter(counts)) if len(counts) == 1 else ""


def _label(text: str) -> str:
    """A label's value: one line, of bounded length."""
    return " ".join(text.split())[:LABEL_LIMIT]
