"""The values the monitor thinks in: windows, crashes, what became of them, records, incidents.

Frozen, without I/O and without Prefect, so that every decision about them is a plain function.
Times are aware datetimes in UTC everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from prefect_crash_monitor.model.codec import Moment
from prefect_crash_monitor.model.interval import Window

MARK_LENGTH = 12
"""Hex digits kept of a state id: its random end, 48 bits, unique among a horizon's crashes."""


def mark(state_id: str) -> str:
    """A crash's identity, shortened."""
    return state_id.replace("-", "")[-MARK_LENGTH:]


class Source(StrEnum):
    """Which read found a crash."""

    EVENTS = "events"
    FLOW_RUNS = "flow_runs"


class Fate(StrEnum):
    """What became of a crashed run, as of the moment it was looked at."""

    STILL_CRASHED = "still_crashed"
    SUPERSEDED = "superseded"
    RECOVERED = "recovered"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """One transition of one flow run into a state of type CRASHED.

    `state_id` is its identity (Prefect gives the event the id of the state). Names are those at
    the time of the crash where an event tells them; an empty string means that there is none.
    """

    state_id: str
    at: Moment
    flow_run_id: str
    flow_run_name: str = ""
    state_name: str = "Crashed"
    message: str = ""
    run_count: int = 0
    """Attempts begun when it crashed; 0 means that the run never started."""
    from_state: str = ""
    """Type of the state before, empty where unknown."""
    flow_id: str = ""
    flow: str = ""
    deployment_id: str = ""
    deployment: str = ""
    """`flow name/deployment name`; deployment names alone repeat."""
    work_pool: str = ""
    work_pool_type: str = ""
    work_queue: str = ""
    tags: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    """Labels of the run, read only where a rule's dimension asks for them."""
    in_process: bool = False
    """The run has a parent's task run: it is a subflow, mostly inside its parent's process."""
    source: Source = Source.EVENTS

    @property
    def dies_with_parent(self) -> bool:
        """One death, two crashes; not of a child of `run_deployment`, with a process of its own."""
        return self.in_process and not self.deployment_id

    @property
    def mark(self) -> str:
        """Its identity, shortened."""
        return mark(self.state_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one crash."""

    fate: Fate
    recovered_at: datetime | None = None
    """When the run first got going again; only with `Fate.RECOVERED`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Why one crash happened, as far as is known."""

    cause: str
    """Slug of the cause; `unknown` where no rule fits."""
    confidence: str
    fingerprint: str
    """Cause and normalised message; what makes two crashes the same problem."""
    title: str = ""
    evidence: str = ""
    """The line that proves it. Like title, remedy and command it is redacted; where an earlier
    cycle explained the crash, it is that of one of its kind."""
    remedy: str = ""
    command: str = ""
    """The first thing to do, and the command to do it with."""
    looked_at: bool = True
    """False where the run was not looked at, but others of its kind were: their cause is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """All crashes of a window that could be seen, and what could not be."""

    window: Window
    crashes: tuple[Crash, ...] = ()
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    """By state id."""
    gaps: tuple[str, ...] = ()
    """Why the view is partial, in words; empty when it is whole."""

    @property
    def complete(self) -> bool:
        """Whether nothing is known to be missing."""
        return not self.gaps
