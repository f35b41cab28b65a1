"""Reads the runs that failed in a window: the latest of many, by their events.

One request, and one for logs where messages say too little.
"""

from __future__ import annotations

from collections.abc import Collection

from prefect_crash_monitor.explain.failed_runs import Beside, beside
from prefect_crash_monitor.explain.read_evidence import WARNING, logs_of
from prefect_crash_monitor.explain.sampling import failure_needs_logs
from prefect_crash_monitor.model.interval import Window
from prefect_crash_monitor.observe.parse_crash import crash_of_event
from prefect_crash_monitor.observe.read_crash_events import state_events
from prefect_crash_monitor.observe.read_event_pages import PAGE
from prefect_crash_monitor.prefect_api.answers import whole_answer
from prefect_crash_monitor.prefect_api.client import Api


async def read_failures(api: Api, window: Window, own_deployments: Collection[str]) -> Beside:
    """What the latest failures of a window tell, and how many there are."""
    filter_ = state_events(window, ["FAILED"]) | {"order": "DESC"}
    page = await api.post("/events/filter", {"filter": filter_, "limit": PAGE})
    with whole_answer("failed runs"):
        found = [run for event in page["events"] if (run := crash_of_event(event))]
        unclear = [run for run in found if failure_needs_logs(run)]
        logs = await logs_of(api, unclear, WARNING) if unclear else {}
        return beside(int(page["total"]), found, logs, own_deployments)
