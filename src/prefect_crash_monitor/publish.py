"""Publishes: events that are proven to have arrived, and artifacts of which the newest stay.

Events go by `POST /events` and not through Prefect's event worker: that one queues in memory and
loses what is unsent when the process dies, and inside a flow it would add the monitor's own run,
flow and tags as related resources. Whether an event is stored shows only seconds later, so the
next cycle looks, and sends again under the same id what is missing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prefect_crash_monitor.api import Api
from prefect_crash_monitor.events import OutgoingEvent
from prefect_crash_monitor.model import REPORT_KEY, ROWS_KEY, artifact_key
from prefect_crash_monitor.reading import whole_answer

PRUNED_AT_ONCE = 20
"""Old versions removed of an artifact in one cycle; a lowered limit is reached over several."""

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


async def publish_artifacts(
    api: Api,
    monitor: str,
    *,
    report: str,
    headline: str,
    rows: Sequence[Mapping[str, str]],
    flow_run_id: str | None,
) -> None:
    """A new version of the report and of the table of crashes, under the cycle's own flow run."""
    run = {"flow_run_id": flow_run_id} if flow_run_id else {}
    report_body = {"type": "markdown", "description": headline, "data": report}
    await api.post("/artifacts/", report_body | {"key": artifact_key(REPORT_KEY, monitor)} | run)
    # Prefect's UI parses a table's data as JSON text.
    table = json.dumps(list(rows), ensure_ascii=False, allow_nan=False)
    rows_body = {"type": "table", "description": headline, "data": table}
    await api.post("/artifacts/", rows_body | {"key": artifact_key(ROWS_KEY, monitor)} | run)


async def prune_artifacts(api: Api, monitor: str, *, keep: int) -> None:
    """Removes versions of our artifacts beyond the newest `keep`.

    Prefect keeps every version for ever, at five minutes 288 a day.
    """
    for key in (REPORT_KEY, ROWS_KEY):
        own = artifact_key(key, monitor)
        await prune(api, {"key": {"any_": [own]}}, keep=keep, is_ours=own.__eq__)


async def prune(api: Api, filter_: Body, *, keep: int, is_ours: Callable[[str], bool]) -> None:
    """Removes artifacts beyond the newest `keep` that the filter finds, where the key is ours."""
    body = {
        "artifacts": dict(filter_),
        "sort": "CREATED_DESC",
        "offset": keep,
        "limit": PRUNED_AT_ONCE,
    }
    old = await api.post("/artifacts/filter", body)
    with whole_answer("old artifacts"):
        ids = [artifact["id"] for artifact in old if is_ours(artifact["key"])]
    for id_ in ids:
        await api.delete(f"/artifacts/{id_}")
