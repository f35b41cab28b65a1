"""The event of one action. Pure."""

from __future__ import annotations

from datetime import datetime

from prefect_crash_monitor.model.codec import to_json
from prefect_crash_monitor.publish.events import (
    ACTION,
    ACTION_RESOURCE,
    MODE_LABEL,
    MONITOR_LABEL,
    OutgoingEvent,
    _label,
    event_id,
)
from prefect_crash_monitor.remediate.action import Act, Result


def action_event(act: Act, *, monitor: str, now: datetime) -> OutgoingEvent:
    """The event of one act; `.left` where it was not right or not possible any more."""
    done = act.result in {Result.DONE, Result.WOULD}
    return OutgoingEvent(
        id=event_id(monitor, ACTION, act.id),
        event=f"{ACTION}.{act.kind if done else 'left'}",
        occurred=now,
        resource={
            "prefect.resource.id": f"{ACTION_RESOURCE}.{act.id}",
            "prefect.resource.name": _label(act.name),
            MONITOR_LABEL: monitor,
            MODE_LABEL: str(act.mode),
            "crash-monitor.result": str(act.result),
            "crash-monitor.target-type": act.target_type,
            "crash-monitor.target": _label(act.target),
        },
        payload={**to_json(Act, act), "undo": act.undo},
    )
