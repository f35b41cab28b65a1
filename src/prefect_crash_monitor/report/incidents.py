"""The incidents in the report: what needs a human, with its cause and the next command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from prefect_crash_monitor.model.incident import NAMES_KEPT, Incident
from prefect_crash_monitor.text.format import duration, many_of, stamp
from prefect_crash_monitor.text.sanitize import code, link, markdown, run_url

SHOWN = 20
NAMED = 5


def incidents_section(
    open_: Sequence[Incident], resolved: Sequence[Incident], *, as_of: datetime, ui_url: str
) -> str:
    """What is open, the oldest first, and what is quiet again; empty where there is neither."""
    lines = [_incident(incident, as_of, ui_url) for incident in open_[:SHOWN]]
    if (left := len(open_) - SHOWN) > 0:
        lines.append(f"- and {left} more: `crash-monitor incidents`")
    lines += [
        f"- ✅ **{markdown(i.group) or 'all deployments'}** is quiet again "
        f"({many_of(i)}, {duration(i.last_crash_at - i.first_crash_at)})"
        for i in resolved[:SHOWN]
    ]
    return "## Incidents\n\n" + "\n".join(lines) if lines else ""


def _incident(incident: Incident, as_of: datetime, ui_url: str) -> str:
    where = markdown(incident.group) or "all deployments"
    open_for = duration(as_of - incident.opened_at)
    lines = [
        f"- **{where}**: {many_of(incident)} since {stamp(incident.first_crash_at)}, "
        f"latest {stamp(incident.last_crash_at)} UTC; {incident.severity}, rule "
        f"{incident.rule}, open for {open_for}"
    ]
    if incident.basis:
        lines.append(f"  - {markdown(incident.basis)}")
    if len(incident.deployments) > 1:
        lines.append(f"  - in {_ranked(incident.deployments)}")
    if len(incident.causes) > 1:
        lines.append(f"  - causes: {_ranked(incident.causes)}")
    if incident.title:
        lines.append(f"  - **{markdown(incident.title)}** ({markdown(incident.sample_cause)})")
    if incident.remedy:
        lines.append(f"  - to do: {markdown(incident.remedy, 400)}")
    if incident.sample:
        run = link(incident.sample_run_name, run_url(ui_url, incident.sample_run_id))
        lines.append(f"  - {run}: {markdown(incident.evidence or incident.sample, 300)}")
        logs = f"prefect flow-run logs {incident.sample_run_id}"
        lines.append(f"  - next: {code(incident.command or logs)}")
    return "\n".join(lines)


def _ranked(counts: Mapping[str, int]) -> str:
    """The most frequent of the names; of more than it keeps an incident does not know how many."""
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    told = ", ".join(f"{markdown(name)} ({number})" for name, number in ranked[:NAMED])
    if (left := len(ranked) - NAMED) <= 0:
        return told
    return f"{told} and {left} more" if len(ranked) < NAMES_KEPT else f"{told} and more"
