"""The automations we want on the server.

Pure. The triggers only deduplicate (`threshold` 1, `for_each`, `within` as a cooldown): rates are
computed by the monitor, since Prefect's windows tumble and drop what comes after a firing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from prefect_crash_monitor.config.policy import Policy
from prefect_crash_monitor.model.incident import Kind
from prefect_crash_monitor.model.own import DEFAULT_MONITOR, OWN_TAG
from prefect_crash_monitor.notify.routing import Share, share_of, shares
from prefect_crash_monitor.prefect_api.vocabulary import ACTION_DISABLED, ACTION_FAILED
from prefect_crash_monitor.publish.events import (
    DIGEST,
    INCIDENT_EVENTS,
    INTERVAL_COUNTED,
    MONITOR_LABEL,
    NOTIFY_LABEL,
    SEVERITY_LABEL,
    TO_LABEL,
)

PREFIX = "Crash monitor: "
RESOURCE = "prefect.resource.id"
SHORTEST_PROACTIVE_SECONDS = 10.0
"""Prefect refuses less for a proactive trigger."""

UNUSABLE = "unusable"
"""In place of a block's id: automations that would tell it are left as they are on the server,
where they may tell the block that the policy named before."""

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Receivers:
    """Ids of the notification blocks; None where the policy names none, or `UNUSABLE`."""

    receiver: str | None = None
    failure_receiver: str | None = None
    routes: Mapping[str, str] = field(default_factory=dict)
    """By `Share.field`."""


def desired_automations(
    policy: Policy, receivers: Receivers, *, monitor: str, every: timedelta = timedelta(0)
) -> list[Body]:
    """All automations of a policy, which do nothing without a receiver; `every`: the schedule's."""
    cooldown = policy.cooldown.total_seconds()
    incidents: list[Body] = [
        _automation(
            f"incident {kind}{share.suffix}",
            monitor,
            f"Notifies once of each incident that is {kind}{share.suffix}.",
            _reactive(
                INCIDENT_EVENTS[kind],
                {**_matched(share, monitor), NOTIFY_LABEL: "alone"},
                cooldown,
                _keys(kind),
            ),
            _tell(share, receivers),
        )
        for share in shares(policy)
        for kind in Kind
    ]
    incidents += _digests(policy, receivers, monitor)
    silence = _silence(policy, receivers, monitor, max(every, policy.interval))
    watched = [body["name"] for body in [*incidents, *silence]]
    failed = _automation(
        "notification failed",
        monitor,
        "Tells the failure receiver that a notification of the crash monitor was not sent.",
        {
            **_trigger("Reactive", cooldown, [RESOURCE]),
            # By exact names, its own not among them: it must never react to itself.
            "match": {"prefect.resource.name": watched},
            "expect": [*ACTION_FAILED, *ACTION_DISABLED],
        },
        _notify(
            receivers.failure_receiver,
            "A crash monitor notification was not sent",
            FAILED_TEXT,
        ),
    )
    return [*incidents, *silence, failed]


def _digests(policy: Policy, receivers: Receivers, monitor: str) -> list[Body]:
    cooldown = policy.cooldown.total_seconds()
    return [
        _automation(
            f"incident digest{share.suffix}",
            monitor,
            f"Notifies once of many incidents that changed in one cycle{share.suffix}.",
            _reactive(
                DIGEST, {MONITOR_LABEL: monitor, TO_LABEL: share.field}, cooldown, [RESOURCE]
            ),
            _tell(share, receivers),
        )
        for share in shares(policy)
    ]


def automation_of_incident(policy: Policy, kind: str, severity: str, monitor: str) -> str:
    """The name of the automation that notifies of such an incident event."""
    return automation_name(f"incident {kind}{share_of(policy, severity).suffix}", monitor)


def automation_name(what: str, monitor: str) -> str:
    """The stable name; other monitors than `default` carry theirs at the end."""
    return f"{PREFIX}{what}" if monitor == DEFAULT_MONITOR else f"{PREFIX}{what} ({monitor})"


def _silence(policy: Policy, receivers: Receivers, monitor: str, every: timedelta) -> list[Body]:
    """The monitor's own dead-man switch, in the two forms that Prefect has.

    With `after` it is precise, but fires once and only after a first count; without `after` it
    also sees a monitor that never ran, but late by up to three times its span, and repeats.
    """
    tick = {RESOURCE: f"{MONITOR_LABEL}.{monitor}"}
    within = policy.silent_after * every.total_seconds()
    precise = {
        **_trigger("Proactive", max(within, SHORTEST_PROACTIVE_SECONDS), [RESOURCE]),
        "match": tick,
        "after": [INTERVAL_COUNTED],
        "expect": [INTERVAL_COUNTED],
    }
    slow = {
        **_trigger("Proactive", policy.silent_reminder.total_seconds(), []),
        "match": tick,
        "expect": [INTERVAL_COUNTED],
    }
    subject = f"The crash monitor {monitor} is silent"
    names = [automation_name(what, monitor) for what in ("monitor silent", "monitor still silent")]
    text = SILENT_TEXT.format(
        monitor=monitor,
        minutes=round(within / 60, 1),
        pause="\n".join(f'  prefect automation pause "{name}"' for name in names),
    )
    return [
        _automation(
            "monitor silent",
            monitor,
            "Notifies when no interval was counted for some intervals.",
            precise,
            _notify(receivers.receiver, subject, text),
        ),
        _automation(
            "monitor still silent",
            monitor,
            "Repeats slowly that the monitor is silent, also when it never ran.",
            slow,
            _notify(receivers.receiver, f"{subject} (reminder)", text),
        ),
    ]


def _keys(kind: Kind) -> list[str]:
    """What makes a notification another one: the episode, and for reminders their ordinal."""
    return [RESOURCE, "crash-monitor.reminder"] if kind is Kind.REMINDED else [RESOURCE]


def _tell(share: Share, receivers: Receivers) -> dict[str, Any]:
    return _notify(
        receivers.routes.get(share.field, receivers.receiver),
        "{{ event.payload.subject }}",
        "{{ event.payload.text }}",
    )


def _matched(share: Share, monitor: str) -> dict[str, Any]:
    """Labels of the events; severities by name, since Prefect's `!` cannot exclude several."""
    severities = {SEVERITY_LABEL: [str(s) for s in share.severities]} if share.severities else {}
    return {MONITOR_LABEL: monitor, **severities}


def _reactive(event: str, match: Body, cooldown: float, keys: Sequence[str]) -> dict[str, Any]:
    return {**_trigger("Reactive", cooldown, keys), "match": dict(match), "expect": [event]}


def _trigger(posture: str, within: float, for_each: Sequence[str]) -> dict[str, Any]:
    return {
        "type": "event",
        "posture": posture,
        "threshold": 1,
        "within": within,
        "for_each": list(for_each),
        "match": {},
        "match_related": {},
        "after": [],
        "expect": [],
    }


def _automation(
    what: str, monitor: str, description: str, trigger: Body, action: Body
) -> dict[str, Any]:
    return {
        "name": automation_name(what, monitor),
        "description": description,
        "enabled": True,
        "tags": [OWN_TAG],
        "trigger": dict(trigger),
        "actions": [dict(action)],
        "actions_on_trigger": [],
        "actions_on_resolve": [],
    }


def _notify(block: str | None, subject: str, body: str) -> dict[str, Any]:
    if block is None:
        return {"type": "do-nothing"}
    return {
        "type": "send-notification",
        "block_document_id": block,
        "subject": subject,
        "body": body,
    }


SILENT_TEXT = """\
No interval was counted by the crash monitor "{monitor}" for {minutes} minutes or longer.
Crashes are not lost: they are counted once it runs again. Until then nobody is told of them.

Look at:
  prefect flow-run ls --flow-name crash-monitor --limit 5
  prefect worker start --pool crash-monitor    (is a worker running?)
  prefect deployment inspect crash-monitor/crash-monitor    (paused? concurrency slot leaked?)

Paused on purpose? Then pause these as well, and resume them afterwards:
{pause}
"""

FAILED_TEXT = """\
{{ event.resource.name }}: {{ event.payload.reason }}
The incident itself is in the artifact crash-report, and in `crash-monitor incidents`.
"""
