"""Publishes: events that are proven to have arrived, and artifacts of which the newest stay.

Events go by `POST /events` and not through Prefect's event worker: that one queues in memory and
loses what is unsent when the process dies, and inside a flow it would add the monitor's own run,
flow and tags as related resources. Whether an event is stored shows only seconds later, so the
next cycle looks, and sends again under the same id what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from prefect_crash_monitor.prefect_api.answers import whole_answer
from prefect_crash_monitor.prefect_api.client import Api
from prefect_crash_monitor.publish.events import OutgoingEvent

SENT_AT_ONCE = 20
LOOKED_UP_AT_ONCE = 50

Body = Mapping[str, Any]


async def send(api: Api, events: Sequence[OutgoingEvent | Body]) -> None:
    """Hands events to Prefect; sent again, an event of the same id changes nothing."""
    bodies = [event.body() if isinstance(event, OutgoingEvent) else event for event in events]
    for at in range(0, len(bodies), SENT_AT_ONCE):
        await api.post("/events", bodies[at : at + SENT_AT_ONCE])


async def send_undelivered(api: Api, outbox: Sequence[Body]) -> list[Body]:
    """Sends again what earlier cycles sent and Prefect does not have; what that was."""
    missing: list[Body] = []
    for at in range(0, len(outbox), LOOKED_UP_AT_ONCE):
        part = outbox[at : at + LOOKED_UP_AT_ONCE]
        filter_ = {"id": {"id": [event["id"] for event in part]}}
        body = {"filter": filter_, "limit": LOOKED_UP_AT_ONCE}
        page = await api.post("/events/filter", body)
        with whole_answer("the events sent by the last cycle"):
            stored = {event["id"] for event in page["events"]}
        missing += [event for event in part if event["id"] not in stored]
    if missing:
        await send(api, missing)
    return missing
