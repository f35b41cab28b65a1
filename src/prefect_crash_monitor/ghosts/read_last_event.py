"""Whether Prefect was there to hear of anyone: silence during an outage of it proves nothing."""

from __future__ import annotations

from datetime import datetime, timedelta

from prefect_crash_monitor.explain.evidence.evidence import HEARTBEAT
from prefect_crash_monitor.model.interval import moment
from prefect_crash_monitor.prefect_api.answers import whole_answer
from prefect_crash_monitor.prefect_api.client import Api

EVENTS = 50
"""Most events that Prefect gives at once."""

PAGES = (
    ("DESC", timedelta(0)),
    ("DESC", timedelta(seconds=30)),
    ("DESC", timedelta(seconds=90)),
    ("ASC", timedelta(0)),
)
"""The newest page of a span, and what is asked for where all of it was stored after its end.

On a busy server 50 events are those of one second, and take longer than that to arrive.
"""

UNHEARD = (
    "Prefect has no event of anyone from {since} to {until} UTC, so this silence may be an "
    "outage of Prefect and the run alive; try again in a few minutes, while something runs"
)


async def last_heard(api: Api, since: datetime, until: datetime) -> datetime | None:
    """When Prefect last stored an event of anyone in a span; None where it stored none.

    One that is dated into the span and came after it was held back, by an outage perhaps.
    """
    for order, earlier in PAGES:
        if (end := until - earlier) <= since:
            continue
        heard, whole = await _in_time(api, since, end, until, order)
        if heard or whole:
            return heard
    return None


async def _in_time(
    api: Api, since: datetime, end: datetime, until: datetime, order: str
) -> tuple[datetime | None, bool]:
    """The latest event of one page that was stored in time, and whether the page holds all."""
    span = {"since": since.isoformat(), "until": end.isoformat()}
    body = {"filter": {"occurred": span, "order": order}, "limit": EVENTS}
    page = await api.post("/events/filter", body)
    with whole_answer("events of anyone"):
        in_time = (
            moment(event["occurred"])
            for event in page["events"]
            if moment(event.get("received") or event["occurred"]) <= until
        )
        return max(in_time, default=None), len(page["events"]) < EVENTS


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
