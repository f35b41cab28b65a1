"""Explain: why one run is as it is, with the line that proves it and what to do.

In: evidence, which is what Prefect, its workers and the cluster said about a run. Out: an
`Explanation`, or a `Diagnosis` for each of many crashes. `evidence/` holds what was read,
`clues/` asks it small questions, `rules/` says which answers make a cause, `causes/` says what
to do about it. All of these decide; `read_…` and `bundle_file` act.
"""

from prefect_crash_monitor.explain.causes.table import CAUSES
from prefect_crash_monitor.explain.evidence.build import evidence_of_bundle, evidence_of_crash
from prefect_crash_monitor.explain.evidence.evidence import Evidence
from prefect_crash_monitor.explain.explainer import commands, explain, first_answer, needs_logs
from prefect_crash_monitor.explain.explanation import (
    Confidence,
    Explanation,
    Line,
    Severity,
    Verdict,
)
from prefect_crash_monitor.explain.rules.table import RULES

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
