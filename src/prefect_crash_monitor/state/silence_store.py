"""Keeps silences on the Prefect server: one artifact without a key for each.

One for each, so that two people who add silences at the same time cannot undo each other's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from prefect_crash_monitor.errors import BadInput
from prefect_crash_monitor.evaluate.silences import Silence, of_json
from prefect_crash_monitor.model.codec import to_json
from prefect_crash_monitor.prefect_api.answers import whole_answer
from prefect_crash_monitor.prefect_api.client import Api

SILENCE_TYPE = "crash-monitor-silence"
PAGE = 200
"""Silences read at once; Prefect gives no more."""

PAGES = 10
"""Pages read. Of 2,000 silences the newest count; those that are over are removed."""


class SilenceStore:
    """The silences of one monitor on one server."""

    def __init__(self, api: Api, monitor: str) -> None:
        self._api = api
        self._type = f"{SILENCE_TYPE}.{monitor}"

    async def read(self, now: datetime) -> tuple[Silence, ...]:
        """Those that are not over yet, the first to end first; one request for each 200."""
        found = [silence for _, silence in await self._stored() if silence is not None]
        current = (silence for silence in found if silence.until > now)
        return tuple(sorted(current, key=lambda silence: (silence.until, silence.id)))

    async def add(self, silence: Silence, now: datetime) -> None:
        """Stores a silence; removes those that are over."""
        body = {
            "type": self._type,
            "description": f"Silence of crash monitor: {silence.reason}"[:200],
            "data": json.dumps(to_json(Silence, silence)),
        }
        await self._api.post("/artifacts/", body)
        for artifact, stored in await self._stored():
            if stored is not None and stored.until <= now:
                await self._api.delete(f"/artifacts/{artifact}")

    async def remove(self, silence_id: str) -> None:
        """Ends a silence now.

        Raises:
            BadInput: there is none of this id.
        """
        stored = await self._stored()
        ids = [a for a, silence in stored if silence is not None and silence.id == silence_id]
        if not ids:
            known = ", ".join(sorted(s.id for _, s in stored if s is not None)) or "none"
            raise BadInput(f"There is no silence {silence_id}; there are: {known}.")
        for artifact in ids:
            await self._api.delete(f"/artifacts/{artifact}")

    async def _stored(self) -> list[tuple[str, Silence | None]]:
        """Artifacts and their silences; None for one that cannot be read."""
        found: dict[str, Silence | None] = {}
        for page in range(PAGES):
            body = {
                "artifacts": {"type": {"any_": [self._type]}},
                "sort": "CREATED_DESC",
                "limit": PAGE,
                "offset": page * PAGE,
            }
            artifacts = await self._api.post("/artifacts/filter", body)
            with whole_answer("the silences"):
                found |= {artifact["id"]: _parsed(artifact) for artifact in artifacts}
            if len(artifacts) < PAGE:
                break
        return list(found.items())


def _parsed(artifact: Mapping[str, Any]) -> Silence | None:
    try:
        return of_json(json.loads(artifact["data"]))
    except (KeyError, TypeError, ValueError, AttributeError, BadInput):
        return None
