"""Which past intervals were never counted: before the monitor, and while it was away. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from prefect_crash_monitor.count.schedule import boundaries
from prefect_crash_monitor.errors import BadInput
from prefect_crash_monitor.model.interval import Window, aligned

LONGEST = timedelta(days=31)
"""Beyond the longest time for which a server keeps events by default there is little to count."""

READ_TOGETHER = timedelta(hours=1)
"""So much is read at once: an hour's crashes fit into a few requests, and what is counted of it is
kept should the rest fail."""


def uncounted(since: datetime, until: datetime, counted: Iterable[Window]) -> list[Window]:
    """The parts of a span that lie in no counted interval, oldest first."""
    left, start = [], since
    for window in sorted(counted):
        if start < min(window.start, until):
            left.append(Window(start, min(window.start, until)))
        start = max(start, window.end)
    return [*left, Window(start, until)] if start < until else left


def to_count(
    since: datetime, until: datetime, counted: Iterable[Window], interval: timedelta
) -> list[list[Window]]:
    """The intervals to count, as they are read together; from the one in which `since` lies.

    Raises:
        BadInput: a span that begins in the future, or too long ago.
    """
    if since >= until:
        raise BadInput(
            f"--since {since.isoformat()} is not before {until.isoformat()}, the end of the last "
            "interval that can be counted afterwards."
        )
    if until - since > LONGEST:
        earliest = until - LONGEST
        raise BadInput(
            f"--since {since.isoformat()} is more than {LONGEST.days} days ago; at the earliest "
            f"{earliest.isoformat()}."
        )
    gaps = uncounted(aligned(since, interval), until, counted)
    together = (part for gap in gaps for part in boundaries(gap, max(interval, READ_TOGETHER)))
    return [list(boundaries(part, interval)) for part in together]
