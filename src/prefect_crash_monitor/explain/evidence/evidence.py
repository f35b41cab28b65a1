"""What is known of one run: normalised, bounded, frozen; and which parts were not read.

A part that was not read is None. "No logs" is evidence only where logs were read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from prefect_crash_monitor.explain.evidence.cluster import Cluster

HEARTBEAT = timedelta(seconds=180)
"""Prefect's default since 3.6.22; used where fewer than two heartbeats show the period."""


class Part(StrEnum):
    """A part of the evidence that has to be read by a request of its own."""

    HISTORY = "history"
    LOGS = "logs"
    EVENTS = "events"
    KUBERNETES = "kubernetes"


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One state of the run."""

    type: str = ""
    """`CRASHED`, `RUNNING`, ...; empty where unknown."""
    name: str = ""
    message: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """One line that the run, its worker or its observer logged."""

    at: datetime | None
    level: int
    logger: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One Prefect event about the run."""

    at: datetime | None
    name: str
    resource_id: str
    labels: Mapping[str, str]
    """Of its resource."""
    payload: Mapping[str, str]
    """Those members of its payload that are text."""
    received: datetime | None = None
    """When the server received it, by the server's own clock; None where that is not known."""
    about: str = ""
    """Of a worker's event the id of the flow run that it is about; empty where that is not told."""

    @property
    def known_at(self) -> datetime | None:
        """The later of when it is dated and when it was received: its sender lived then.

        A sender's clock that is behind must not make it look dead; one that is ahead only makes
        its death show later.
        """
        return max((at for at in (self.at, self.received) if at), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How the current attempt of the run went, drawn from states, events and logs together.

    A new attempt begins where the run is scheduled again: what an earlier attempt left in logs
    and events explains nothing of this one.
    """

    attempt_at: datetime | None = None
    """When the attempt was scheduled; None where its beginning is not known."""
    pending_at: datetime | None = None
    """When it first became PENDING."""
    running_at: datetime | None = None
    """When it last became RUNNING; a pod that Kubernetes retries does so again."""
    ran: bool | None = None
    """Whether it was ever RUNNING; None where that is not known."""
    alive_at: datetime | None = None
    """Its last sign of life: a heartbeat, a line it logged, an event of it or its tasks."""
    heartbeats: int | None = None
    period: timedelta = HEARTBEAT
    crashes: int = 0
    """States of type CRASHED over all attempts."""
    crash_left: bool = False
    """It was CRASHED, and is not any more."""
    evicted: bool = False
    """It went from RUNNING to waiting for a retry although its flow has no retries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Names for commands; empty where the evidence does not hold them."""

    run: str = ""
    """The id of the run."""
    run_name: str = ""
    flow: str = ""
    deployment: str = ""
    """`flow name/deployment name`."""
    pool: str = ""
    queue: str = ""
    worker: str = ""
    worker_type: str = ""
    """`process`, `kubernetes`, ...; that of the work pool where no worker is known."""
    namespace: str = ""
    job: str = ""
    pod: str = ""
    node: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that is known of one run. Logs and events are those of its current attempt."""

    state: State
    names: Names = field(default_factory=Names)
    course: Course = field(default_factory=Course)
    history: tuple[State, ...] | None = None
    logs: tuple[Log, ...] | None = None
    events: tuple[Event, ...] | None = None
    cluster: Cluster | None = None
    due_at: datetime | None = None
    """When the run should start, where it waits and that is known."""
    seen_at: datetime | None = None
    """When the evidence was gathered; ages are judged against it."""

    def as_of(self, now: datetime | None) -> Evidence:
        """The evidence judged at another time."""
        return replace(self, seen_at=now) if now else self

    def age_of(self, moment: datetime | None) -> timedelta | None:
        """How long ago something was when the evidence was gathered."""
        if self.seen_at is None or moment is None:
            return None
        return self.seen_at - moment
