"""Reads the runs that failed in a window: the latest of many, by their events.

One request, and one for logs where messages say too little.
"""

from __future__ import annotations

from collections.abc import Collection

from prefect_crash_monitor.api import Api
from prefect_crash_monitor.beside import Beside, beside
from prefect_crash_monitor.crash_events import state_events
from prefect_crash_monitor.diagnose import failure_needs_logs
from prefect_crash_monitor.event_pages import PAGE
from prefect_crash_monitor.explaining import WARNING, logs_of
from prefect_crash_monitor.model import Window
from prefect_crash_monitor.reading import crash_of_event, whole_answer


async def read_failures(api: Api, window: Window, own_deployments: Collection[str]) -> Beside:
    """What the latest failures of a window tell, and how many there are."""
    filter_ = state_events(window, ["FAILED"]) | {"order": "DESC"}
    page = await api.post("/events/filter", {"filter": filter_, "limit": PAGE})
    with whole_answer("failed runs"):
        found = [run for event in page["events"] if (run := crash_of_event(event))]
        unclear = [run for run in found if failure_needs_logs(run)]
        logs = await logs_of(api, unclear, WARNING) if unclear else {}
        return beside(int(page["total"]), found, logs, own_deployments)
