"""An API whose user dies in the middle of its work."""

from __future__ import annotations

from typing import Any

from prefect_crash_monitor.prefect_api.client import Api


class Killed(BaseException):
    """The process died: nothing that handles errors gets to see it."""


class MortalApi(Api):
    """Dies at its n-th request, before or after the server has done it."""

    def __init__(self, api: Api, dies_at: int, *, after: bool) -> None:
        super().__init__(api._client)
        self._left = dies_at
        self._after = after

    async def _send(self, method: str, path: str, **more: Any) -> Any:
        self._left -= 1
        if not self._left and not self._after:
            raise Killed
        answer = await super()._send(method, path, **more)
        if not self._left:
            raise Killed
        return answer
