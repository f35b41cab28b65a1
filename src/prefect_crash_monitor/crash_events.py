"""Reads the crash events of a window, whole: pages, proves the total, and says when it cannot.

Matched by label `prefect.state-type`, never by event name: the name follows the state's *name*,
which anyone may choose. Prefect 3.8 pages by plain offset without a tie-break and freezes the
total at the first page, so pages are made of time instead: each read begins where the last one
ended, and what is known already is dropped by id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any
from urllib.parse import parse_qs, urlsplit

from prefect_crash_monitor.api import Api
from prefect_crash_monitor.model import Crash, Window
from prefect_crash_monitor.reading import crash_of_event, moment, whole_answer
from prefect_crash_monitor.windows import TICK, equal_parts

PAGE = 50
"""Most events that Prefect gives at once."""

SLICE_TOTAL = 400
"""Above this many, a span is cut into slices that are read side by side."""

IN_FLIGHT = 4
"""Requests at once: one server process is CPU-bound, 2 to 4 are fastest and 16 hurt."""

LONGEST_QUERY = timedelta(days=1)
"""The label filter scans all events of its span: 2 s a day at a million runs, and PostgreSQL's
timeout is 10 s; Prefect Cloud takes 14 days at most."""

TRIES = 3
"""Readings of one window before its total counts as impossible to agree on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashEvents:
    """Crashes that events tell of, and whether the server's own total agrees."""

    crashes: tuple[Crash, ...]
    total: int
    """What the server says there are."""
    seen: int
    """Distinct events read, with those that only imitate a flow run's."""

    @property
    def agree(self) -> bool:
        """Whether nothing that the server counts was missed."""
        return self.seen >= self.total


async def read_crash_events(
    api: Api, window: Window, flow_run_ids: Iterable[str] = ()
) -> CrashEvents:
    """All crash events of a window, optionally only those of some flow runs.

    One request where there are at most 50 and the window is at most a day long.
    """
    reader = _Reader(api, tuple(flow_run_ids))
    for _ in range(TRIES):
        result = await reader.read(window)
        if result.agree:
            break
    return result


async def count_events(api: Api, filter_: Mapping[str, Any]) -> int:
    """How many events match; the cheapest of all event reads."""
    page = await api.post("/events/filter", {"filter": filter_, "limit": 0})
    with whole_answer("the number of events"):
        return int(page["total"])


async def first_event_at(api: Api, window: Window) -> datetime | None:
    """When the earliest flow run event of a window occurred."""
    body = {"filter": flow_run_events(window), "limit": 1}
    page = await api.post("/events/filter", body)
    with whole_answer("the earliest event"):
        return moment(page["events"][0]["occurred"]) if page["events"] else None


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


def crash_events(window: Window, flow_run_ids: Iterable[str] = ()) -> dict[str, Any]:
    """The filter for transitions into a state of type CRASHED, whatever the state's name."""
    resource: dict[str, Any] = {"labels": {"prefect.state-type": "CRASHED"}}
    if ids := [f"prefect.flow-run.{id_}" for id_ in flow_run_ids]:
        resource["id"] = ids
    return flow_run_events(window) | {"resource": resource}


class _Reader:
    """One reading of one window; keeps what it found between tries."""

    def __init__(self, api: Api, flow_run_ids: tuple[str, ...]) -> None:
        self._api = api
        self._flow_run_ids = flow_run_ids
        self._turns = asyncio.Semaphore(IN_FLIGHT)
        self._found: dict[str, Crash | None] = {}

    async def read(self, window: Window) -> CrashEvents:
        spans = equal_parts(window, ceil(window.length / LONGEST_QUERY)) or [window]
        single = len(spans) == 1
        totals = await asyncio.gather(*(self._read_span(span) for span in spans))
        total = sum(totals)
        if not single or total > PAGE:  # several requests: has anything come in meanwhile?
            counts = (self._count(span) for span in spans)
            total = sum(await asyncio.gather(*counts))
        crashes = [c for c in self._found.values() if c is not None and c.at in window]
        crashes.sort(key=lambda crash: (crash.at, crash.state_id))
        return CrashEvents(crashes=tuple(crashes), total=total, seen=len(self._found))

    async def _read_span(self, span: Window) -> int:
        """Reads a span, cutting it up as long as it holds much; returns its first total."""
        page = await self._page(span)
        total = int(page["total"])
        if total > SLICE_TOTAL and span.length > TICK * 1_000:
            slices = equal_parts(span, ceil(total / SLICE_TOTAL) + 1)
            await asyncio.gather(*(self._read_span(part) for part in slices))
        elif total > PAGE:
            await self._read_on(span, page)
        return total

    async def _read_on(self, span: Window, page: Mapping[str, Any]) -> None:
        """The rest of a span, each page beginning at the time at which the last one ended."""
        while len(page["events"]) == PAGE:
            last = moment(page["events"][-1]["occurred"])
            if last == moment(page["events"][0]["occurred"]):
                await self._read_instant(page)
                last += TICK
            if last >= span.end:
                return
            page = await self._page(Window(last, span.end))

    async def _read_instant(self, page: Mapping[str, Any]) -> None:
        """More than a page of events at the very same time: only Prefect's own tokens help."""
        instant = page["events"][0]["occurred"]
        while (link := page.get("next_page")) and page["events"][-1]["occurred"] == instant:
            # The link's host is the server's idea of itself, wrong behind a proxy: take the token.
            token = parse_qs(urlsplit(link).query)["page-token"][0]
            async with self._turns:
                page = await self._api.get("/events/filter/next", {"page-token": token})
            self._keep(page)

    async def _page(self, span: Window) -> Mapping[str, Any]:
        body = {"filter": crash_events(span, self._flow_run_ids), "limit": PAGE}
        async with self._turns:
            page: Mapping[str, Any] = await self._api.post("/events/filter", body)
        self._keep(page)
        return page

    async def _count(self, span: Window) -> int:
        async with self._turns:
            return await count_events(self._api, crash_events(span, self._flow_run_ids))

    def _keep(self, page: Mapping[str, Any]) -> None:
        with whole_answer("crash events"):
            int(page["total"])
            for event in page["events"]:
                self._found[event["id"]] = crash_of_event(event)
