"""One piece of work in a process of its own, so that its peak memory is its own.

Run as `python -m bench.work` with a task as JSON on standard input; prints a measurement as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from bench.memory import peak_kib
from prefect_crash_monitor.config.policy import Policy
from prefect_crash_monitor.count.count import count, record_json
from prefect_crash_monitor.model.interval import Window
from prefect_crash_monitor.observe.read_crash_events import state_events
from prefect_crash_monitor.observe.read_crashes import observe
from prefect_crash_monitor.observe.read_event_pages import count_events
from prefect_crash_monitor.prefect_api.client import Api, open_api

Json = dict[str, Any]


async def measured(task: Json) -> Json:
    """The costs of a task, beside the floor: one bare question for the number of its crashes."""
    since, until = (datetime.fromisoformat(task[key]) for key in ("since", "until"))
    window, now = Window(since, until), datetime.fromisoformat(task["now"])
    async with open_api() as api:
        work = WORK[task["kind"]](api, window, now)
        await work.prepare()
        floor_times = [await _seconds(lambda: _floor(api, window)) for _ in range(task["rounds"])]
        requests, received = api.requests, api.bytes_received
        start = time.perf_counter()
        answer = await work.run()
        took = time.perf_counter() - start
        return {
            "requests": api.requests - requests,
            "bytes": api.bytes_received - received,
            "seconds": took,
            "floor_seconds": sorted(floor_times)[len(floor_times) // 2],
            "peak_kib": peak_kib(),
            "answer": answer,
        }


class Counting:
    """`crash-monitor count`."""

    def __init__(self, api: Api, window: Window, now: datetime) -> None:
        self._api, self._window, self._now = api, window, now

    async def prepare(self) -> None:
        """Nothing to prepare."""

    async def run(self) -> Json:
        """The record of the window."""
        seen = await observe(self._api, self._window, now=self._now, settle=Policy().settle)
        return record_json(count(seen, self._window, counted_at=self._now))


class Cycling:
    """A whole monitoring cycle over one interval, not the first one of its monitor."""

    def __init__(self, api: Api, window: Window, _now: datetime) -> None:
        self._api, self._window = api, window

    async def prepare(self) -> None:
        """The cycle before, which also registers what a monitor has on the server."""
        await self._cycle(self._window.start)

    async def run(self) -> Json:
        """The record of the interval."""
        return await self._cycle(self._window.end)

    async def _cycle(self, end: datetime) -> Json:
        # Imported here, so that the memory of a count is that of a count.
        from prefect_crash_monitor.config.read_policy import Settings
        from prefect_crash_monitor.cycle.run_cycle import run_cycle
        from prefect_crash_monitor.model.own import Place

        settings = Settings(name=f"bench-{self._window.start:%d-%H-%M}", policy=Policy())
        result = await run_cycle(self._api, settings, Place(), end + settings.policy.settle)
        return record_json(result.record)


WORK: dict[str, Callable[[Api, Window, datetime], Counting | Cycling]] = {
    "count": Counting,
    "cycle": Cycling,
}


async def _floor(api: Api, window: Window) -> None:
    await count_events(api, state_events(window, ["CRASHED"]))


async def _seconds(work: Callable[[], Awaitable[None]]) -> float:
    start = time.perf_counter()
    await work()
    return time.perf_counter() - start


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measured(json.load(sys.stdin)))))
