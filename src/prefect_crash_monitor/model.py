"""The values the monitor thinks in: windows, crashes, what became of them, records, incidents.

Frozen, without I/O and without Prefect, so that every decision about them is a plain function.
Times are aware datetimes in UTC everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from prefect_crash_monitor.codec import Moment

OWN_TAG = "managed-by:crash-monitor"
"""Carried by everything that is ours: deployments, automations."""

OWN_FLOWS = frozenset({"crash-monitor", "crash-triage", "configuration-audit"})
"""Names of our own flows; a run is ours only together with `OWN_TAG` or by deployment id."""

DEFAULT_MONITOR = "default"
"""Name of the policy, and so of the monitor, where none is given."""

REPORT_KEY, ROWS_KEY = "crash-report", "crash-runs"
"""Keys of our artifacts in Prefect's artifacts tab."""


def artifact_key(key: str, monitor: str) -> str:
    """The key under which a monitor publishes; one beside the default carries its name."""
    return key if monitor == DEFAULT_MONITOR else f"{key}-{monitor}"


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A half-open span `[start, end)` on state timestamps."""

    start: Moment
    end: Moment

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment < self.end

    @property
    def length(self) -> timedelta:
        """How long the window is."""
        return self.end - self.start


MARK_LENGTH = 12
"""Hex digits kept of a state id: its random end, 48 bits, unique among a horizon's crashes."""


def mark(state_id: str) -> str:
    """A crash's identity, shortened."""
    return state_id.replace("-", "")[-MARK_LENGTH:]


class Severity(StrEnum):
    """How bad a cause or an incident is; a label of events, so automations can route on it."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalRecord:
    """The count of one window: what `crash-monitor count` prints and an interval event carries.

    `crashed` = `still_crashed` + `superseded` + `recovered` + `deleted`, without the monitor's
    own runs, which `monitor_crashed` has.
    """

    window: Window
    counted_at: datetime
    gaps: tuple[str, ...] = ()
    fates: Mapping[Fate, int] = field(default_factory=dict)
    in_process_subflows: int = 0
    monitor_crashed: int = 0
    sources: Mapping[Source, int] = field(default_factory=dict)
    by: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    state_ids: tuple[str, ...] = ()
    revision: int = 0
    """0 when first counted; each late event that changes the number adds one."""

    @property
    def crashed(self) -> int:
        """Crashes of the window, without the monitor's own."""
        return sum(self.fates.values())

    @property
    def complete(self) -> bool:
        """Whether nothing is known to be missing."""
        return not self.gaps


class Kind(StrEnum):
    """What there is to tell about an incident."""

    OPENED = "opened"
    REMINDED = "reminded"
    RESOLVED = "resolved"


class Reason(StrEnum):
    """Why the judge decided as it did."""

    THRESHOLD_CROSSED = "threshold-crossed"
    STILL_BURNING = "still-burning"
    REMINDER_DUE = "reminder-due"
    QUIET_PERIOD_OVER = "quiet-period-over"
    WAITING_FOR_QUIET = "waiting-for-quiet"
    NOTHING_NEW = "nothing-new"
    SILENCED = "silenced"
    RUN_COMPLETED = "run-completed"
    RULE_REMOVED = "rule-removed"


NAMES_KEPT = 100
"""Deployments and pools that an incident lists; the most affected ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """A crossed threshold, from its opening until it is quiet again."""

    id: str
    """12 hex digits: a hash of rule, group and fingerprint."""
    episode: int
    """1 at first; each reopening adds one."""
    rule: str
    scope: str
    group: str
    """The value deduplicated on: a deployment, a pool, a custom dimension's value."""
    severity: str
    opened_at: Moment
    """End of the interval that crossed the threshold."""
    first_crash_at: Moment
    last_crash_at: Moment
    burning_until: Moment
    """When the rule's condition stops to hold if nothing more crashes."""
    crashes: int
    """Crashes that counted towards it so far."""
    ghosts: bool = False
    """It is of runs that ended without saying so, not of crashes: those are its `crashes`."""
    basis: str = ""
    """What the rule was met by at last, in words, where the number does not say it."""
    deployments: Mapping[str, int] = field(default_factory=dict)
    work_pools: Mapping[str, int] = field(default_factory=dict)
    causes: Mapping[str, int] = field(default_factory=dict)
    """Slugs of the crashes' causes, the most frequent first."""
    fingerprint: str = ""
    """Empty where its crashes are of several kinds, or nothing was explained yet."""
    sample: str = ""
    """Message of the latest crash, already redacted and shortened."""
    sample_cause: str = ""
    title: str = ""
    """The sample's cause in words; with its evidence, remedy and command."""
    evidence: str = ""
    remedy: str = ""
    command: str = ""
    sample_run_id: str = ""
    sample_run_name: str = ""
    runs_of: str = ""
    runs_id: str = ""
    """The runs whose completion ends it, as `memory.Runs`; empty where it ends otherwise."""
    reminders: int = 0
    told_at: Moment | None = None
    """When it was last told of: the end of the last interval that the telling cycle counted."""
    resolved_at: Moment | None = None
    judged_through: Moment | None = None
    """Crashes before this moment have been counted in."""

    @property
    def is_open(self) -> bool:
        """Whether it has not been resolved yet."""
        return self.resolved_at is None

    @property
    def cause(self) -> str:
        """The one cause of its crashes; empty where there are several or none is known."""
        return next(iter(self.causes)) if len(self.causes) == 1 else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One thing to tell: an incident opened, was reminded of, or resolved; and why."""

    kind: Kind
    incident: Incident
    reason: Reason
    at: datetime
    """End of the interval in which it was decided."""
