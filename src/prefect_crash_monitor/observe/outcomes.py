"""What became of crashed runs: from a crash and its run as it is now to one of four fates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from prefect_crash_monitor.model.crash import Crash, Fate, Outcome

CRASHED = "CRASHED"
WAITING_TYPES = frozenset({"SCHEDULED", "PENDING"})
"""A run that waits for its retry has not recovered yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunNow:
    """A flow run as the server has it at the moment."""

    id: str
    state_id: str
    state_type: str
    state_at: datetime
    run_count: int = 0


def fates(
    crashes: Iterable[Crash], runs: Mapping[str, RunNow], later: Mapping[str, datetime]
) -> dict[str, Outcome]:
    """The outcome of each crash, by state id.

    `later` has the latest crash known of a run, also beyond the crashes given.
    """
    crashes = list(crashes)
    latest = dict(later)
    for crash in crashes:
        latest[crash.flow_run_id] = max(latest.get(crash.flow_run_id, crash.at), crash.at)
    return {
        crash.state_id: _outcome(crash, runs.get(crash.flow_run_id), latest[crash.flow_run_id])
        for crash in crashes
    }


def _outcome(crash: Crash, run: RunNow | None, latest: datetime) -> Outcome:
    """Deleted comes first, then the very state, then a later crash, then what the run does now."""
    if run is None:
        return Outcome(fate=Fate.DELETED)
    if run.state_id == crash.state_id:
        return Outcome(fate=Fate.STILL_CRASHED)
    if latest > crash.at or run.state_type == CRASHED:
        return Outcome(fate=Fate.SUPERSEDED)
    if run.state_type in WAITING_TYPES:
        return Outcome(fate=Fate.STILL_CRASHED)
    return Outcome(fate=Fate.RECOVERED, recovered_at=run.state_at)
