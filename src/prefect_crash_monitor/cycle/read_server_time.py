"""The time by which a cycle counts: ours, unless it is ahead of the server's."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from prefect_crash_monitor.config.read_policy import Settings
from prefect_crash_monitor.prefect_api.client import Api

NOTICED = timedelta(minutes=1)
"""A clock that is less ahead is corrected without a word: `settle` covers more than that."""


def by_the_server(api: Api, settings: Settings, now: datetime) -> tuple[Settings, datetime]:
    """The time to count by, and the settings with a notice where our clock is well ahead.

    To be called after at least one answer of the server: no request of its own. A clock that is
    behind needs nothing: what is not over by it, a later cycle counts.
    """
    then = api.not_ahead(now)
    if now - then < NOTICED:
        return settings, then
    notice = (
        f"The clock of this machine is {round((now - then).total_seconds())} s ahead of the "
        "server's, whose time was used. Set it by NTP."
    )
    return replace(settings, notices=(*settings.notices, notice)), then
