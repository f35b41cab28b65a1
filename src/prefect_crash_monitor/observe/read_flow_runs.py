"""Reads of flow runs and their states: what became of crashes, and crashes without an event.

Offsets are used only with sort `ID_DESC`, the one unique key among Prefect's sorts, over windows
that are past.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from prefect_crash_monitor.model.interval import TICK, Window, moment
from prefect_crash_monitor.observe.outcomes import CRASHED
from prefect_crash_monitor.observe.read_event_pages import IN_FLIGHT
from prefect_crash_monitor.prefect_api.answers import rows, whole_answer
from prefect_crash_monitor.prefect_api.client import Api

PAGE = 200
"""Most flow runs that Prefect gives at once."""

OVERLAP = 20
"""Flow runs read again with the next page: so many may be retried meanwhile and leave the list
without moving others past us."""

CHANGED_TYPES = ["RUNNING", "COMPLETED", "FAILED", "CANCELLED", "CRASHED", "CANCELLING", "PAUSED"]

Item = TypeVar("Item")
Result = TypeVar("Result")
Json = Mapping[str, Any]


async def side_by_side(
    work: Callable[[Item], Awaitable[Result]], items: Iterable[Item]
) -> list[Result]:
    """The results in order, with a few requests in flight."""
    turns = asyncio.Semaphore(IN_FLIGHT)

    async def one(item: Item) -> Result:
        async with turns:
            return await work(item)

    return await asyncio.gather(*(one(item) for item in items))


async def runs_by_id(api: Api, ids: Collection[str]) -> dict[str, Json]:
    """The flow runs that still exist, in one request per 200."""
    wanted = sorted(ids)
    chunks = [wanted[at : at + PAGE] for at in range(0, len(wanted), PAGE)]

    async def read(chunk: Sequence[str]) -> list[Json]:
        body = {"flow_runs": {"id": {"any_": chunk}}, "limit": PAGE, "sort": "ID_DESC"}
        return rows(await api.post("/flow_runs/filter", body), "flow runs")

    found = await side_by_side(read, chunks)
    with whole_answer("flow runs"):
        return {run["id"]: run for page in found for run in page}


async def crashed_runs_except(api: Api, window: Window, seen: Collection[str]) -> list[Json]:
    """Runs that are CRASHED and ended in the window, without those already seen."""
    filter_ = {
        "state": {"type": {"any_": [CRASHED]}},
        "end_time": within(window),
        "id": {"not_any_": sorted(seen)},
    }
    return await all_runs(api, filter_, "crashed flow runs")


async def all_runs(api: Api, filter_: Json, what: str) -> list[Json]:
    """All flow runs that match, one request for 200; the list may change while it is read."""
    found: dict[str, Json] = {}
    page: list[Json] = [{}] * PAGE
    offset = 0
    while len(page) == PAGE:
        body = {"flow_runs": filter_, "limit": PAGE, "sort": "ID_DESC", "offset": offset}
        page = rows(await api.post("/flow_runs/filter", body), what)
        offset += PAGE - OVERLAP
        with whole_answer(what):
            found |= {run["id"]: run for run in page}
    return list(found.values())


async def count_changed(api: Api, window: Window) -> int:
    """Runs that started, ended, or should have started in the window; one request."""
    span = within(window)
    filter_ = {"operator": "or_", "start_time": span, "end_time": span}
    return await _count(api, filter_)


async def any_changed_except(api: Api, window: Window, known: Collection[str]) -> bool:
    """Whether runs really started or ended in the window, beside some that are known."""
    # One operator per sub-filter: any_ and not_any_ together are ignored (Prefect 3.8.8).
    others = {"id": {"not_any_": sorted(known)}, "state": {"type": {"any_": CHANGED_TYPES}}}
    ended = await _count(api, {"end_time": within(window), **others})
    return ended > 0 or await _count(api, {"start_time": within(window), **others}) > 0


async def any_changed_before(api: Api, end: datetime, known: Collection[str]) -> bool:
    """Whether runs really started at any time before, beside some that are known."""
    started = {"start_time": {"before_": (end - TICK).isoformat()}}
    others = {"id": {"not_any_": sorted(known)}, "state": {"type": {"any_": CHANGED_TYPES}}}
    return await _count(api, {**started, **others}) > 0


async def crashed_states(api: Api, run_id: str) -> list[Json]:
    """All states of type CRASHED that a run ever had, each with the attempts begun by then.

    Empty where the run is deleted.
    """
    states = rows(await api.get("/flow_run_states/", {"flow_run_id": run_id}), "states")
    with whole_answer("states of a flow run"):
        begun = [moment(state["timestamp"]) for state in states if state["type"] == "RUNNING"]
        return [
            {**state, "run_count": sum(at < moment(state["timestamp"]) for at in begun)}
            for state in states
            if state["type"] == CRASHED
        ]


def now_crashed(run: Json) -> bool:
    """Whether a run is in a CRASHED state."""
    return bool(run.get("state")) and run["state"].get("type") == CRASHED


async def named(api: Api, what: str, ids: Collection[str]) -> dict[str, Json]:
    """Flows or deployments by id; what was deleted is left out."""
    wanted = sorted(ids)
    found: dict[str, Json] = {}
    for at in range(0, len(wanted), PAGE):
        body = {what: {"id": {"any_": wanted[at : at + PAGE]}}, "limit": PAGE}
        page = rows(await api.post(f"/{what}/filter", body), what)
        with whole_answer(what):
            found |= {item["id"]: item for item in page}
    return found


def within(window: Window) -> dict[str, str]:
    """The window as Prefect's time filters take it, both ends included."""
    return {"after_": window.start.isoformat(), "before_": (window.end - TICK).isoformat()}


async def _count(api: Api, filter_: Json) -> int:
    number = await api.post("/flow_runs/count", {"flow_runs": filter_})
    with whole_answer("the number of flow runs"):
        return int(number)
