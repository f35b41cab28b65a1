"""Which spans of time there are to count: aligned to the clock, settled, each once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from prefect_crash_monitor.config.policy import Policy
from prefect_crash_monitor.model.interval import Window, aligned


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """The intervals to count now, oldest first, and what lies too far back."""

    windows: tuple[Window, ...] = ()
    left_out: Window | None = None


def due(watermark: datetime | None, now: datetime, policy: Policy) -> Due:
    """Every settled interval since the watermark, which is the end of the last one counted.

    Without a watermark (the first cycle ever) only the latest settled interval is due. What is
    older than `policy.catch_up` is left out, and named. A watermark off the boundaries (the
    interval was changed) makes the first interval a shorter one, so nothing is counted twice.
    """
    end = aligned(now - policy.settle, policy.interval)
    if watermark is None:
        return Due(windows=(Window(end - policy.interval, end),))
    oldest = aligned(end - policy.catch_up, policy.interval)
    if watermark < oldest:
        windows = tuple(boundaries(Window(oldest, end), policy.interval))
        return Due(windows=windows, left_out=Window(watermark, oldest))
    return Due(windows=tuple(boundaries(Window(watermark, end), policy.interval)))


def boundaries(window: Window, interval: timedelta) -> Iterator[Window]:
    """The window cut at every clock boundary; nothing where it is empty or reversed."""
    start = window.start
    while start < window.end:
        end = min(aligned(start, interval) + interval, window.end)
        yield Window(start, end)
        start = end
