"""The metric `prefect.flow_run.crash`, through the OpenTelemetry API that Prefect brings along.

Without an SDK set up by the user nothing happens. A counter has no identity per crash: it is
added to once the ledger is written, so a crash is counted at most once per cycle that succeeds,
and a cycle killed in the last moment leaves it out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from opentelemetry import metrics

from prefect_crash_monitor.model.crash import Crash

METRIC = "prefect.flow_run.crash"
EXPORT_MILLIS = 2_000


def add_crashes(crashes: Iterable[Crash]) -> None:
    """Adds each crash, by flow, deployment, work pool and state name."""
    counter = metrics.get_meter("prefect_crash_monitor").create_counter(
        METRIC,
        unit="{flow_run}",
        description="Total number of flow runs that crashed unexpectedly",
    )
    numbers = Counter((c.flow, c.deployment, c.work_pool, c.state_name) for c in crashes)
    for (flow, deployment, work_pool, state_name), number in numbers.items():
        counter.add(
            number,
            {
                "prefect.flow": flow,
                "prefect.deployment": deployment,
                "prefect.work_pool": work_pool,
                "prefect.state_name": state_name,
            },
        )
    # A cycle's process ends soon after: a periodic exporter would not get to it.
    flush = getattr(metrics.get_meter_provider(), "force_flush", None)
    if flush is not None and numbers:
        flush(EXPORT_MILLIS)
