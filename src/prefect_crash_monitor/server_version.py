"""Whether the server's Prefect answers what the count asks; an old one leaves crashes out.

Before 3.1.7 a server on SQLite looks for an event's label as a path of JSON without quotes: a label
whose name has a dot or a hyphen, such as `prefect.state-type`, is never found. It answers an empty
list, which looks like a server where nothing crashed.
"""

from __future__ import annotations

import re

from prefect_crash_monitor.api import Api

OLDEST_EXACT = (3, 1, 7)
"""The first release whose count was equal to the truth; 3.1.6 found no crash by its event."""

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


def gaps_of(version: str) -> tuple[str, ...]:
    """What a version hides; nothing where it is no version, or Prefect Cloud's."""
    numbers = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    if numbers is None or tuple(map(int, numbers.groups())) >= OLDEST_EXACT:
        return ()
    oldest = ".".join(map(str, OLDEST_EXACT))
    return (
        f"the server runs Prefect {numbers[0]}: before {oldest} it finds no crash by its event on "
        "SQLite, so crashes of runs that were retried or deleted are missing. Upgrade the server "
        f"to {oldest} or later, and count again",
    )
