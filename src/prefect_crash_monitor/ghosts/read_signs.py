"""Which ghosts have shown something since what proves them, for all of them in two requests.

A ghost that is certain costs nothing more while nothing is heard of it. One that lives after all
logs, sends events or beats sooner or later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from prefect_crash_monitor.explain.evidence.attempt import HEARTBEAT_EVENT, LOGGERS_OF_THE_RUN
from prefect_crash_monitor.explain.liveness import LAST_WORDS
from prefect_crash_monitor.ghosts.ghost import Ghost
from prefect_crash_monitor.model.interval import moment
from prefect_crash_monitor.observe.read_flow_runs import Json
from prefect_crash_monitor.prefect_api.answers import rows, whole_answer
from prefect_crash_monitor.prefect_api.client import Api

ASKED_AT_ONCE = 200
LOG_LINES, EVENTS = 200, 50
"""Most that Prefect gives at once. The newest come first, so that those that go on show up."""

READ_BACK = timedelta(days=1)
"""What was logged before that was read when the ghost was looked at."""

SKEW = timedelta(hours=1)
"""A clock that is behind dates what it sends into the past."""

TELLING = (
    HEARTBEAT_EVENT,
    "prefect.flow-run.pull",
    "prefect.task-run.",
    "prefect.kubernetes.pod.",
)
"""Events of a run itself, of its tasks, and of its pods, which may tell of its end, too."""


async def heard_of(api: Api, ghosts: Sequence[Ghost], now: datetime) -> set[str]:
    """Ids of the ghosts of which there is something newer than what proves them."""
    heard: set[str] = set()
    for at in range(0, len(ghosts), ASKED_AT_ONCE):
        asked = {ghost.flow_run_id: ghost for ghost in ghosts[at : at + ASKED_AT_ONCE]}
        proved = min(ghost.proved_at for ghost in asked.values())
        since = max(proved, now - READ_BACK)
        told = [*await _logs(api, asked, since), *await _events(api, asked, since - SKEW, now)]
        heard |= {run for run, when in told if when > asked[run].proved_at + LAST_WORDS}
    return heard


async def _logs(
    api: Api, asked: Mapping[str, Ghost], since: datetime
) -> list[tuple[str, datetime]]:
    filter_ = {
        "flow_run_id": {"any_": sorted(asked)},
        "timestamp": {"after_": since.isoformat()},
    }
    body = {"logs": filter_, "limit": LOG_LINES, "sort": "TIMESTAMP_DESC"}
    lines = rows(await api.post("/logs/filter", body), "logs of flow runs")
    with whole_answer("logs of flow runs"):
        return [
            (line["flow_run_id"], moment(line["timestamp"]))
            for line in lines
            if line["name"] in LOGGERS_OF_THE_RUN and line["flow_run_id"] in asked
        ]


async def _events(
    api: Api, asked: Mapping[str, Ghost], since: datetime, now: datetime
) -> list[tuple[str, datetime]]:
    filter_ = {
        "event": {"prefix": list(TELLING)},
        "any_resource": {"id": [f"prefect.flow-run.{id_}" for id_ in sorted(asked)]},
        "occurred": {"since": since.isoformat(), "until": now.isoformat()},
        "order": "DESC",
    }
    page = await api.post("/events/filter", {"filter": filter_, "limit": EVENTS})
    with whole_answer("events of flow runs"):
        return [
            (run, max(moment(event["occurred"]), moment(event.get("received", event["occurred"]))))
            for event in page["events"]
            for run in _about(event)
            if run in asked
        ]


def _about(event: Json) -> set[str]:
    about = (event["resource"], *event["related"])
    return {one["prefect.resource.id"].removeprefix("prefect.flow-run.") for one in about}
