"""Reads all events that match a filter, whole: pages, proves the total, and says when it cannot.

Prefect 3.8 pages by plain offset without a tie-break and freezes the total at the first page, so
pages are made of time instead: each read begins where the last one ended, and what is known
already is dropped by id. What happened at one time is read run by run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from prefect_crash_monitor.model.interval import TICK, Window, equal_parts, moment
from prefect_crash_monitor.prefect_api.answers import rows, whole_answer
from prefect_crash_monitor.prefect_api.client import Api

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

Event = Mapping[str, Any]
EventFilter = Callable[[Window], Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Events by id, and what the server says their number is."""

    events: Mapping[str, Event]
    total: int

    @property
    def agree(self) -> bool:
        """Whether nothing that the server counts was missed."""
        return len(self.events) >= self.total


async def read_events(api: Api, window: Window, filter_of: EventFilter) -> Reading:
    """All events of a window that match.

    One request where there are at most 50 and the window is at most a day long.
    """
    reader = _Reader(api, filter_of)
    for _ in range(TRIES):
        reading = await reader.read(window)
        if reading.agree:
            break
    return reading


async def count_events(api: Api, filter_: Mapping[str, Any]) -> int:
    """How many events match; the cheapest of all event reads."""
    page = await api.post("/events/filter", {"filter": filter_, "limit": 0})
    with whole_answer("the number of events"):
        return int(page["total"])


class _Reader:
    """One reading of one window; keeps what it found between tries."""

    def __init__(self, api: Api, filter_of: EventFilter) -> None:
        self._api = api
        self._filter_of = filter_of
        self._turns = asyncio.Semaphore(IN_FLIGHT)
        self._found: dict[str, Event] = {}

    async def read(self, window: Window) -> Reading:
        spans = equal_parts(window, ceil(window.length / LONGEST_QUERY)) or [window]
        single = len(spans) == 1
        totals = await asyncio.gather(*(self._read_span(span) for span in spans))
        total = sum(totals)
        if not single or total > PAGE:  # several requests: has anything come in meanwhile?
            counts = (self._count(span) for span in spans)
            total = sum(await asyncio.gather(*counts))
        return Reading(events=self._found, total=total)

    async def _read_span(self, span: Window) -> int:
        """Reads a span, cutting it up as long as it holds much; returns its first total."""
        page = await self._page(self._filter_of(span))
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
            first, last = (moment(page["events"][at]["occurred"]) for at in (0, -1))
            if last == first:
                await self._read_instant(last)
                last += TICK
            if last >= span.end:
                return
            page = await self._page(self._filter_of(Window(last, span.end)))

    async def _read_instant(self, at: datetime) -> None:
        """More than a page of events at the very same time, as a change of many runs at once makes.

        Read run by run: within one time PostgreSQL's offsets skip some and repeat others.
        """
        filter_ = self._filter_of(Window(at, at + TICK))
        async with self._turns:
            answer = await self._api.post("/events/count-by/resource", {"filter": filter_})
        with whole_answer("events by flow run"):
            ids = sorted({item["value"] for item in rows(answer, "events by flow run")})
        parts = [ids[index : index + PAGE] for index in range(0, len(ids), PAGE)]
        await asyncio.gather(*(self._read_resources(filter_, part) for part in parts))

    async def _read_resources(self, filter_: Mapping[str, Any], ids: Sequence[str]) -> None:
        """The events of some resources; of fewer at once where each has several."""
        of_these = {**filter_, "resource": {**filter_.get("resource", {}), "id": list(ids)}}
        page = await self._page(of_these)
        if int(page["total"]) > PAGE and len(ids) > 1:
            half = len(ids) // 2
            await self._read_resources(filter_, ids[:half])
            await self._read_resources(filter_, ids[half:])

    async def _page(self, filter_: Mapping[str, Any]) -> Mapping[str, Any]:
        async with self._turns:
            answer = await self._api.post("/events/filter", {"filter": filter_, "limit": PAGE})
        page: Mapping[str, Any] = answer
        with whole_answer("events"):
            int(page["total"])
            for event in page["events"]:
                moment(event["occurred"])
                self._found[event["id"]] = event
        return page

    async def _count(self, span: Window) -> int:
        async with self._turns:
            return await count_events(self._api, self._filter_of(span))
