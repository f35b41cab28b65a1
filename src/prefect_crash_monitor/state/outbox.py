"""The outbox: events that the ledger holds until Prefect is seen to have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from prefect_crash_monitor.model.interval import moment
from prefect_crash_monitor.notify.delivery.record import Delivery, entered
from prefect_crash_monitor.publish.events import OutgoingEvent
from prefect_crash_monitor.state.ledger import Ledger

Body = Mapping[str, Any]

RESENT_FOR = timedelta(hours=1)
"""How long an event is sent again that Prefect does not keep: a server that restarts again and
again loses more than once."""

UNSENT_KEPT = 500
"""Events kept that could not be sent at all, because Prefect refuses them: more than a day of
intervals of five minutes. Each takes some 2 kB of the ledger."""


def unsent(
    outbox: Sequence[Body], again: Sequence[Body] | None, now: datetime
) -> tuple[tuple[Body, ...], tuple[str, ...]]:
    """The earlier events that the next cycle still looks for, and what a reader must know of them.

    What was sent `again` by this cycle is looked for once more, for an hour. Where nothing could
    be sent (None) all are kept, up to `UNSENT_KEPT`.
    """
    if again is not None:
        return tuple(e for e in again if now - moment(e["occurred"]) < RESENT_FOR), ()
    kept = tuple(outbox[-UNSENT_KEPT:])
    if not (dropped := len(outbox) - len(kept)):
        return kept, ()
    notice = (
        f"{dropped} events could not be sent for so long that they are given up, the oldest first. "
        "The ledger has their counts and incidents."
    )
    return kept, (notice,)


def to_be_told(
    ledger: Ledger,
    events: Sequence[OutgoingEvent],
    told: Sequence[Delivery],
    still_unsent: Sequence[Body],
    now: datetime,
) -> Ledger:
    """The ledger with its outbox, and with the notifications that the next cycles look for."""
    new = tuple(event.body() for event in events)
    still_open = {f"{i.id}.{i.episode}" for i in ledger.incidents if i.is_open}
    deliveries = entered(ledger.deliveries, told, open_incidents=still_open, now=now)
    return replace(ledger, outbox=(*still_unsent, *new), deliveries=deliveries)
