"""Runs that failed: no crashes and not counted as such, but some of them are told of beside.

A data column that is missing, a child that crashed, a run that an old worker could not submit and
called Failed: whoever reads of crashes looks for these as well. Errors of the flows' own code are
only numbered.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from prefect_crash_monitor.explain.sampling import UNKNOWN, Logs, diagnosis_of_failure
from prefect_crash_monitor.model.crash import Crash, Diagnosis
from prefect_crash_monitor.model.own import is_own

OWN_CODE = frozenset({UNKNOWN, "user-exception"})
"""Causes of which there is nothing more to tell than what the run itself says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """Failed runs of one cause, the latest standing for them."""

    number: int
    deployments: int
    latest: Crash
    """The event of the failure, read like a crash."""
    why: Diagnosis


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """The failed runs of a window."""

    failed: int = 0
    """All that the server counts, without the monitor's own among those looked at."""
    looked_at: int = 0
    """The latest of them."""
    told: tuple[Failures, ...] = ()
    """By cause, the most frequent first."""


def beside(
    failed: int,
    latest: Sequence[Crash],
    logs: Mapping[str, Logs | None],
    own_deployments: Collection[str] = (),
) -> Beside:
    """What there is to tell of failed runs, of which the `latest` were read, and some `logs`."""
    looked_at = [run for run in latest if not is_own(run, own_deployments)]
    causes: dict[str, list[tuple[Crash, Diagnosis]]] = defaultdict(list)
    for run in sorted(looked_at, key=lambda run: (run.at, run.state_id), reverse=True):
        why = diagnosis_of_failure(run, logs.get(run.flow_run_id))
        if why.cause not in OWN_CODE:
            causes[why.cause].append((run, why))
    told = [
        Failures(
            number=len(found),
            deployments=len({run.deployment or run.flow for run, _ in found}),
            latest=found[0][0],
            why=found[0][1],
        )
        for _, found in sorted(causes.items(), key=lambda item: (-len(item[1]), item[0]))
    ]
    own = len(latest) - len(looked_at)
    return Beside(failed=failed - own, looked_at=len(looked_at), told=tuple(told))
