"""What a cycle tells, as events: intervals, ghosts, incidents, digests of many of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from prefect_crash_monitor.ghosts.ghost import Ghost
from prefect_crash_monitor.model.incident import Transition
from prefect_crash_monitor.model.interval import TICK
from prefect_crash_monitor.model.interval_record import IntervalRecord
from prefect_crash_monitor.notify.digest import digest, worst_severity
from prefect_crash_monitor.notify.notification import notification
from prefect_crash_monitor.notify.routing import Share
from prefect_crash_monitor.publish.events import (
    OutgoingEvent,
    digest_event,
    ghost_event,
    incident_event,
    interval_event,
)


def events_to_tell(
    records: Sequence[IntervalRecord],
    transitions: Sequence[Transition],
    told_to: Iterable[Share],
    *,
    ghosts: Iterable[Ghost] = (),
    digest_above: int,
    monitor: str,
    ui_url: str,
    now: datetime,
) -> list[OutgoingEvent]:
    """All events of a cycle, each a microsecond after the one before.

    Of the incidents of one share more than `digest_above` changes are told in a digest. Their times
    keep the order in which they were decided: by time alone a rebuilt ledger could not tell whether
    an incident was resolved and opened again, or the other way round.
    """
    events = [interval_event(record, monitor=monitor, now=now) for record in records]
    events += [ghost_event(ghost, monitor=monitor, now=now) for ghost in ghosts]
    for share in told_to:
        told = [t for t in transitions if share.takes(t.incident.severity)]
        alone = len(told) <= digest_above
        for transition in told:
            text = notification(transition, ui_url=ui_url, monitor=monitor)
            events.append(incident_event(transition, text, monitor=monitor, now=now, alone=alone))
        if not alone:
            text = digest(told, ui_url=ui_url, monitor=monitor)
            severity = worst_severity(told)
            events.append(
                digest_event(
                    told, text, to=share.field, severity=severity, monitor=monitor, now=now
                )
            )
    return [replace(event, occurred=now + n * TICK) for n, event in enumerate(events)]
