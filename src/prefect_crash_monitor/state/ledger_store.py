"""Keeps the ledger on the Prefect server, as an artifact without a key.

Without a key it does not show among the user's artifacts, and each write is a new artifact: two
cycles at once cannot overwrite each other, the later watermark wins. A Variable would hold 5,000
characters only. What is lost is rebuilt from the events that the monitor itself published.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from prefect_crash_monitor.count.counted import Counted
from prefect_crash_monitor.errors import ApiTrouble, BadInput
from prefect_crash_monitor.model.codec import each_of, of_json
from prefect_crash_monitor.model.crash import mark
from prefect_crash_monitor.model.incident import Incident
from prefect_crash_monitor.model.interval import EPOCH, Window, moment
from prefect_crash_monitor.observe.read_event_pages import PAGE
from prefect_crash_monitor.prefect_api.answers import whole_answer
from prefect_crash_monitor.prefect_api.client import Api
from prefect_crash_monitor.publish.events import (
    INCIDENT_EVENTS,
    INCIDENT_RESOURCE,
    INTERVAL_COUNTED,
    MONITOR_LABEL,
    monitor_resource,
)
from prefect_crash_monitor.publish.write_artifacts import prune
from prefect_crash_monitor.state.ledger import Ledger, ledger_json, ledger_of

LEDGER_TYPE = "crash-monitor-ledger"
PLAIN = 100_000
"""Characters from which on a ledger is compressed; Prefect Cloud takes 5 MiB, and one after a
storm over 2,000 deployments has 16."""

PACKED = "zlib:"
READ = 5
"""Ledgers read at once; normally there are `KEPT` of them."""

KEPT = 2
"""The one before is kept: should the newest be damaged, a cycle is repeated, not the history."""

LARGEST = 64 * 2**20
"""Bytes that a ledger may unfold to: four times that of the largest storm seen. Without a bound a
few kilobytes may unfold to any size."""

AHEAD = timedelta(hours=1)
"""How far a watermark may be ahead of our clock: two machines differ, and so do test clocks."""

DAMAGE = (AttributeError, KeyError, TypeError, ValueError, RecursionError, zlib.error)

UNUSABLE = "A ledger on the server was not used:"
UNUSABLE_IN_PART = f"{UNUSABLE} parts of it are damaged."
REBUILT = (
    "The ledger was rebuilt from the monitor's own events: streaks, rates, ghosts, actions and "
    "known causes begin anew."
)

REBUILT_PAGES = 5
REBUILT_SPAN = timedelta(days=13)
"""Pages of events of a kind from which a lost ledger is rebuilt, and how far back they reach;
Prefect Cloud takes 14 days at most."""


class LedgerStore:
    """The ledgers of one monitor on one server."""

    def __init__(self, api: Api, monitor: str) -> None:
        self._api = api
        self._monitor = monitor
        self._stored: list[str] = []

    @property
    def _type(self) -> str:
        return f"{LEDGER_TYPE}.{self._monitor}"

    async def read(self, now: datetime) -> Ledger:
        """The ledger with the latest watermark; rebuilt, or empty, where there is none.

        One request, two more where it has to be rebuilt.
        """
        body = {
            "artifacts": {"type": {"any_": [self._type]}},
            "sort": "CREATED_DESC",
            "limit": READ,
        }
        artifacts = await self._api.post("/artifacts/filter", body)
        with whole_answer("the ledger"):
            self._stored = [artifact["id"] for artifact in artifacts]
        read = [_parsed(artifact, now) for artifact in artifacts]
        ledgers = [ledger for ledger in read if isinstance(ledger, Ledger)]
        refused = tuple(dict.fromkeys(reason for reason in read if isinstance(reason, str)))
        # To repeat a cycle is harmless, to forget an incident is not: one that is whole serves
        # before a later one of which parts are damaged.
        whole = [ledger for ledger in ledgers if not ledger.notices]
        if ledgers:
            ledger = max(whole or ledgers, key=lambda ledger: ledger.watermark or EPOCH)
            passed_over = (UNUSABLE_IN_PART,) if whole and len(whole) < len(ledgers) else ()
            return replace(ledger, notices=(*refused, *passed_over, *ledger.notices))
        rebuilt = await self._rebuild(now)
        said = (*refused, REBUILT) if rebuilt.counted or refused else ()
        return replace(rebuilt, notices=said)

    async def write(self, ledger: Ledger) -> None:
        """Stores the ledger, and removes the ones that it replaces.

        Once it is stored the cycle is done: what cannot be removed now, the next one removes.
        """
        body = {
            "type": self._type,
            "description": f"State of crash monitor {self._monitor}; it is rebuilt when deleted.",
            "data": packed(json.dumps(ledger_json(ledger))),
        }
        await self._api.post("/artifacts/", body)
        with suppress(ApiTrouble):
            for artifact in self._stored[KEPT - 1 :]:
                await self._api.delete(f"/artifacts/{artifact}")
            if len(self._stored) >= READ:  # some were left when deleting was refused
                await prune(
                    self._api, {"type": {"any_": [self._type]}}, keep=KEPT, is_ours=_is_anything
                )

    async def _rebuild(self, now: datetime) -> Ledger:
        """What the monitor's own events tell of what was counted, and of its incidents."""
        own = {"id": [monitor_resource(self._monitor)]}
        counted = await self._own_events([INTERVAL_COUNTED], own, now)
        incidents_of_all = {"id_prefix": [f"{INCIDENT_RESOURCE}."]}
        told = await self._own_events(sorted(INCIDENT_EVENTS.values()), incidents_of_all, now)
        with whole_answer("the monitor's own events"):
            states = [event["payload"].get("state") for event in told]
            payloads = [event["payload"] for event in counted]
        # Anyone may post such an event: what is none of ours is left out, and none of ours is of
        # an interval that is not over yet.
        latest = now + AHEAD
        intervals = [c for p in payloads if (c := _counted_of(p)) and c.window.end <= latest]
        intervals.sort(key=lambda c: (c.window, c.revision))
        by_window = {c.window: c for c in intervals}
        incidents: dict[str, Incident] = {}
        for incident in each_of(Incident, states)[0]:  # the latest first
            incidents.setdefault(incident.id, incident)
        ledger = Ledger(
            monitor=self._monitor,
            counted=tuple(by_window.values()),
            incidents=tuple(incidents.values()),
        )
        return replace(ledger, watermark=max((w.end for w in by_window), default=None))

    async def _own_events(
        self, names: Sequence[str], resource: Mapping[str, Any], now: datetime
    ) -> list[Mapping[str, Any]]:
        """The latest events of these names and this monitor, the latest first.

        By resource, which is indexed: a label is looked for in every event of the span, and on a
        large server that is not answered in time. So other monitors' are left out here, and as
        many pages are read as that takes, up to `REBUILT_PAGES`.
        """
        found: dict[str, Mapping[str, Any]] = {}
        until = now
        for _ in range(REBUILT_PAGES):
            filter_ = {
                "event": {"name": list(names)},
                "resource": dict(resource),
                "occurred": {
                    "since": (now - REBUILT_SPAN).isoformat(),
                    "until": until.isoformat(),
                },
                "order": "DESC",
            }
            page = await self._api.post("/events/filter", {"filter": filter_, "limit": PAGE})
            with whole_answer("the monitor's own events"):
                events = page["events"]
                for event in events:
                    if event["resource"].get(MONITOR_LABEL) == self._monitor:
                        found[event["id"]] = event
                if len(events) < PAGE or len(found) >= PAGE:
                    break
                until = moment(events[-1]["occurred"])
        return list(found.values())


def packed(text: str) -> str:
    """The text, compressed where it is long: a storm's events are alike."""
    if len(text) <= PLAIN:
        return text
    return PACKED + base64.b64encode(zlib.compress(text.encode())).decode()


def unpacked(text: str) -> str:
    """The text of what was packed.

    Raises:
        ValueError, zlib.error: when it is damaged, or grows beyond `LARGEST`.
    """
    if not text.startswith(PACKED):
        return text
    inflate = zlib.decompressobj()
    data = inflate.decompress(base64.b64decode(text.removeprefix(PACKED)), LARGEST)
    if not inflate.eof:
        raise ValueError("it is cut off, or larger than any ledger")
    return data.decode()


def _parsed(artifact: Mapping[str, Any], now: datetime) -> Ledger | str:
    """The ledger of an artifact, or why it is none, so that an older one serves.

    Anyone who may write artifacts may write one that looks like ours.
    """
    try:
        ledger: Ledger = ledger_of(json.loads(unpacked(artifact["data"])))
    except (*DAMAGE, BadInput) as error:
        return f"{UNUSABLE} {error if isinstance(error, BadInput) else 'it is damaged'}."
    if (ledger.watermark or EPOCH) > now + AHEAD:
        return (
            f"{UNUSABLE} it has counted until {ledger.watermark}, which is still to come. Was the "
            "clock of a machine that ran the monitor ahead?"
        )
    return ledger


def _is_anything(_key: str) -> bool:
    return True


def _counted_of(payload: Mapping[str, Any]) -> Counted | None:
    """The interval of an event's payload; None where it is not as ours are."""
    try:
        return Counted(
            window=of_json(Window, {"start": payload["since"], "end": payload["until"]}),
            crashed=int(payload["crashed"]),
            complete=bool(payload["complete"]),
            revision=int(payload["revision"]),
            marks=frozenset(mark(id_) for id_ in payload["state_ids"]),
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
