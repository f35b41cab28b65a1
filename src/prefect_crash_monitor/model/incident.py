"""Incidents: a crossed threshold, from its opening to its all-clear; what there is to notify."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from prefect_crash_monitor.model.codec import Moment


class Severity(StrEnum):
    """How bad a cause or an incident is; a label of events, so automations can route on it."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


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


SAMPLE_LENGTH = 500
