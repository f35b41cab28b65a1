"""The text of a notification: short enough for chat, plain enough for email, complete."""

from __future__ import annotations

from collections.abc import Mapping

from prefect_crash_monitor.model.incident import NAMES_KEPT, Incident, Kind, Reason, Transition
from prefect_crash_monitor.model.own import DEFAULT_MONITOR, REPORT_KEY, artifact_key
from prefect_crash_monitor.text.format import duration, many_of, stamp
from prefect_crash_monitor.text.sanitize import chat, shorten

SUBJECT, TEXT, NAME = 120, 3_000, 100
NAMES_TOLD = 5

WORDS = {Kind.OPENED: "", Kind.REMINDED: "still open: ", Kind.RESOLVED: "resolved: "}

OVER = {
    Reason.QUIET_PERIOD_OVER: "quiet for long enough",
    Reason.RUN_COMPLETED: "a run completed",
    Reason.RULE_REMOVED: "the policy has no such rule any more",
}


def notification(transition: Transition, *, ui_url: str, monitor: str) -> dict[str, str]:
    """Subject and text: what, how many, where, the latest message, what to do next."""
    incident = transition.incident
    where = chat(incident.group, NAME) or "all deployments"
    mark = "✅" if transition.kind is Kind.RESOLVED else "🔴"
    what = f"{WORDS[transition.kind]}{many_of(incident)} in {where}"
    subject = f"{mark} {shorten(what, SUBJECT - 20)} [{incident.severity}]"
    lines = [_first_line(transition, where), *_where(incident)]
    lines += _why(incident, is_over=transition.kind is Kind.RESOLVED)
    lines += ["", *_next(transition, ui_url, monitor)]
    text = "\n".join(lines)
    return {"subject": subject, "text": shorten(text, TEXT)}


def _first_line(transition: Transition, where: str) -> str:
    incident = transition.incident
    crashes = many_of(incident)
    since, last = stamp(incident.first_crash_at), stamp(incident.last_crash_at)
    match transition.kind:
        case Kind.OPENED:
            return (
                f"{incident.basis or crashes} in {where} crossed rule {incident.rule}, "
                f"the first at {since} UTC, the latest at {last} UTC."
                # Of one cycle, Prefect may deliver the all-clear before the opening.
                + (
                    f" Over since {stamp(incident.resolved_at)} UTC."
                    if incident.resolved_at
                    else ""
                )
            )
        case Kind.REMINDED:
            age = duration(transition.at - incident.opened_at)
            return (
                f"Open for {age} now (reminder {incident.reminders}): {crashes} "
                f"in {where} since {since} UTC, the latest at {last} UTC."
                + (f" Last known: {incident.basis}." if incident.basis else "")
            )
        case Kind.RESOLVED:
            lasted = duration(incident.last_crash_at - incident.first_crash_at)
            over = OVER.get(transition.reason, transition.reason)
            return (
                f"All clear in {where} (rule {incident.rule}: {over}): "
                f"{crashes} within {lasted}, the latest at {last} UTC."
            )


def _where(incident: Incident) -> list[str]:
    lines = []
    for what, counts in (("Deployments", incident.deployments), ("Pools", incident.work_pools)):
        if counts and list(counts) != [incident.group]:
            lines.append(f"{what}: {_names(counts)}")
    return lines


def _why(incident: Incident, *, is_over: bool) -> list[str]:
    """The cause, the line that proves it, and what to do; the message where nothing is known.

    When all is over nothing is to be done: the cause alone tells which trouble it was.
    """
    lines = []
    if len(incident.causes) > 1:
        lines.append(f"Causes: {_names(incident.causes)}")
    if incident.title:
        sample = "Cause" if len(incident.causes) <= 1 else "Latest"
        lines.append(f"{sample}: {chat(incident.title, 200)} ({incident.sample_cause})")
    proof = incident.evidence or incident.sample
    if proof and not (is_over and incident.title):
        lines.append(f"Evidence: {chat(proof, 400)}")
    if incident.remedy and not is_over:
        lines.append(f"To do: {chat(incident.remedy, 400)}")
    return lines


def _names(counts: Mapping[str, int]) -> str:
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    told = [f"{chat(name, NAME)} ({number})" for name, number in ranked[:NAMES_TOLD]]
    left = len(ranked) - len(told)
    # Of more than it keeps an incident does not know how many there are.
    more = f"and {left} more" if len(ranked) < NAMES_KEPT else "and more"
    return ", ".join([*told, *([more] if left > 0 else [])])


def _next(transition: Transition, ui_url: str, monitor: str) -> list[str]:
    incident = transition.incident
    policy = "" if monitor == DEFAULT_MONITOR else f" --policy {monitor}"
    lines = []
    if transition.kind is not Kind.RESOLVED and incident.sample_run_id:
        logs = f"prefect flow-run logs {incident.sample_run_id}"
        if incident.command and incident.command != logs:
            lines.append(f"Next:  {chat(incident.command, 400)}")
        retry = f"Retry: prefect flow-run retry {incident.sample_run_id}"
        lines += [
            f"Logs:  {logs}",
            "Mark:  crash-monitor ghosts --mark" if incident.ghosts else retry,
            f"Open:  crash-monitor incidents{policy}",
        ]
        if ui_url:
            lines.append(f"Run:   {ui_url}/runs/flow-run/{incident.sample_run_id}")
    if ui_url:
        lines.append(f"Report: {ui_url}/artifacts/key/{artifact_key(REPORT_KEY, monitor)}")
    return [*lines, f"Incident {incident.id}.{incident.episode}"]
