"""A rule: one row of the tables that lead from evidence to a cause."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from prefect_crash_monitor.explain.clues.clues import Clue
from prefect_crash_monitor.explain.explanation import Confidence, Severity, Verdict


class Scope(StrEnum):
    """Type of the state that a rule is about."""

    CRASHED = "CRASHED"
    FAILED = "FAILED"
    RUNNING = "RUNNING"
    CANCELLING = "CANCELLING"
    PENDING = "PENDING"
    SCHEDULED = "SCHEDULED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Where the clue holds, the run has this cause, unless a rule of lower precedence fits too."""

    cause: str
    scope: Scope
    precedence: int
    """The lowest that fits wins; ten times the number in the dossier where it has one."""
    clue: Clue
    verdict: Verdict
    confidence: Confidence
    severity: Severity
    insights: tuple[str, ...] = ()
    versions: str = "3.x"
    """Of Prefect, for which the row is true."""
    source: str = ""
    """How it is known: a recorded run, the code, an issue, documentation."""


def crash(
    cause: str,
    precedence: int,
    clue: Clue,
    confidence: Confidence,
    severity: Severity,
    *insights: str,
    versions: str = "3.x",
    source: str = "recorded",
) -> Rule:
    """A rule of crashed runs."""
    return Rule(
        cause=cause,
        scope=Scope.CRASHED,
        precedence=precedence,
        clue=clue,
        verdict=Verdict.CRASHED,
        confidence=confidence,
        severity=severity,
        insights=insights,
        versions=versions,
        source=source,
    )
