"""Whether the server's Prefect answers what the count asks; an old one leaves crashes out.

Before 3.1.7 a server on SQLite looks for an event's label as a path of JSON without quotes: a label
whose name has a dot or a hyphen, such as `prefect.state-type`, is never found. It answers an empty
list, which looks like a server where nothing crashed.
"""

from __future__ import annotations

import re

from prefect_crash_monitor.prefect_api.client import Api

OLDEST_EXACT = (3, 1, 7)
"""The first release whose count was equal to the truth; 3.1.6 found no crash by its event."""

OLDEST_TO_REGISTER = (3, 4, 7)
"""The first release whose automations have tags."""

_exact: set[str] = set()
"""The APIs that were seen to be new enough; an old one is asked again, as it may be upgraded."""


async def gaps_of_version(api: Api) -> tuple[str, ...]:
    """What the server's version hides, as gaps of a view; one request for each API and process.

    A version that cannot be read hides nothing.
    """
    if api.url in _exact:
        return ()
    version = await api.server_version()
    gaps = gaps_of(version)
    if version and not gaps:
        _exact.add(api.url)
    return gaps


async def too_old_for_automations(api: Api) -> str:
    """Why nothing can be registered there; empty where the version is not the reason."""
    version = await api.server_version()
    if _at_least(version, OLDEST_TO_REGISTER):
        return ""
    oldest = ".".join(map(str, OLDEST_TO_REGISTER))
    return (
        f"The server runs Prefect {version}, whose automations have no tags; the monitor knows its "
        f"own by theirs. Upgrade the server to {oldest} or later. Until then crashes are counted "
        "and reported, and nobody is notified."
    )


def _at_least(version: str, oldest: tuple[int, ...]) -> bool:
    """Whether a version is new enough; what is none, or Prefect Cloud's, is taken for it."""
    numbers = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    return numbers is None or tuple(map(int, numbers.groups())) >= oldest


def gaps_of(version: str) -> tuple[str, ...]:
    """What a version hides; nothing where it is no version, or Prefect Cloud's."""
    if _at_least(version, OLDEST_EXACT):
        return ()
    oldest, found = ".".join(map(str, OLDEST_EXACT)), version.partition("+")[0]
    return (
        f"the server runs Prefect {found}: before {oldest} it finds no crash by its event on "
        "SQLite, so crashes of runs that were retried or deleted are missing. Upgrade the server "
        f"to {oldest} or later, and count again",
    )
