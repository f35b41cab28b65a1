"""What an explanation is: a verdict on one run, its cause, the lines that prove it, what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from prefect_crash_monitor.model import Severity

__all__ = ["Confidence", "Explanation", "Line", "Severity", "Verdict", "Where", "explanation_of"]


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
    at: datetime | None = None

    def to_json(self) -> dict[str, str | None]:
        """As commands and reports give it."""
        at = self.at.isoformat() if self.at else None
        return {"source": str(self.source), "text": self.text, "at": at}


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
        return {
            "flow_run_id": self.flow_run_id,
            "flow_run_name": self.flow_run_name,
            "verdict": str(self.verdict),
            "cause": self.cause,
            "confidence": str(self.confidence),
            "severity": str(self.severity),
            "title": self.title,
            "summary": self.summary,
            "evidence": [line.to_json() for line in self.evidence],
            "remediation": list(self.remediation),
            "commands": list(self.commands),
            "insights": list(self.insights),
            "recovered": self.recovered,
        }


def explanation_of(item: Mapping[str, Any]) -> Explanation:
    """The explanation of its JSON.

    Raises:
        KeyError, TypeError, ValueError: when it is damaged.
    """
    lines = (
        Line(
            source=Where(line["source"]),
            text=line["text"],
            at=datetime.fromisoformat(line["at"]) if line["at"] else None,
        )
        for line in item["evidence"]
    )
    return Explanation(
        flow_run_id=item["flow_run_id"],
        flow_run_name=item["flow_run_name"],
        verdict=Verdict(item["verdict"]),
        cause=item["cause"],
        confidence=Confidence(item["confidence"]),
        severity=Severity(item["severity"]),
        title=item["title"],
        summary=item["summary"],
        evidence=tuple(lines),
        remediation=tuple(item["remediation"]),
        commands=tuple(item["commands"]),
        insights=tuple(item["insights"]),
        recovered=bool(item["recovered"]),
    )
