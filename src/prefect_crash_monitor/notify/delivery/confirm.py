"""Decides what became of a notification, from what Prefect's automations report of themselves.

Pure. `prefect.automation.triggered` is sent when an automation fires, `…action.executed` or
`…action.failed` when its action is over; each names the event that set it off. Success is claimed
only where Prefect reports it: a custom webhook that fails is repeated up to four times and then
dropped without a word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from prefect_crash_monitor.config.policy import Policy
from prefect_crash_monitor.notify.automations.desired import automation_of_incident
from prefect_crash_monitor.notify.delivery.record import Delivery, Status, Why
from prefect_crash_monitor.notify.routing import receiver_of, share_of
from prefect_crash_monitor.prefect_api.vocabulary import (
    ACTION_DISABLED,
    ACTION_EXECUTED,
    ACTION_FAILED,
    AUTOMATION_TRIGGERED,
)
from prefect_crash_monitor.publish.events import (
    DIGEST,
    INCIDENT_EVENTS,
    NOTIFY_LABEL,
    SEVERITY_LABEL,
    TO_LABEL,
)
from prefect_crash_monitor.redaction.redact import redact

DEADLINE = timedelta(minutes=10)
"""A notification takes seconds, 40 at once a quarter of a minute; two cycles look within this."""

LOOKS = 2
"""Looks without an answer before one is called unconfirmed: an event that Prefect has lost is
sent again by the cycle that finds it missing, and only a later one can see its notification."""

LOOKED_AT_ONCE = 20
"""Told events asked for in one cycle: two answers to each fit into one page of Prefect's."""

DETAIL = 300
HTTP_ERROR = 400
"""A webhook action, into which an operator may have turned ours, is executed whatever answers."""


class Standing(StrEnum):
    """How an automation is on the server; unknown where that was not looked at."""

    UNKNOWN = "unknown"
    ACTIVE = "active"
    PAUSED = "paused"
    MISSING = "missing"


SILENT = {
    Standing.UNKNOWN: Why.NOT_YET,
    Standing.ACTIVE: Why.NEVER_FIRED,
    Standing.PAUSED: Why.AUTOMATION_PAUSED,
    Standing.MISSING: Why.AUTOMATION_MISSING,
}
"""What it means that an automation did not fire."""


class Did(StrEnum):
    """What an automation reported of itself."""

    FIRED = "fired"
    EXECUTED = "executed"
    FAILED = "failed"
    NOTHING = "nothing"
    """As it was to: it was registered without a receiver."""


REPORTS = {
    **dict.fromkeys(AUTOMATION_TRIGGERED, Did.FIRED),
    **dict.fromkeys(ACTION_EXECUTED, Did.EXECUTED),
    **dict.fromkeys((*ACTION_FAILED, *ACTION_DISABLED), Did.FAILED),
}
"""`prefect.automation.action.triggered` tells nothing more: Prefect sends it together with the
result, not before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One report of an automation of ours on a told event."""

    event_id: str
    """Of the told event, which set it off."""
    did: Did
    detail: str = ""
    """Prefect's reason of a failure, redacted."""
    block: str = ""
    """What was to be told, as block-type/name; empty where Prefect does not say."""


def told_now(
    events: Iterable[Mapping[str, Any]], policy: Policy, *, monitor: str, now: datetime
) -> tuple[Delivery, ...]:
    """What is to be watched of the events that a cycle tells; `policy` is the registered one.

    Of an incident that is told in a digest the digest is watched.
    """
    events, names = list(events), set(INCIDENT_EVENTS.values())
    digests = {e["resource"][TO_LABEL]: e for e in events if e["event"] == DIGEST}
    return tuple(
        _told(event, digests, policy, monitor, now) for event in events if event["event"] in names
    )


def _told(
    event: Mapping[str, Any],
    digests: Mapping[str, Mapping[str, Any]],
    policy: Policy,
    monitor: str,
    now: datetime,
) -> Delivery:
    payload, severity = event["payload"], event["resource"][SEVERITY_LABEL]
    receiver = receiver_of(policy, severity)
    alone = event["resource"][NOTIFY_LABEL] == "alone"
    telling = event if alone else digests[share_of(policy, severity).field]
    kind = payload["kind"] if alone else "digest"
    return Delivery(
        event_id=telling["id"],
        incident=payload["incident"]["incident"],
        kind=payload["kind"],
        subject=telling["payload"]["subject"],
        automation=automation_of_incident(policy, kind, severity, monitor),
        receiver=receiver or "",
        told_at=now,
        why=Why.NOT_YET if receiver else Why.NO_RECEIVER,
    )


def awaited(deliveries: Iterable[Delivery]) -> tuple[Delivery, ...]:
    """Those to look at now: the least looked at first, so that many get their turns."""
    pending = [d for d in deliveries if d.status is Status.PENDING]
    pending.sort(key=lambda d: (d.looks, d.told_at))
    chosen = list(dict.fromkeys(d.event_id for d in pending))[:LOOKED_AT_ONCE]
    return tuple(d for d in pending if d.event_id in chosen)


def decide(
    delivery: Delivery, acts: Iterable[Act], now: datetime, standing: Standing = Standing.UNKNOWN
) -> Delivery:
    """What became of a notification, after one more look.

    Of several reports success outweighs failure, and failure silence: an event that was sent
    twice may have been told once. `standing` is asked for only where no automation fired.
    """
    reports = {act.did: act for act in acts if act.event_id == delivery.event_id}
    if Did.EXECUTED in reports:
        return replace(delivery, why=Why.EXECUTED)
    if failed := reports.get(Did.FAILED):
        receiver = failed.block or delivery.receiver
        return replace(delivery, why=Why.ACTION_FAILED, detail=failed.detail, receiver=receiver)
    if Did.NOTHING in reports:
        return replace(delivery, why=Why.NO_RECEIVER)
    if not is_overdue(delivery, now):
        return replace(delivery, looks=delivery.looks + 1)
    return replace(delivery, why=Why.NEVER_REPORTED if Did.FIRED in reports else SILENT[standing])


def is_overdue(delivery: Delivery, now: datetime) -> bool:
    """Whether there will be no answer any more, if this look finds none."""
    return now - delivery.told_at >= DEADLINE and delivery.looks + 1 >= LOOKS


def act_of(event: Mapping[str, Any]) -> Act | None:
    """What an event of one of Prefect's automations says of the event that set it off.

    None for one that names no such event: anyone may send events that look like Prefect's.
    """
    related = {resource.get("prefect.resource.role"): resource for resource in event["related"]}
    if "triggering-event" not in related:
        return None
    payload, did = event["payload"], REPORTS[event["event"]]
    reasons = [str(payload[key]) for key in ("reason", "notification_log") if payload.get(key)]
    if event["event"] in ACTION_DISABLED:
        reasons.insert(0, "Prefect Cloud disabled the automation")
    status_code = payload.get("status_code")
    if did is Did.EXECUTED and payload.get("action_type") == "do-nothing":
        did = Did.NOTHING
    elif did is Did.EXECUTED and isinstance(status_code, int) and status_code >= HTTP_ERROR:
        did, reasons = Did.FAILED, [f"the answer was HTTP {status_code}"]
    return Act(
        event_id=_last_part(related["triggering-event"]),
        did=did,
        detail=redact(": ".join(reasons))[:DETAIL],
        block=_block(related),
    )


def _block(related: Mapping[str | None, Mapping[str, str]]) -> str:
    if not {"block", "block-type"} <= set(related):
        return ""
    return f"{_last_part(related['block-type'])}/{related['block'].get('prefect.resource.name')}"


def _last_part(resource: Mapping[str, str]) -> str:
    """What a resource's id ends with: an event's id, a block type's slug."""
    return resource["prefect.resource.id"].rpartition(".")[2]
