"""What an explanation is: a verdict on one run, its cause, the lines that prove it, what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from prefect_crash_monitor.model.codec import Moment, to_json
from prefect_crash_monitor.model.incident import Severity

__all__ = ["Confidence", "Explanation", "Line", "Severity", "Verdict", "Where"]


class Verdict(StrEnum):
    """What is the matter with a run."""

    CRASHED = "crashed"
    FAILED = "failed"
    """Its own code or data failed."""
    GHOST = "ghost"
    """It has ended without saying so."""
    STUCK = "stuck"
    """It cannot start."""
    HEALTHY = "healthy"
    """Done, cancelled, paused, waiting for its time, or running and alive."""


class Confidence(StrEnum):
    """How sure the cause is; wrong with `HIGH` is a defect, wrong with `LOW` is a guess."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Where(StrEnum):
    """Where a line of evidence was read."""

    STATE = "state"
    HISTORY = "history"
    LOG = "log"
    EVENT = "event"
    KUBERNETES = "kubernetes"
    WORKER = "worker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One piece of evidence, in the words of its source or, where it has none, in ours."""

    source: Where
    text: str
    at: Moment | None = None

    def to_json(self) -> dict[str, str | None]:
        """As commands and reports give it."""
        found: dict[str, str | None] = to_json(Line, self)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why one run is as it is. All text is redacted, on one line and shortened."""

    flow_run_id: str
    flow_run_name: str
    verdict: Verdict
    cause: str | None
    """Slug; None where nothing is wrong, `unknown` where something is and no rule fits."""
    confidence: Confidence
    severity: Severity
    title: str
    summary: str
    evidence: tuple[Line, ...] = ()
    """The telling line first."""
    remediation: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    """Ready to run; each name in them is one that the evidence holds."""
    insights: tuple[str, ...] = ()
    recovered: bool = False
    """The run got over a crash or an eviction."""

    def to_json(self) -> dict[str, Any]:
        """The explanation as `crash-monitor explain --json` prints it."""
        found: dict[str, Any] = to_json(Explanation, self)
        return found
