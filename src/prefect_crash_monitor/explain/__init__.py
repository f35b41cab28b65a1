"""Explain: from what is known of a run to its verdict, its cause and the next command."""

from prefect_crash_monitor.explain.causes import CAUSES
from prefect_crash_monitor.explain.evidence import Evidence
from prefect_crash_monitor.explain.explainer import commands, explain, first_answer, needs_logs
from prefect_crash_monitor.explain.explanation import (
    Confidence,
    Explanation,
    Line,
    Severity,
    Verdict,
)
from prefect_crash_monitor.explain.gathering import evidence_of_bundle, evidence_of_crash
from prefect_crash_monitor.explain.rules import RULES

__all__ = [
    "CAUSES",
    "RULES",
    "Confidence",
    "Evidence",
    "Explanation",
    "Line",
    "Severity",
    "Verdict",
    "commands",
    "evidence_of_bundle",
    "evidence_of_crash",
    "explain",
    "first_answer",
    "needs_logs",
]
