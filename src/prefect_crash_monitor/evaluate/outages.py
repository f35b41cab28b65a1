"""Outages: a cause that explains other crashes, which are its symptoms.

When Prefect's API or its database fails, or a pool's image or code storage is not there, some
crashes say so, and others at the same time say only that a process ended. Told one by one they
would be many incidents of one problem.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from prefect_crash_monitor.model.crash import Crash, Diagnosis

SAYING_NOTHING = frozenset(
    {
        "base-exception-group",
        "concurrency-lease-lost",
        "exited-before-running-other",
        "never-reached-api",
        "process-exit-general-error",
        "runtime-cancelled",
        "unknown",
        "zombie-marked",
    }
)
"""Causes that are what is left to see of many things."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A kind of outage: what tells of it, and what else it makes crash."""

    title: str
    roots: frozenset[str]
    symptoms: frozenset[str] = SAYING_NOTHING
    in_pool: bool = False
    """Whether it hits one work pool, not everything."""

    def name(self, crash: Crash) -> str:
        """The group of its incident; a pool's outage needs a pool."""
        if not self.in_pool:
            return self.title
        return f"{self.title}: work pool {crash.work_pool}" if crash.work_pool else ""


OUTAGES = (
    Outage(
        title="an outage of the Prefect API or its database",
        roots=frozenset(
            {
                "api-rate-limited-429",
                "api-server-error-5xx",
                "database-connections-exhausted",
                "request-to-api-failed",
            }
        ),
    ),
    Outage(
        title="refused access to the Prefect API",
        roots=frozenset({"api-auth-or-workspace"}),
        in_pool=True,
    ),
    Outage(
        title="an outage of image or code storage",
        roots=frozenset(
            {
                "flow-code-storage-unavailable",
                "k8s-image-pull-error",
                "pull-step-failed",
            }
        ),
        symptoms=frozenset({"exited-before-running-other", "k8s-container-failed-before-start"}),
        in_pool=True,
    ),
    Outage(
        title="lost nodes",
        roots=frozenset({"k8s-node-lost", "k8s-node-shutdown"}),
        symptoms=frozenset({"k8s-evicted", "k8s-pod-lost-while-running", "zombie-marked"}),
        in_pool=True,
    ),
)

OF_ROOT: Mapping[str, Outage] = {root: outage for outage in OUTAGES for root in outage.roots}


def is_root(crash: Crash, diagnoses: Mapping[str, Diagnosis]) -> bool:
    """Whether a crash itself tells of an outage."""
    return _cause(crash, diagnoses) in OF_ROOT


def outages(
    crashes: Sequence[Crash], diagnoses: Mapping[str, Diagnosis], within: timedelta
) -> dict[str, list[Crash]]:
    """The crashes of each outage: those that tell of it, and its symptoms at most `within` away.

    `crashes` are sorted by time, and so are those of each outage.
    """
    told: dict[str, list[Crash]] = defaultdict(list)
    for crash in crashes:
        if (outage := OF_ROOT.get(_cause(crash, diagnoses))) and (name := outage.name(crash)):
            told[name].append(crash)
    found = {}
    for name, roots in told.items():
        outage = OF_ROOT[_cause(roots[0], diagnoses)]
        near = _near([crash.at for crash in roots], within)
        symptoms = (
            crash
            for crash in crashes
            if _cause(crash, diagnoses) in outage.symptoms
            and outage.name(crash) == name
            and near(crash.at)
        )
        found[name] = _by_time([*roots, *symptoms])
    return found


def _cause(crash: Crash, diagnoses: Mapping[str, Diagnosis]) -> str:
    diagnosis = diagnoses.get(crash.state_id)
    return diagnosis.cause if diagnosis else ""


def _near(times: Sequence[datetime], within: timedelta) -> Callable[[datetime], bool]:
    """Whether a moment is at most `within` away from one of these times, which are sorted."""

    def near(moment: datetime) -> bool:
        after = bisect_left(times, moment)
        return any(abs(time - moment) <= within for time in times[max(after - 1, 0) : after + 1])

    return near


def _by_time(crashes: Iterable[Crash]) -> list[Crash]:
    return sorted(crashes, key=lambda crash: (crash.at, crash.state_id))
