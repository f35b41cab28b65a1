"""Runs the parts that a cycle can do without: each gives its value, or a reason for having none.

The ledger and the crashes are required; a failure there ends the cycle, and the next one does its
work. Everything else must never keep a crash from being counted: not a refused permission, not a
limit of the plan, not a slow database, not a defect of our own in a part that is only nice to have.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Awaitable
from typing import TypeVar

from prefect_crash_monitor.errors import MonitorError
from prefect_crash_monitor.redaction.redact import redact

T = TypeVar("T")

SECONDS = 100.0
"""All parts of a cycle together. The flow ends itself after 240 s, and a request that is not
answered takes two minutes with its retries. Too low: a large, slow server shows no ghosts and no
causes. Too high: a hanging part leaves no time to count."""

REASON_LENGTH = 400

_log = logging.getLogger(__name__)


class Parts:
    """The optional parts of one cycle, and why some of them gave nothing."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._ends = asyncio.get_running_loop().time() + seconds
        self._reasons: list[str] = []

    @property
    def reasons(self) -> tuple[str, ...]:
        """A sentence for each part that failed so far, redacted, for the report."""
        return tuple(self._reasons)

    async def take(self, what: str, part: Awaitable[T], otherwise: T) -> T:
        """The value of a part; `otherwise`, and a reason, where it fails or takes too long.

        Args:
            what: Begins the reason, as "Failed runs were not read".
            part: What to wait for. It must leave nothing half done that a repetition would not
                repair: it is cancelled when the time is up.
            otherwise: What stands for "unknown".
        """
        try:
            async with asyncio.timeout_at(self._ends):
                return await part
        except MonitorError as error:
            self._fail(what, str(error))
        except TimeoutError:
            self._fail(what, f"The optional parts of a cycle have {SECONDS:.0f} s in all.")
        # A defect in a side part must not stop the count: it is reported, with its traceback.
        except Exception as error:  # noqa: BLE001
            _log.warning("%s", redact(traceback.format_exc()))
            self._fail(
                what,
                f"{type(error).__name__}: {error}. This is an error of the monitor itself: "
                "please report it.",
            )
        return otherwise

    def _fail(self, what: str, why: str) -> None:
        reason = redact(f"{what}: {why}"[:REASON_LENGTH])
        self._reasons.append(reason)
        _log.warning("%s", reason)
