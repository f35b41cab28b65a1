"""The filters for crash events, and the crashes that they tell of.

Matched by label `prefect.state-type`, never by event name: the name follows the state's *name*,
which anyone may choose.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from prefect_crash_monitor.model.crash import Crash
from prefect_crash_monitor.model.interval import TICK, Window, moment
from prefect_crash_monitor.observe.outcomes import CRASHED
from prefect_crash_monitor.observe.parse_crash import (
    Doubt,
    crash_of_event,
    deployment_name,
    doubt_of,
)
from prefect_crash_monitor.observe.read_event_pages import LONGEST_QUERY, read_events
from prefect_crash_monitor.prefect_api.answers import whole_answer
from prefect_crash_monitor.prefect_api.client import Api

HEARTBEAT = "prefect.flow-run.heartbeat"


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashEvents:
    """Crashes that events tell of, and whether the server's own total agrees."""

    crashes: tuple[Crash, ...]
    total: int
    """What the server says there are."""
    seen: int
    """Distinct events read, with those that only imitate a flow run's."""
    doubts: Mapping[str, Doubt] = field(default_factory=dict)
    """By state id, where there is one; a run's history decides."""

    @property
    def agree(self) -> bool:
        """Whether nothing that the server counts was missed."""
        return self.seen >= self.total


async def read_crash_events(
    api: Api, window: Window, flow_run_ids: Iterable[str] = ()
) -> CrashEvents:
    """All crash events of a window, optionally only those of some flow runs."""
    ids = tuple(flow_run_ids)
    span = await _inhabited(api, window)
    if span is None:
        return CrashEvents(crashes=(), total=0, seen=0)
    reading = await read_events(api, span, lambda part: state_events(part, [CRASHED], ids))
    with whole_answer("crash events"):
        crashes = [crash_of_event(event) for event in reading.events.values()]
        doubts = {id_: doubt_of(event) for id_, event in reading.events.items()}
    inside = [crash for crash in crashes if crash is not None and crash.at in window]
    inside.sort(key=lambda crash: (crash.at, crash.state_id))
    return CrashEvents(
        crashes=tuple(inside),
        total=reading.total,
        seen=len(reading.events),
        doubts={id_: doubt for id_, doubt in doubts.items() if doubt is not Doubt.NONE},
    )


async def _inhabited(api: Api, window: Window) -> Window | None:
    """The window from its first event on, so that one of many years costs no request a day."""
    if window.length <= LONGEST_QUERY:
        return window
    first = await first_event_at(api, flow_run_events(window))
    return None if first is None else Window(max(first, window.start), window.end)


async def first_event_at(api: Api, filter_: Mapping[str, Any]) -> datetime | None:
    """When the earliest event that matches occurred."""
    page = await api.post("/events/filter", {"filter": filter_, "limit": 1})
    with whole_answer("the earliest event"):
        return moment(page["events"][0]["occurred"]) if page["events"] else None


async def deployment_in_events(api: Api, deployment_id: str) -> str:
    """A deployment's name as events of its runs tell it, also where it is deleted; else empty."""
    filter_ = {
        "event": {"prefix": ["prefect.flow-run."]},
        "related": {"id": [f"prefect.deployment.{deployment_id}"]},
        "order": "DESC",
    }
    page = await api.post("/events/filter", {"filter": filter_, "limit": 1})
    with whole_answer("events of a deployment"):
        return deployment_name(page["events"][0]) if page["events"] else ""


def transitions(window: Window) -> dict[str, Any]:
    """The filter for changes of state, whose retention is one: signs of life may be kept longer."""
    filter_ = flow_run_events(window)
    return filter_ | {"event": {**filter_["event"], "exclude_name": [HEARTBEAT]}}


def flow_run_events(window: Window) -> dict[str, Any]:
    """The filter for all state and other events of flow runs in a window."""
    return {
        "event": {"prefix": ["prefect.flow-run."]},
        "occurred": {
            "since": window.start.isoformat(),
            "until": (window.end - TICK).isoformat(),
        },
        "order": "ASC",
    }


def state_events(
    window: Window, types: Sequence[str], flow_run_ids: Iterable[str] = ()
) -> dict[str, Any]:
    """The filter for transitions into states of these types, whatever the states' names."""
    resource: dict[str, Any] = {"labels": {"prefect.state-type": list(types)}}
    if ids := [f"prefect.flow-run.{id_}" for id_ in flow_run_ids]:
        resource["id"] = ids
    return flow_run_events(window) | {"resource": resource}
