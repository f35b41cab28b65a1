"""The notification of each incident event told lately, and what is known to have become of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from prefect_crash_monitor.model.codec import Moment

KEPT = 200
KEPT_FOR = timedelta(days=1)
"""Also how long the report shows what went wrong, where the incident is over."""


class Status(StrEnum):
    """Whether somebody was told."""

    CONFIRMED = "confirmed"
    FAILED = "failed"
    UNCONFIRMED = "unconfirmed"
    PENDING = "pending"
    NOBODY = "nobody"


class Why(StrEnum):
    """How that is known."""

    EXECUTED = "executed"
    ACTION_FAILED = "action-failed"
    NEVER_REPORTED = "never-reported"
    """The automation fired, and its action reported neither success nor failure."""
    NEVER_FIRED = "never-fired"
    AUTOMATION_MISSING = "automation-missing"
    NOT_YET = "not-yet"
    NO_RECEIVER = "no-receiver"
    AUTOMATION_PAUSED = "automation-paused"


STATUS = {
    Why.EXECUTED: Status.CONFIRMED,
    Why.ACTION_FAILED: Status.FAILED,
    Why.NEVER_REPORTED: Status.UNCONFIRMED,
    Why.NEVER_FIRED: Status.UNCONFIRMED,
    Why.AUTOMATION_MISSING: Status.UNCONFIRMED,
    Why.NOT_YET: Status.PENDING,
    Why.NO_RECEIVER: Status.NOBODY,
    Why.AUTOMATION_PAUSED: Status.NOBODY,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """The notification of one told incident event."""

    event_id: str
    incident: str
    """`<id>.<episode>`."""
    kind: str
    subject: str
    automation: str
    """Name of the one that notifies."""
    receiver: str
    """The block to tell, as block-type/name; empty where the policy names none."""
    told_at: Moment
    why: Why = Why.NOT_YET
    detail: str = ""
    """Prefect's reason of a failure, redacted."""
    looks: int = 0
    """Cycles that looked and found no answer."""

    @property
    def identity(self) -> tuple[str, str, str]:
        """What tells it from others; a digest's event tells of several incidents."""
        return self.event_id, self.incident, self.kind

    @property
    def status(self) -> Status:
        """Whether somebody was told."""
        return STATUS[self.why]

    @property
    def is_trouble(self) -> bool:
        """Whether a reader of the report must know; of a missing receiver it speaks anyway."""
        return self.why is Why.AUTOMATION_PAUSED or self.status in {
            Status.FAILED,
            Status.UNCONFIRMED,
        }


def entered(
    before: Iterable[Delivery],
    after: Iterable[Delivery],
    *,
    open_incidents: Collection[str],
    now: datetime,
) -> tuple[Delivery, ...]:
    """What to remember, the oldest first; `after` replaces what is of the same event.

    What was told of open incidents stays, the rest for a day; of more than `KEPT` the newest.
    """
    by_event = {delivery.identity: delivery for delivery in (*before, *after)}
    worth = (
        delivery
        for delivery in by_event.values()
        if delivery.incident in open_incidents or now - delivery.told_at < KEPT_FOR
    )
    return tuple(sorted(worth, key=lambda delivery: delivery.told_at)[-KEPT:])


def by_incident(deliveries: Sequence[Delivery]) -> dict[str, Delivery]:
    """Of each incident the latest notification whose fate is known, else the latest at all."""
    known = {d.incident: d for d in deliveries if d.status is not Status.PENDING}
    return {delivery.incident: delivery for delivery in deliveries} | known


def notified(latest: Mapping[str, Delivery], incident: str) -> str | None:
    """Whether somebody was told of an incident; None where its notification is not known of."""
    return str(latest[incident].status) if incident in latest else None


def troubled(deliveries: Sequence[Delivery]) -> tuple[Delivery, ...]:
    """Incidents of which nobody may know, by their latest notification; the oldest first."""
    return tuple(d for d in by_incident(deliveries).values() if d.is_trouble)
