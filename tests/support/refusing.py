"""An API that refuses one kind of request for ever, as a key without that right."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any

from prefect_crash_monitor.errors import Refused
from prefect_crash_monitor.prefect_api.client import Api

ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
NAMED = {"prefix", "type", "key", "name"}
"""Keys of a body whose values tell one kind of request from another."""

SENT = {"/events", "/automations/"}
"""Paths to which bodies of many shapes go: refused as a whole."""


def kind_of(method: str, path: str, body: object) -> str:
    """What a request asks for, without the ids, times and names that differ between monitors."""
    parts = [] if path in SENT else sorted(set(_parts(body)))
    return " ".join([method, ID.sub("ID", path), *parts])


def _parts(body: object, under: str = "") -> Iterator[str]:
    if isinstance(body, dict):
        for key, value in body.items():
            yield f"{under}{key}"
            if key in NAMED:
                yield from (f"{key}={word}" for word in _words(value))
            yield from _parts(value, f"{under}{key}.")
    elif isinstance(body, list):
        for item in body[:1]:
            yield from _parts(item, under)


def _words(value: object) -> list[str]:
    """The values that are the same for every monitor: those in front of the monitor's own name."""
    found = value.get("any_") if isinstance(value, dict) else value
    texts = found if isinstance(found, list) else [found]
    return [OWN.sub("", text) for text in texts if isinstance(text, str)]


OWN = re.compile(r"[.-]?refused-.*")
"""The names of the monitors in the test that refuses."""


class ListeningApi(Api):
    """Notes the kinds of requests, in order."""

    def __init__(self, api: Api) -> None:
        super().__init__(api._client)
        self.kinds: dict[str, None] = {}

    async def _send(self, method: str, path: str, **more: Any) -> Any:
        self.kinds[kind_of(method, path, more.get("body"))] = None
        return await super()._send(method, path, **more)


class RefusingApi(Api):
    """Refuses each request of a kind (403), and lets the others through."""

    def __init__(self, api: Api, refused: str) -> None:
        super().__init__(api._client)
        self._refused = refused
        self.refusals = 0

    async def _send(self, method: str, path: str, **more: Any) -> Any:
        if kind_of(method, path, more.get("body")) == self._refused:
            self.refusals += 1
            raise Refused(f"The Prefect API refuses {method} {path} (403).")
        return await super()._send(method, path, **more)


class OddApi(Api):
    """Answers each request of some kinds with what no Prefect answers, as a proxy may."""

    def __init__(self, api: Api, odd: Collection[str], answer: object) -> None:
        super().__init__(api._client)
        self._odd, self._answer = odd, answer

    async def _send(self, method: str, path: str, **more: Any) -> Any:
        if kind_of(method, path, more.get("body")) in self._odd:
            return self._answer
        return await super()._send(method, path, **more)
