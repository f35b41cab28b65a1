"""Whether Prefect was there to hear of anyone: silence during an outage of it proves nothing."""

from __future__ import annotations

from datetime import datetime

from prefect_crash_monitor.api import Api
from prefect_crash_monitor.explain.evidence import HEARTBEAT
from prefect_crash_monitor.reading import moment, whole_answer

EVENTS = 50
"""Most events that Prefect gives at once."""

UNHEARD = (
    "Prefect has no event of anyone from {since} to {until} UTC, so this silence may be an "
    "outage of Prefect and the run alive; try again in a few minutes, while something runs"
)


async def last_heard(api: Api, since: datetime, until: datetime) -> datetime | None:
    """When Prefect last stored an event of anyone in a span; None where it stored none.

    One that is dated into the span and came after it was held back, by an outage perhaps.
    """
    span = {"since": since.isoformat(), "until": until.isoformat()}
    body = {"filter": {"occurred": span, "order": "DESC"}, "limit": EVENTS}
    page = await api.post("/events/filter", body)
    with whole_answer("events of anyone"):
        in_time = (
            moment(event["occurred"])
            for event in page["events"]
            if moment(event.get("received") or event["occurred"]) <= until
        )
        return max(in_time, default=None)


async def why_unheard(api: Api, now: datetime) -> str:
    """Why silence proves nothing yet; empty where it does.

    After an outage of Prefect every run has been silent, and those alive speak up within one
    heartbeat period. So Prefect must have been there one period ago: it has stored an event of
    anyone between two periods ago and one.
    """
    since, until = now - 2 * HEARTBEAT, now - HEARTBEAT
    if await last_heard(api, since, until):
        return ""
    return UNHEARD.format(since=f"{since:%H:%M}", until=f"{until:%H:%M}")
