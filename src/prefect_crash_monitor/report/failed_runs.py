"""The failed runs in the report: beside the crashes, and not among them."""

from __future__ import annotations

from prefect_crash_monitor.explain.failed_runs import Beside, Failures
from prefect_crash_monitor.text.sanitize import link, markdown, run_url

SHOWN = 10


def beside_section(beside: Beside, *, ui_url: str) -> str:
    """Failed runs by what is behind them; empty where that is their own code alone."""
    if not beside.told:
        return ""
    lines = [
        "## Failed, not crashed\n",
        f"{_looked_at(beside)} Not in the counts above; what is told here is more than an error "
        "of the flow's own code.\n",
        "| Cause | Failed | Deployments | Latest | What it says | To do |",
        "| --- | ---: | ---: | --- | --- | --- |",
        *(_row(failures, ui_url) for failures in beside.told[:SHOWN]),
    ]
    if (left := len(beside.told) - SHOWN) > 0:
        lines.append(f"\nand {left} causes more")
    return "\n".join(lines)


def _looked_at(beside: Beside) -> str:
    runs = f"{beside.failed:,} flow run{'s' * (beside.failed != 1)} failed"
    if beside.looked_at >= beside.failed:
        return f"{runs}."
    return f"{runs}, of which the latest {beside.looked_at} were looked at."


def _row(failures: Failures, ui_url: str) -> str:
    latest, why = failures.latest, failures.why
    cells = [
        markdown(why.cause),
        f"{failures.number:,}",
        f"{failures.deployments:,}",
        link(latest.flow_run_name, run_url(ui_url, latest.flow_run_id)),
        markdown(why.evidence or why.title, 200) or "—",
        markdown(why.remedy, 200) or "—",
    ]
    return f"| {' | '.join(cells)} |"
