"""Words for runs with which nothing is wrong, or of which nothing is known."""

from __future__ import annotations

from prefect_crash_monitor.explain.clues.clues import state_line
from prefect_crash_monitor.explain.evidence.evidence import Evidence
from prefect_crash_monitor.explain.explanation import (
    Confidence,
    Explanation,
    Line,
    Severity,
    Verdict,
    Where,
)
from prefect_crash_monitor.text.format import duration, stamp
from prefect_crash_monitor.text.sanitize import one_line

OVER = frozenset({"COMPLETED", "CANCELLED"})
GOING = frozenset({"RUNNING", *OVER})

WORDS = {
    "COMPLETED": ("Completed", "The run completed."),
    "CANCELLED": ("Cancelled", "The run was cancelled, which is no crash."),
    "CANCELLING": ("Being cancelled", "The run is being cancelled."),
    "PAUSED": ("Paused", "The run is paused or suspended and waits to be resumed."),
    "RUNNING": ("Running", "The run is running."),
    "PENDING": ("Starting", "The run is about to start; it is too early to say more."),
    "SCHEDULED": ("Scheduled", "The run waits for its time."),
}
NOTHING = ("Not enough evidence", "Nothing in the evidence tells the state of the run.")


def healthy(evidence: Evidence) -> Explanation:
    """The explanation of a run with which nothing is known to be wrong."""
    kind = evidence.state.type
    title, summary = WORDS.get(kind, NOTHING)
    recovered = kind in GOING and (evidence.course.crash_left or evidence.course.evicted)
    words = [summary, *_of_life(evidence), *_of_recovery(evidence, recovered=recovered)]
    return Explanation(
        flow_run_id=one_line(evidence.names.run, 100),
        flow_run_name=one_line(evidence.names.run_name, 200),
        verdict=Verdict.HEALTHY,
        cause=None,
        confidence=_sure(evidence),
        severity=Severity.INFO,
        title=title,
        summary=" ".join(words),
        evidence=_lines(evidence),
        insights=_insights(evidence, recovered=recovered),
        recovered=recovered,
    )


def _sure(evidence: Evidence) -> Confidence:
    """Of a run that has not ended, only its age tells that it is too early to worry."""
    kind = evidence.state.type
    if kind in OVER or kind == "PAUSED":
        return Confidence.HIGH
    since = evidence.course.alive_at or evidence.state.at
    dated = evidence.age_of(since) is not None
    return Confidence.MEDIUM if kind in WORDS and dated else Confidence.LOW


def _of_life(evidence: Evidence) -> list[str]:
    """When a running run gave its last sign, and until when silence says nothing."""
    last = evidence.course.alive_at
    age = evidence.age_of(last)
    if evidence.state.type != "RUNNING" or age is None:
        return []
    allowed = duration(3 * evidence.course.period)
    return [
        f"Its last sign of life is {duration(age)} old; silence counts only after three "
        f"heartbeat periods ({allowed})."
    ]


def _of_recovery(evidence: Evidence, *, recovered: bool) -> list[str]:
    if not recovered:
        return []
    what = "a crash" if evidence.course.crash_left else "an eviction"
    return [f"It got over {what}."]


def _lines(evidence: Evidence) -> tuple[Line, ...]:
    line = state_line(evidence)
    lines = [Line(source=line.source, text=one_line(line.text, 500), at=line.at)]
    last = evidence.course.alive_at
    if last and evidence.state.type == "RUNNING":
        text = f"last sign of life at {stamp(last)} UTC"
        lines.append(Line(source=Where.EVENT, text=text, at=last))
    return tuple(lines)


def _insights(evidence: Evidence, *, recovered: bool) -> tuple[str, ...]:
    if not recovered:
        return ()
    return ("I16",) if evidence.course.crash_left else ("I07",)
