"""Whether Prefect still has the events of a window: a deleted event is no quiet time.

The retention leaves a sharp edge, before which there are no changes of state at all; an event
persister that is off leaves none anywhere. Settings alone do not tell (they may have changed), so
the runs are asked: where they moved, there must be events.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from prefect_crash_monitor.model.interval import EPOCH, Window
from prefect_crash_monitor.observe.read_crash_events import transitions
from prefect_crash_monitor.observe.read_event_pages import count_events
from prefect_crash_monitor.observe.read_flow_runs import any_changed_before, any_changed_except
from prefect_crash_monitor.observe.read_missing_events import SEEN_PER_QUERY
from prefect_crash_monitor.prefect_api.client import Api

RETENTION_CHECKED_FROM = timedelta(hours=3)
"""Windows that begin longer ago are checked for events that Prefect has already deleted, as are
those that are longer than a quiet start: a retention may be of an hour."""

QUIET_START = timedelta(minutes=5)
"""A window whose first event is later than this may have lost its beginning to the retention."""

LOOKED_BACK = (timedelta(days=1), timedelta(days=30))
"""How far before a window an event proves that the retention has not reached it; the nearer
first, as it costs less."""


def may_be_cut(window: Window, now: datetime) -> bool:
    """Whether the retention may have reached the window; not for one of the usual intervals."""
    return now - window.start > RETENTION_CHECKED_FROM or window.length > QUIET_START


def unread_span(window: Window, first: datetime | None, *, cut: bool) -> Window | None:
    """The part of a window without events that asks for an explanation.

    `first` is when its earliest change of state occurred.
    """
    if first is None:
        return window
    if cut and first - window.start > QUIET_START:
        return Window(window.start, first)
    return None


async def uncovered(
    api: Api, window: Window, unread: Window, explained: Collection[str], *, cut: bool
) -> tuple[str, ...]:
    """Why an unread span is a gap; nothing where it was merely quiet.

    `explained` are the runs in it whose lost crashes were found. Up to 5 requests.
    """
    if len(explained) > SEEN_PER_QUERY:
        return _no_events(unread)
    if cut and not await _events_before(api, unread):
        # Nothing is left from before. Only where nothing ran before is that the beginning.
        ran = await any_changed_before(api, unread.end, explained)
        return _no_events(unread) if ran else ()
    if unread == window and await any_changed_except(api, unread, explained):
        return _no_events(unread)
    return ()


async def _events_before(api: Api, unread: Window) -> bool:
    end = unread.start
    for back in LOOKED_BACK:
        start = max(unread.start, EPOCH + back) - back
        if start < end and await count_events(api, transitions(Window(start, end))):
            return True
        end = start
    return False


def _no_events(unread: Window) -> tuple[str, ...]:
    gap = (
        f"flow runs started or ended before {unread.end.isoformat()}, but Prefect has no events "
        f"from {unread.start.isoformat()} to then: the window is older than the server's event "
        "retention (PREFECT_SERVER_EVENTS_RETENTION_PERIOD, 7 days by default), or its event "
        "persister is off. Crashes that were retried since are missing"
    )
    return (gap,)
