"""What can go wrong, and what the person at the keyboard can do about it.

MonitorError
├── BadInput            exit 2: a time, name, policy or block that cannot be used as given
│   └── UnsuitableBlock   a block named in the policy is missing or is of the wrong type
├── NotThere            what was asked for by id or name does not exist on the server
└── ApiTrouble          exit 3: Prefect did not give a usable answer; the next cycle catches up
    ├── Unreachable       no connection, or no answer in time
    ├── Refused           401 or 403
    └── Failing           429 or 5xx after retries, or an answer that is not what was asked for
"""

from __future__ import annotations

__all__ = [
    "ApiTrouble",
    "BadInput",
    "Failing",
    "MonitorError",
    "NotThere",
    "Refused",
    "Unreachable",
    "UnsuitableBlock",
]


class MonitorError(Exception):
    """Root of all errors raised on purpose; the message says what to do."""

    exit_code = 1


class BadInput(MonitorError):
    """The input cannot be used; nothing was read or changed because of it."""

    exit_code = 2


class UnsuitableBlock(BadInput):
    """A block named in the policy does not exist, or cannot send notifications."""


class NotThere(MonitorError):
    """The server has no such object (404); whoever asked decides what that means."""

    exit_code = 2


class ApiTrouble(MonitorError):
    """The Prefect API gave no usable answer; nothing is lost, a later cycle catches up."""

    exit_code = 3


class Unreachable(ApiTrouble):
    """No connection to the Prefect API, or no answer in time."""


class Refused(ApiTrouble):
    """The Prefect API answered 401 or 403."""


class Failing(ApiTrouble):
    """The Prefect API answered 429 or 5xx after retries, or half an answer."""
