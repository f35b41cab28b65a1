"""The answers of the commands as plain text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from prefect_crash_monitor.render.text import crashes_of

Answer = Mapping[str, Any]
NAMES_SHOWN = 20


def count_text(answer: Answer) -> str:
    """A count, with what became of the crashes and where they were."""
    fates = (
        f"  still crashed {answer['still_crashed']}, crashed again {answer['superseded']}, "
        f"recovered {answer['recovered']}, deleted {answer['deleted']}"
    )
    window = f"[{answer['since']}, {answer['until']})"
    lines = [f"{crashes_of(answer['crashed'])} of flow runs in {window}", fates]
    if answer["in_process_subflows"]:
        lines.append(f"  {answer['in_process_subflows']} of them are subflows in their parent")
    if answer["monitor_crashed"]:
        lines.append(f"  and {answer['monitor_crashed']} runs of the monitor itself")
    for name, counts in answer["by"].items():
        if counts:
            lines += [f"by {name.replace('_', ' ')}:", *_counts(counts)]
    lines += [f"PARTIAL VIEW: {gap}" for gap in answer["gaps"]]
    return "\n".join(lines)


def cycle_text(answer: Answer) -> str:
    """A cycle: the record, what was told, what is open."""
    lines = [count_text(answer)]
    lines += [f"incident {t['incident']} {t['kind']}" for t in answer["transitions"]]
    lines += [incidents_text(answer["incidents"])]
    lines += [f"note: {notice}" for notice in answer["notices"]]
    return "\n".join(lines)


def registration_text(answer: Answer) -> str:
    """What a registration changed."""
    lines = [f"{what:10} {name}" for what, names in answer.items() for name in names]
    return "\n".join(lines) or "Nothing to register."


def incidents_text(incidents: Sequence[Answer]) -> str:
    """The open incidents, one line each."""
    if not incidents:
        return "No open incidents."
    return "\n".join(
        f"{i['incident']}  {i['severity']:8}  {i['rule']}: {_plain(i['group'] or 'everything')}  "
        f"{i['crashes']} crashes since {i['first_crash_at']}, last {i['last_crash_at']}"
        for i in incidents
    )


def _counts(counts: Mapping[str, int]) -> list[str]:
    shown = list(counts.items())[:NAMES_SHOWN]
    lines = [f"  {number:6}  {_plain(name) or '(none)'}" for name, number in shown]
    left = len(counts) - len(shown)
    return [*lines, f"          and {left} more"] if left else lines


def _plain(text: str) -> str:
    """A name as one printable line: names come from users, terminals obey escape codes."""
    return "".join(char if char.isprintable() else " " for char in text)
