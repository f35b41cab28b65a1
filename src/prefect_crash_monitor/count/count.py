"""Count: from what was observed to the record of an interval."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any

from prefect_crash_monitor.model.crash import Crash, Diagnosis, Fate, Observation, Source
from prefect_crash_monitor.model.interval import Window
from prefect_crash_monitor.model.interval_record import IntervalRecord
from prefect_crash_monitor.model.own import is_own

GROUPINGS: Mapping[str, Callable[[Crash], str]] = {
    "deployment": lambda crash: crash.deployment,
    "flow": lambda crash: crash.flow,
    "work_pool": lambda crash: crash.work_pool,
    "state_name": lambda crash: crash.state_name,
}
"""What `by` tells; an empty name means that the run has none."""


def count(
    observation: Observation,
    window: Window,
    *,
    counted_at: datetime,
    own_deployments: Collection[str] = (),
    revision: int = 0,
    diagnoses: Mapping[str, Diagnosis] | None = None,
) -> IntervalRecord:
    """The record of one window within the observed one; by cause only where `diagnoses` are given.

    A gap of the observation is a gap of each record made of it: which of its windows is short
    cannot be known.
    """
    groupings = dict(GROUPINGS)
    if diagnoses is not None:
        groupings["cause"] = lambda crash: diagnoses[crash.state_id].cause
    inside = [crash for crash in observation.crashes if crash.at in window]
    ours = [crash for crash in inside if not is_own(crash, own_deployments)]
    fates = Counter(observation.outcomes[crash.state_id].fate for crash in ours)
    sources = Counter(crash.source for crash in ours)
    return IntervalRecord(
        window=window,
        counted_at=counted_at,
        gaps=observation.gaps,
        fates={fate: fates[fate] for fate in Fate},
        in_process_subflows=sum(crash.in_process for crash in ours),
        monitor_crashed=len(inside) - len(ours),
        sources={source: sources[source] for source in Source},
        by={name: dict(Counter(map(of, ours)).most_common()) for name, of in groupings.items()},
        state_ids=tuple(crash.state_id for crash in ours),
        revision=revision,
    )


def record_json(record: IntervalRecord) -> dict[str, Any]:
    """The record as `crash-monitor count --json` prints it; all keys always there."""
    return {
        "since": record.window.start.isoformat(),
        "until": record.window.end.isoformat(),
        "complete": record.complete,
        "gaps": list(record.gaps),
        "counted_at": record.counted_at.isoformat(),
        "crashed": record.crashed,
        **{str(fate): number for fate, number in record.fates.items()},
        "in_process_subflows": record.in_process_subflows,
        "monitor_crashed": record.monitor_crashed,
        "sources": {str(source): number for source, number in record.sources.items()},
        "by": {name: dict(counts) for name, counts in record.by.items()},
        "revision": record.revision,
    }
