"""The HTTP client of the tests: what a busy server refuses is asked again, as Prefect's does."""

from __future__ import annotations

import time
from typing import Any

import httpx

BUSY = {httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.TOO_MANY_REQUESTS}
TRIES = 120
PAUSE_SECONDS = 0.5


class Patient(httpx.Client):
    """Asks again for a minute; an answer may take as long as a SQLite that locks itself up."""

    def __init__(self, base_url: str = "", *, pause: float = PAUSE_SECONDS, **more: Any) -> None:
        super().__init__(base_url=base_url, timeout=300, **more)
        self._pause = pause

    def send(self, request: httpx.Request, **more: Any) -> httpx.Response:
        """The first answer that is not a refusal under load, or the last one."""
        for _ in range(TRIES - 1):
            try:
                answer = super().send(request, **more)
            except httpx.TransportError as error:
                if not _may_repeat(request, error):
                    raise
            else:
                if answer.status_code not in BUSY:
                    return answer
            time.sleep(self._pause)
        return super().send(request, **more)


def _may_repeat(request: httpx.Request, error: httpx.TransportError) -> bool:
    """Whether the server cannot have done it already, or doing it again changes nothing."""
    if isinstance(error, httpx.TimeoutException):
        return False  # five minutes of patience are over
    return isinstance(error, httpx.ConnectError) or request.method == "GET"
