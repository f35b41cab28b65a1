"""Looks at what became of the notifications told lately; nothing told, no request.

At most two requests: Prefect's own reports on those events, and, only where one is overdue and no
automation fired at all, how the automations stand.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from prefect_crash_monitor.model.own import OWN_TAG
from prefect_crash_monitor.notify.automations.desired import PREFIX
from prefect_crash_monitor.notify.delivery.confirm import (
    REPORTS,
    Act,
    Did,
    Standing,
    act_of,
    awaited,
    decide,
    is_overdue,
)
from prefect_crash_monitor.notify.delivery.record import Delivery
from prefect_crash_monitor.prefect_api.answers import rows, whole_answer
from prefect_crash_monitor.prefect_api.client import Api
from prefect_crash_monitor.prefect_api.vocabulary import event_resources

PAGE = 50
AUTOMATIONS = 200
MARGIN = timedelta(hours=1)
"""Between our clock and the server's; the span keeps the look-up within an index."""

FURTHEST = timedelta(days=13)
"""How far back reports are looked for; Prefect Cloud takes 14 days at most."""


async def watch(api: Api, deliveries: Sequence[Delivery], now: datetime) -> tuple[Delivery, ...]:
    """The deliveries, as far as is known now; those decided earlier stay as they are."""
    looked_at = awaited(deliveries)
    if not looked_at:
        return tuple(deliveries)
    acts, whole = await _acts(api, looked_at, now)
    answered = {act.event_id for act in acts}
    silent = {d.automation for d in looked_at if d.event_id not in answered and is_overdue(d, now)}
    standings = await _standings(api, silent) if silent and whole else {}
    decided = {
        delivery.identity: decide(
            delivery, acts, now, standings.get(delivery.automation, Standing.UNKNOWN)
        )
        for delivery in looked_at
    }
    return tuple(decided.get(delivery.identity, delivery) for delivery in deliveries)


async def _acts(api: Api, told: Sequence[Delivery], now: datetime) -> tuple[list[Act], bool]:
    """What our automations reported on these events; and whether that is all there is.

    Of a page that was cut the lack of a report says nothing, so a mere firing is left out, too.
    """
    since = max(min(d.told_at for d in told) - MARGIN, now - FURTHEST)
    filter_ = {
        "event": {"name": list(REPORTS)},
        "resource": {"labels": {"prefect.resource.name": [f"{PREFIX}incident *"]}},
        "related": {"id": sorted({id_ for d in told for id_ in event_resources(d.event_id)})},
        "occurred": {"since": since.isoformat()},
        "order": "DESC",
    }
    page = await api.post("/events/filter", {"filter": filter_, "limit": PAGE})
    with whole_answer("the reports of automations"):
        acts = [act for event in page["events"] if (act := act_of(event)) is not None]
        whole = len(page["events"]) >= page["total"]
    return (acts if whole else [act for act in acts if act.did is not Did.FIRED]), whole


async def _standings(api: Api, names: Collection[str]) -> Mapping[str, Standing]:
    """How our automations of these names stand; of several of one name any active one counts."""
    body = {
        "automations": {"name": {"any_": sorted(names)}, "tags": {"all_": [OWN_TAG]}},
        "sort": "CREATED_DESC",
        "limit": AUTOMATIONS,
    }
    found = rows(await api.post("/automations/filter", body), "automations")
    standings = dict.fromkeys(names, Standing.MISSING)
    with whole_answer("automations"):
        for automation in sorted(found, key=lambda automation: bool(automation["enabled"])):
            enabled = automation["enabled"]
            standings[automation["name"]] = Standing.ACTIVE if enabled else Standing.PAUSED
    return standings
