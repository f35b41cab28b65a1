"""When crashed runs got going again: by the events of their next attempt, not by today's state.

A run that is COMPLETED an hour after its crash may have been RUNNING again within a minute. The
judge has to know, and has to decide the same whenever it is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from prefect_crash_monitor.model.crash import Fate, Observation, Outcome
from prefect_crash_monitor.model.interval import TICK, Window, moment
from prefect_crash_monitor.observe.parse_crash import FLOW_RUN_RESOURCE
from prefect_crash_monitor.observe.read_crash_events import state_events
from prefect_crash_monitor.observe.read_event_pages import read_events
from prefect_crash_monitor.prefect_api.answers import whole_answer
from prefect_crash_monitor.prefect_api.client import Api

GOING_AGAIN = ("RUNNING", "COMPLETED", "FAILED", "CANCELLED")
RUNS_PER_QUERY = 50


async def date_recoveries(api: Api, observation: Observation, grace: timedelta) -> Observation:
    """The observation with the true time of recoveries that might lie within the grace.

    No request where no run recovered, or each is known to have done so in time.
    """
    unclear = [
        crash
        for crash in observation.crashes
        if _later_than(observation.outcomes[crash.state_id], crash.at + grace)
    ]
    outcomes = dict(observation.outcomes)
    for at in range(0, len(unclear), RUNS_PER_QUERY):
        part = unclear[at : at + RUNS_PER_QUERY]
        span = Window(min(c.at for c in part), max(c.at for c in part) + grace + TICK)
        times = await _going_again(api, span, [crash.flow_run_id for crash in part])
        for crash in part:
            after = [time for time in times.get(crash.flow_run_id, ()) if time > crash.at]
            if after:
                recovered = min(after)
                outcomes[crash.state_id] = replace(outcomes[crash.state_id], recovered_at=recovered)
    return replace(observation, outcomes=outcomes)


async def _going_again(api: Api, span: Window, run_ids: list[str]) -> Mapping[str, list[datetime]]:
    """When runs entered a state of work or of an end, by flow run id."""
    reading = await read_events(api, span, lambda part: state_events(part, GOING_AGAIN, run_ids))
    times: dict[str, list[datetime]] = {}
    with whole_answer("the next attempts of crashed runs"):
        for event in reading.events.values():
            run = FLOW_RUN_RESOURCE.fullmatch(event["resource"]["prefect.resource.id"])
            if run is not None:
                times.setdefault(run[1], []).append(moment(event["occurred"]))
    return times


def _later_than(outcome: Outcome, limit: datetime) -> bool:
    return (
        outcome.fate is Fate.RECOVERED
        and outcome.recovered_at is not None
        and outcome.recovered_at > limit
    )
