"""The table artifact `crash-runs`: one row a crash, plain cells, the same columns in each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from prefect_crash_monitor.model.crash import Crash, Diagnosis, Fate, Outcome
from prefect_crash_monitor.text.format import stamp
from prefect_crash_monitor.text.sanitize import one_line

FATE_WORDS = {
    Fate.STILL_CRASHED: "still crashed",
    Fate.SUPERSEDED: "crashed again",
    Fate.RECOVERED: "recovered",
    Fate.DELETED: "deleted",
}
NAME, MESSAGE = 120, 300


def crash_rows(
    crashes: Sequence[Crash],
    outcomes: Mapping[str, Outcome],
    diagnoses: Mapping[str, Diagnosis] = MappingProxyType({}),
    *,
    limit: int,
) -> list[dict[str, str]]:
    """The newest crashes, newest first; a row that says so where there are none.

    Prefect takes the columns from the first row, so an empty table would have none.
    """
    newest = sorted(crashes, key=lambda crash: (crash.at, crash.state_id), reverse=True)
    rows = [
        _row(crash, outcomes[crash.state_id], diagnoses.get(crash.state_id))
        for crash in newest[:limit]
    ]
    return rows or [{"time (UTC)": "no crashes in this interval"}]


def cause_of(diagnosis: Diagnosis | None) -> str:
    """The cause as a table shows it: with a question mark where it is a guess."""
    if diagnosis is None:
        return ""
    doubtful = diagnosis.confidence == "low" and diagnosis.cause != "unknown"
    return f"{diagnosis.cause}{' ?' if doubtful else ''}"


def _row(crash: Crash, outcome: Outcome, diagnosis: Diagnosis | None) -> dict[str, str]:
    return {
        "time (UTC)": stamp(crash.at),
        "flow run": one_line(crash.flow_run_name, NAME),
        "deployment": one_line(crash.deployment or crash.flow, NAME),
        "cause": cause_of(diagnosis),
        "state": one_line(crash.state_name, NAME),
        "now": FATE_WORDS[outcome.fate],
        "attempt": str(crash.run_count) if crash.run_count else "never started",
        "work pool": one_line(crash.work_pool, NAME),
        "work queue": one_line(crash.work_queue, NAME),
        "message": one_line(crash.message, MESSAGE),
        "subflow": "in its parent"
        if crash.dies_with_parent
        else "of another run"
        if crash.in_process
        else "",
        "flow run id": crash.flow_run_id,
        "state id": crash.state_id,
        "found by": "event" if crash.source == "events" else "flow run (its event is lost)",
    }
