"""The text of a digest: many incidents that changed at once, in one notification."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from prefect_crash_monitor.model.incident import Kind, Severity, Transition
from prefect_crash_monitor.model.own import DEFAULT_MONITOR, REPORT_KEY, artifact_key
from prefect_crash_monitor.notify.notification import NAME, SUBJECT, TEXT
from prefect_crash_monitor.text.format import many_of
from prefect_crash_monitor.text.sanitize import chat, shorten

TOLD = 12
"""Incidents that a digest names; a chat message has no room for more."""

ORDER: Mapping[str, int] = {str(severity): rank for rank, severity in enumerate(Severity)}
MARKS = {Kind.OPENED: "🔴 opened", Kind.REMINDED: "🔴 still open", Kind.RESOLVED: "✅ resolved"}


def worst_severity(transitions: Sequence[Transition]) -> str:
    """The severity of the worst of them; of what is still open, if anything is."""
    burning = [t for t in transitions if t.kind is not Kind.RESOLVED] or transitions
    return min((t.incident.severity for t in burning), key=_rank)


def digest(transitions: Sequence[Transition], *, ui_url: str, monitor: str) -> dict[str, str]:
    """Subject and text: how many of what, the worst and largest by name, where the rest is."""
    kinds = Counter(t.kind for t in transitions)
    numbers = ", ".join(f"{kinds[kind]} {MARKS[kind][2:]}" for kind in Kind if kinds[kind])
    mark = "✅" if set(kinds) == {Kind.RESOLVED} else "🔴"
    severity = worst_severity(transitions)
    number = len({(t.incident.id, t.incident.episode) for t in transitions})
    subject = f"{mark} {number} incidents at once: {numbers} [{severity}]"
    ranked = sorted(transitions, key=_importance)
    lines = [
        f"{number} incidents at once, told together: {numbers}.",
        *_causes(transitions),
        "",
        *(_line(t) for t in ranked[:TOLD]),
    ]
    if (left := len(ranked) - TOLD) > 0:
        lines.append(f"and {left} more")
    policy = "" if monitor == DEFAULT_MONITOR else f" --policy {monitor}"
    lines += ["", f"Open:  crash-monitor incidents{policy}"]
    if ui_url:
        lines.append(f"Report: {ui_url}/artifacts/key/{artifact_key(REPORT_KEY, monitor)}")
    return {"subject": shorten(subject, SUBJECT), "text": shorten("\n".join(lines), TEXT)}


def _line(transition: Transition) -> str:
    incident = transition.incident
    where = chat(incident.group, NAME) or "all deployments"
    why = f", {chat(incident.title, 80)}" if incident.title else ""
    return (
        f"{MARKS[transition.kind]}: {many_of(incident)} in {where}{why} "
        f"[{incident.severity}] {incident.id}.{incident.episode}"
    )


def _causes(transitions: Sequence[Transition]) -> list[str]:
    """The causes of what is open: one that is behind most of them is where to begin."""
    over = {t.incident.id for t in transitions if t.kind is Kind.RESOLVED}
    causes: Counter[str] = Counter()
    for transition in transitions:
        if transition.incident.id not in over:
            causes.update(transition.incident.causes)
    told = ", ".join(f"{chat(cause, 60)} ({number})" for cause, number in causes.most_common(5))
    return [f"Causes: {told}"] if told else []


def _importance(transition: Transition) -> tuple[bool, int, int, str]:
    incident = transition.incident
    resolved = transition.kind is Kind.RESOLVED
    return resolved, _rank(incident.severity), -incident.crashes, incident.id


def _rank(severity: str) -> int:
    return ORDER.get(severity, len(ORDER))
