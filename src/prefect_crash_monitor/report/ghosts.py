"""The runs in the report that ended without saying so."""

from __future__ import annotations

from collections.abc import Sequence

from prefect_crash_monitor.ghosts.tracking import Found
from prefect_crash_monitor.text.format import stamp
from prefect_crash_monitor.text.sanitize import link, markdown, run_url

SHOWN = 15

TO_DO = (
    "No count of crashes has them. `crash-monitor ghosts` lists them all, with what proves it and "
    "what to do; `crash-monitor ghosts --mark` sets those that are certain CRASHED, which frees "
    "what they hold."
)
UNCLEAR = " Those of low confidence may be alive: nobody can tell."


def ghosts_section(ghosts: Sequence[Found], *, ui_url: str) -> str:
    """Those that are told of, then those of which nobody can tell; empty where there is none."""
    unclear = [one for one in ghosts if not one.ghost.is_claimed]
    told = [*(one for one in ghosts if one.sure_at), *unclear]
    if not told:
        return ""
    lines = [
        "## Ended without saying so\n",
        f"{TO_DO}{UNCLEAR if unclear else ''}\n",
        "| Since (UTC) | Flow run | State | Deployment | What it is | Evidence |",
        "| --- | --- | --- | --- | --- | --- |",
        *(_row(one, ui_url) for one in told[:SHOWN]),
    ]
    if (left := len(told) - SHOWN) > 0:
        lines.append(f"\nand {left:,} more")
    return "\n".join(lines)


def _row(one: Found, ui_url: str) -> str:
    run, why = one.ghost.left_in, one.ghost.why
    name = link(run.flow_run_name, run_url(ui_url, run.flow_run_id))
    where = markdown(run.deployment or run.flow) or "—"
    what = f"{markdown(why.cause or '')} ({why.confidence})"
    proof = markdown(why.evidence[0].text, 160) if why.evidence else "—"
    cells = [stamp(run.at), name, markdown(run.state_name, 40), where, what, proof]
    return f"| {' | '.join(cells)} |"
