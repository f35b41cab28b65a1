"""Reads what explains crashes, within a budget of requests, and remembers what was explained.

Logs are read for many runs in one request (200 lines at most, whatever the number of runs): all
levels of runs that never started, which have few lines, and warnings and above of the others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from prefect_crash_monitor.explain.sampling import (
    UNKNOWN,
    Explained,
    FirstLook,
    Read,
    exemplars,
    first_look,
    second_look,
    told_again,
)
from prefect_crash_monitor.model.crash import Crash, Diagnosis
from prefect_crash_monitor.observe.read_flow_runs import side_by_side
from prefect_crash_monitor.prefect_api.answers import whole_answer
from prefect_crash_monitor.prefect_api.client import Api

LOOKED_AT = 100
"""Runs looked at in one cycle: at most 6 requests for logs and 2 for events."""

WARNING = 30
LINES = 200
"""Most log lines that Prefect gives at once."""

STARTED_AT_ONCE, NEVER_STARTED_AT_ONCE = 50, 20
"""Runs that share the lines of one request; a run that never started has about ten in all."""

EVENTS_AT_ONCE = 50
EARLIER = timedelta(hours=1)
"""How long before the first crash its telling events may lie: a pod that could not start."""

TELLING_EVENTS = ["prefect.flow-run.pull-step.failed", "prefect.kubernetes.pod."]


Line = Mapping[str, Any]


async def explain_crashes(
    api: Api,
    crashes: Sequence[Crash],
    known: Mapping[str, Diagnosis],
    *,
    settled_before: datetime,
) -> Explained:
    """The diagnosis of each crash; no request where messages or earlier cycles tell enough.

    `known` are diagnoses of earlier cycles by mark. What was unknown is looked at again, since
    logs arrive late; a crash from before `settled_before` has been judged and keeps its
    fingerprint.
    """
    look = first_look(_open(crashes, known, settled_before))
    chosen = exemplars(look, LOOKED_AT)
    read = await _read(api, chosen) if chosen else {}
    return _explained(crashes, known, look, read, settled_before=settled_before)


def explain_unread(
    crashes: Sequence[Crash], known: Mapping[str, Diagnosis], *, settled_before: datetime
) -> Explained:
    """As `explain_crashes`, by messages and earlier cycles alone, where nothing can be read."""
    look = first_look(_open(crashes, known, settled_before))
    return _explained(crashes, known, look, {}, settled_before=settled_before)


def _explained(
    crashes: Sequence[Crash],
    known: Mapping[str, Diagnosis],
    look: FirstLook,
    read: Mapping[str, Read],
    *,
    settled_before: datetime,
) -> Explained:
    before = {c.state_id: known[m] for c in crashes if (m := c.mark) in known}
    new = second_look(look, read)
    kept = {c.state_id: told_again(before[c.state_id], c) for c in crashes if c.state_id not in new}
    settled = {c.state_id for c in crashes if c.at < settled_before}
    new = {
        id_: replace(diagnosis, fingerprint=before[id_].fingerprint)
        if id_ in before and id_ in settled
        else diagnosis
        for id_, diagnosis in new.items()
    }
    return Explained(
        diagnoses={**kept, **new},
        unclear=len(look.unclear),
        looked_at=len(read),
        unread=frozenset() if read else frozenset(c.state_id for c in look.unclear),
    )


def _open(
    crashes: Sequence[Crash], known: Mapping[str, Diagnosis], settled_before: datetime
) -> list[Crash]:
    """The crashes that are not explained yet, or whose logs may have arrived since."""
    before = {c.state_id: known[m] for c in crashes if (m := c.mark) in known}
    return [c for c in crashes if _is_worth_a_look(c, before, settled_before)]


def _is_worth_a_look(
    crash: Crash, before: Mapping[str, Diagnosis], settled_before: datetime
) -> bool:
    diagnosis = before.get(crash.state_id)
    return diagnosis is None or (diagnosis.cause == UNKNOWN and crash.at >= settled_before)


async def _read(api: Api, crashes: Sequence[Crash]) -> dict[str, Read]:
    """Logs and telling events of these runs, by state id."""
    started = _parts([c for c in crashes if c.run_count], STARTED_AT_ONCE)
    never = _parts([c for c in crashes if not c.run_count], NEVER_STARTED_AT_ONCE)
    logs: dict[str, list[Line] | None] = {}
    for found in [
        *await side_by_side(lambda part: logs_of(api, part, WARNING), started),
        *await side_by_side(lambda part: logs_of(api, part, 0), never),
    ]:
        logs |= found
    events: dict[str, list[Line]] = defaultdict(list)
    for pairs in await side_by_side(
        lambda part: _events(api, part), _parts(crashes, EVENTS_AT_ONCE)
    ):
        for run_id, event in pairs:
            events[run_id].append(event)
    return {
        c.state_id: Read(logs=logs[c.flow_run_id], events=events[c.flow_run_id]) for c in crashes
    }


async def logs_of(api: Api, crashes: Sequence[Crash], level: int) -> dict[str, list[Line] | None]:
    """The latest lines of each run at a level or above, in order.

    None where a run has no line among those read, and not all could be: noisy runs crowd the
    others out, and no line read is not the same as no line there.
    """
    runs = {crash.flow_run_id for crash in crashes}
    filter_ = {"flow_run_id": {"any_": sorted(runs)}, "level": {"ge_": level}}
    body = {"logs": filter_, "sort": "TIMESTAMP_DESC", "limit": LINES}
    lines = await api.post("/logs/filter", body)
    found: dict[str, list[Line]] = defaultdict(list)
    with whole_answer("logs of crashed runs"):
        for line in reversed(lines):
            found[line["flow_run_id"]].append(line)
    nothing: list[Line] | None = [] if len(lines) < LINES else None
    return {run: found.get(run, nothing) for run in runs}


async def _events(api: Api, crashes: Sequence[Crash]) -> list[tuple[str, Line]]:
    """Events that tell a cause, with the id of the run that they are about."""
    runs = {f"prefect.flow-run.{crash.flow_run_id}": crash.flow_run_id for crash in crashes}
    first = min(crash.at for crash in crashes)
    filter_ = {
        "event": {"prefix": TELLING_EVENTS},
        "any_resource": {"id": sorted(runs)},
        "occurred": {"since": (first - EARLIER).isoformat()},
        "order": "DESC",
    }
    page = await api.post("/events/filter", {"filter": filter_, "limit": 50})
    with whole_answer("events of crashed runs"):
        return [
            (runs[id_], event)
            for event in reversed(page["events"])
            for id_ in _resources(event)
            if id_ in runs
        ]


def _resources(event: Line) -> set[str]:
    resources = [event["resource"], *event["related"]]
    return {resource["prefect.resource.id"] for resource in resources}


def _parts(crashes: Sequence[Crash], size: int) -> list[Sequence[Crash]]:
    return [crashes[at : at + size] for at in range(0, len(crashes), size)]
