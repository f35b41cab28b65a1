"""The answers of the commands as plain text for a terminal."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from prefect_crash_monitor.text.format import crashes_of
from prefect_crash_monitor.text.sanitize import one_line

Answer = Mapping[str, Any]
NAMES_SHOWN = 20
EVIDENCE_LENGTH = 300
NOT_TOLD = {"failed", "unconfirmed", "nobody"}


def count_text(answer: Answer) -> str:
    """A count, with what became of the crashes and where they were."""
    fates = (
        f"  still crashed {answer['still_crashed']}, crashed again {answer['superseded']}, "
        f"recovered {answer['recovered']}, deleted {answer['deleted']}"
    )
    window = f"[{answer['since']}, {answer['until']})"
    lines = [f"{crashes_of(answer['crashed'])} of flow runs in {window}", fates]
    if answer["in_process_subflows"]:
        lines.append(f"  {answer['in_process_subflows']} of them are subflows")
    if answer["monitor_crashed"]:
        lines.append(f"  and {answer['monitor_crashed']} runs of the monitor itself")
    for name, counts in answer["by"].items():
        if counts:
            lines += [f"by {name.replace('_', ' ')}:", *_counts(counts)]
    lines += [f"PARTIAL VIEW: {gap}" for gap in answer["gaps"]]
    return "\n".join(lines)


def backfill_text(records: Sequence[Answer]) -> str:
    """Intervals counted afterwards: how many, their crashes, and where the view is partial."""
    if not records:
        return "Nothing to count: every interval since then is counted already."
    crashed = sum(record["crashed"] for record in records)
    lines = [
        f"{len(records):,} intervals counted, {records[0]['since']} to {records[-1]['until']}: "
        f"{crashes_of(crashed)}"
    ]
    lines += [
        f"  {record['since']}  {crashes_of(record['crashed'])}"
        for record in records
        if record["crashed"]
    ]
    gaps = dict.fromkeys(gap for record in records for gap in record["gaps"])
    return "\n".join([*lines, *(f"PARTIAL VIEW: {gap}" for gap in gaps)])


def cycle_text(answer: Answer) -> str:
    """A cycle: the record, what was told, what is open."""
    lines = [count_text(answer)]
    lines += [f"incident {t['incident']} {t['kind']}" for t in answer["transitions"]]
    lines += [incidents_text(answer["incidents"])]
    lines += [_plain(_act(act)) for act in answer["acts"]]
    lines += [f"note: {notice}" for notice in answer["notices"]]
    return "\n".join(lines)


def registration_text(answer: Answer) -> str:
    """What a registration changed."""
    lines = [f"{what:10} {name}" for what, names in answer.items() for name in names]
    return "\n".join(lines) or "Nothing to register."


def incidents_text(incidents: Sequence[Answer]) -> str:
    """The open incidents: a line each, then its cause, what to do, and the next command."""
    if not incidents:
        return "No open incidents."
    return "\n".join(
        f"{i['incident']}  {i['severity']:8}  {i['rule']}: {_plain(i['group'] or 'everything')}  "
        f"{i['crashes']} {'ghost runs' if i['ghosts'] else 'crashes'} since "
        f"{i['first_crash_at']}, last {i['last_crash_at']}"
        + (f", notification {i['notified']}" if i.get("notified") in NOT_TOLD else "")
        + _why(i)
        for i in incidents
    )


def _why(incident: Answer) -> str:
    """What is known of the cause, an indented line each; nothing where nothing is."""
    told = {"Cause": "title", "Evidence": "evidence", "To do": "remedy", "Next": "command"}
    return "".join(
        f"\n    {word}: {_plain(incident[field])}"
        for word, field in told.items()
        if incident.get(field)
    )


def _act(act: Answer) -> str:
    why = f": {act['remark']}" if act["remark"] else ""
    return f"act: {act['kind']}, {act['result']}: {act['target_type']} {act['name']}{why}"


def silences_text(silences: Sequence[Answer]) -> str:
    """The silences, one line each."""
    if not silences:
        return "No silences."
    return "\n".join(
        f"{s['id']}  until {s['until']}  "
        + _plain(", ".join(f"{field}={pattern}" for field, pattern in s["matcher"].items()))
        + _plain(f"  {s['reason']} ({s['author']})")
        for s in silences
    )


def explanations_text(explanations: Sequence[Answer]) -> str:
    """Explanations, one after the other."""
    return "\n\n".join(_explanation(explanation) for explanation in explanations)


def ghosts_text(ghosts: Sequence[Answer]) -> str:
    """Ghosts as they are explained, with what was done about each."""
    return "\n\n".join(_ghost(ghost) for ghost in ghosts) or "No ghosts."


def _ghost(ghost: Answer) -> str:
    lines = [_explanation(ghost)]
    if ghost.get("marked"):
        lines.append("  MARKED as crashed")
    elif "marked" in ghost:
        lines.append(_plain(f"  not marked: {ghost['not_marked']}"))
    return "\n".join(lines)


def _explanation(answer: Answer) -> str:
    """What happened, why we think so, what to do, and the commands to do it with."""
    recovered = ", recovered since" if answer["recovered"] else ""
    cause = f": {answer['cause']}" if answer["cause"] else ""
    how_sure = f"({answer['severity']}, {answer['confidence']} confidence)"
    lines = [
        f"{answer['verdict'].upper()}{cause}{recovered}  {how_sure}",
        f"  run      {answer['flow_run_name'] or '(no name)'}  {answer['flow_run_id'] or ''}",
        f"  {answer['title']}",
        f"  {answer['summary']}",
        *(_evidence(item) for item in answer["evidence"]),
        *(f"  to do: {text}" for text in answer["remediation"]),
        *(f"  $ {command}" for command in answer["commands"]),
    ]
    return "\n".join(_plain(line).rstrip() for line in lines)


def _evidence(item: Answer) -> str:
    return f"  {item['source']:10} {item['at'] or '':32}  {one_line(item['text'], EVIDENCE_LENGTH)}"


def notes_of(bundle: Answer) -> list[str]:
    """What a capture left out; a bundle from a file may hold anything there."""
    notes = bundle.get("notes")
    return (
        [one_line(str(note), EVIDENCE_LENGTH) for note in notes] if isinstance(notes, list) else []
    )


def bundle_text(bundle: Answer) -> str:
    """A bundle as it stands in a file."""
    return json.dumps(bundle, ensure_ascii=False, indent=1, allow_nan=False)


def written_text(path: Path) -> Callable[[Answer], str]:
    """What was written to a file."""

    def text(bundle: Answer) -> str:
        counts = (f"{len(bundle[what])} {what}" for what in ("states", "logs", "events"))
        return f"Wrote {path}: {', '.join(counts)}."

    return text


def _counts(counts: Mapping[str, int]) -> list[str]:
    shown = list(counts.items())[:NAMES_SHOWN]
    lines = [f"  {number:6}  {_plain(name) or '(none)'}" for name, number in shown]
    left = len(counts) - len(shown)
    return [*lines, f"          and {left} more"] if left else lines


def _plain(text: str) -> str:
    """A name as one printable line: names come from users, terminals obey escape codes."""
    return "".join(char if char.isprintable() else " " for char in text)
