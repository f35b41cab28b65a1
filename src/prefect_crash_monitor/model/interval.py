"""Spans of time: windows, the records of intervals, and arithmetic with them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from prefect_crash_monitor.model.codec import Moment


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A half-open span `[start, end)` on state timestamps."""

    start: Moment
    end: Moment

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment < self.end

    @property
    def length(self) -> timedelta:
        """How long the window is."""
        return self.end - self.start


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


TICK = timedelta(microseconds=1)
"""Prefect's resolution; its filters include both ends, so `end - TICK` makes a window half-open."""


def aligned(moment: datetime, interval: timedelta) -> datetime:
    """The latest clock boundary at or before a moment; intervals count from 1970 in UTC."""
    return moment - (moment - EPOCH) % interval


def equal_parts(window: Window, parts: int) -> list[Window]:
    """The window cut into equal, adjacent parts; fewer where a part would be empty."""
    step = max(window.length / parts, TICK)
    cuts = [window.start + step * index for index in range(parts)]
    cuts = [cut for cut in cuts if cut < window.end]
    return [Window(cut, after) for cut, after in zip(cuts, [*cuts[1:], window.end], strict=True)]


def moment(text: str) -> datetime:
    """An aware time of the API's JSON."""
    parsed = datetime.fromisoformat(text)
    if parsed.tzinfo is None:
        raise ValueError(f"time without an offset: {text}")
    return parsed
