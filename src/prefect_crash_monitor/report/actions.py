"""What the monitor did itself, in the report: each act of the last day in a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from prefect_crash_monitor.config.actions import Mode
from prefect_crash_monitor.remediate.action import Act, ActKind, Result
from prefect_crash_monitor.remediate.plan import Reason
from prefect_crash_monitor.text.format import stamp
from prefect_crash_monitor.text.sanitize import code, link, markdown, run_url

SHOWN = 15
TOLD_FOR = timedelta(days=1)
UNTOLD = {Reason.MOVED_ON, Reason.DECIDED, Reason.TOO_OLD}
"""What is so for most crashes that are read again, and asks for nothing."""

VERBS: Mapping[ActKind, tuple[str, str, str]] = {
    ActKind.RETRIED: ("retry", "retrying", "retried"),
    ActKind.PAUSED: ("pause", "pausing", "paused"),
    ActKind.FREED: ("free", "freeing", "freed"),
}
NOUNS = {
    "flow-run": "flow run",
    "deployment": "deployment",
    "work-pool": "work pool",
    "task-run": "slot of tag",
}


def acts_section(
    acts: Sequence[Act], not_done: Mapping[str, int], *, as_of: datetime, ui_url: str
) -> str:
    """The acts, the newest first, and what was left alone why; empty where there is neither."""
    recent = [act for act in reversed(acts) if as_of - act.at < TOLD_FOR]
    lines = [_line(act, ui_url) for act in recent[:SHOWN]]
    if (more := len(recent) - SHOWN) > 0:
        lines.append(f"- and {more} more: the events `crash-monitor.action.*`")
    left = sorted((reason, number) for reason, number in not_done.items() if reason not in UNTOLD)
    if left:
        told = "; ".join(f"{number} × {reason}" for reason, number in left)
        lines.append(f"- Left alone: {told}.")
    return "## Actions\n\n" + "\n".join(lines) if lines else ""


def _line(act: Act, ui_url: str) -> str:
    is_run = act.target_type == "flow-run"
    name = link(act.name, run_url(ui_url, act.target)) if is_run else markdown(act.name)
    number = f", retry {act.number}" if is_run else ""
    line = (
        f"- {stamp(act.at)} UTC: {_verb(act)} {NOUNS[act.target_type]} {name} "
        f"({markdown(act.why)}{number})"
    )
    if act.remark:
        line += f": {markdown(act.remark, 300)}"
    if act.undo and act.result in {Result.PENDING, Result.DONE}:
        line += f"; to resume it: {code(act.undo)}"
    return line


def _verb(act: Act) -> str:
    plain, now, past = VERBS[act.kind]
    match act.result:
        case Result.PENDING:
            return f"**{now}**" if act.mode is Mode.ACT else f"would {plain}"
        case Result.DONE:
            return f"**{past}**"
        case Result.WOULD:
            return f"would {plain}"
        case Result.LEFT:
            return f"did not {plain}"
        case Result.FAILED:
            return f"could not {plain}"
