"""Ledgers that are damaged, forged, or of another version: what can be used of them is."""

from __future__ import annotations

import asyncio
import base64
import json
import zlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from tests.support.world import unique
from tests.test_ledger import GOOD, MINUTE, NOON, record, write_raw

from prefect_crash_monitor.config.actions import Mode
from prefect_crash_monitor.evaluate.rule_state import Memory
from prefect_crash_monitor.model.crash import Diagnosis
from prefect_crash_monitor.model.interval import Window
from prefect_crash_monitor.model.interval_record import IntervalRecord
from prefect_crash_monitor.notify.delivery.record import Delivery, Why
from prefect_crash_monitor.prefect_api.client import open_api
from prefect_crash_monitor.publish.events import MONITOR_LABEL, OutgoingEvent, interval_event
from prefect_crash_monitor.remediate.action import Act, ActKind
from prefect_crash_monitor.state.ledger import DAMAGED as DAMAGED_PARTS
from prefect_crash_monitor.state.ledger import VERSION, Ledger, enter, ledger_json, ledger_of
from prefect_crash_monitor.state.ledger_store import LARGEST, PACKED, UNUSABLE_IN_PART, LedgerStore

WHOLE = ledger_json(
    replace(GOOD, counted=enter(GOOD, [record(NOON)], horizon=NOON, now=NOON).counted)
)


def with_one(key: str, value: object) -> Mapping[str, object]:
    """A ledger with one field damaged."""
    return {**WHOLE, "watermark": (NOON + MINUTE).isoformat(), key: value}


DAMAGED = {
    "half of it": json.dumps(WHOLE)[:100],
    "nothing": "",
    "null": "null",
    "a list": "[]",
    "a number": "3",
    "no fields": "{}",
    "odd version": json.dumps(with_one("version", "one")),
    "odd time": json.dumps(with_one("watermark", "soon")),
    "time without offset": json.dumps(with_one("watermark", "2026-11-24T12:01:00")),
    "odd incident": json.dumps(with_one("incidents", ["x"])),
    "empty incident": json.dumps(with_one("incidents", [{}])),
    "odd interval": json.dumps(with_one("counted", ["x"])),
    "odd marks": json.dumps(with_one("counted", [{**WHOLE["counted"][0], "marks": 1}])),
    "odd diagnoses": json.dumps(with_one("diagnoses", ["x"])),
    "null for a list": json.dumps(with_one("outbox", None)),
}


@pytest.mark.server
@pytest.mark.parametrize("damaged", DAMAGED.values(), ids=DAMAGED)
async def test_a_damaged_ledger_is_passed_over(world, damaged):
    """The one before serves: a cycle is repeated, nothing is forgotten."""
    monitor = unique("damaged")
    async with open_api() as api:
        await LedgerStore(api, monitor).write(GOOD)
        write_raw(world, monitor, damaged)
        read = await LedgerStore(api, monitor).read(NOON)

    assert read == GOOD


@pytest.mark.server
async def test_one_that_is_whole_serves_before_a_later_one_that_is_not(world):
    """To repeat a cycle is harmless, to forget an incident is not; where none is whole, the latest
    serves without what is damaged."""
    monitor = unique("partly")
    later = ledger_json(replace(GOOD, watermark=NOON + MINUTE))
    partly = json.dumps({**later, "incidents": [*later["incidents"], {}]})
    async with open_api() as api:
        write_raw(world, monitor, partly)
        alone = await LedgerStore(api, monitor).read(NOON)
        await LedgerStore(api, monitor).write(GOOD)
        write_raw(world, monitor, partly)
        read = await LedgerStore(api, monitor).read(NOON)

    assert (alone, alone.notices) == (
        replace(GOOD, watermark=NOON + MINUTE),
        (f"{DAMAGED_PARTS}: 1 of incidents.",),
    )
    assert (read, read.notices) == (GOOD, (UNUSABLE_IN_PART,))


@pytest.mark.server
async def test_a_rebuild_passes_over_events_that_are_none_of_ours(world):
    """Anybody may send an event with our name: it must not stop every cycle."""
    monitor = unique("rebuilt")
    earlier = datetime.now(UTC) - 15 * MINUTE
    window = Window(earlier, earlier + 5 * MINUTE)
    counted = IntervalRecord(window=window, counted_at=window.end, fates={})
    ours = interval_event(counted, monitor=monitor, now=earlier + 5 * MINUTE).body()
    odd = {"x": 1}, {}, {**ours["payload"], "until": "soon"}, {**ours["payload"], "state_ids": 3}
    forged = [{**ours, "id": str(uuid4()), "payload": payload} for payload in odd]
    of_incident = {
        "resource": {"prefect.resource.id": "crash-monitor.incident.x", MONITOR_LABEL: monitor},
        "event": "crash-monitor.incident.opened",
        "payload": {"state": {"id": 3}},
    }
    world.post("/events", [ours, *forged, {**ours, "id": str(uuid4()), **of_incident}])
    async with open_api() as api:
        for _ in range(60):  # Prefect stores events a moment after it took them
            read = await LedgerStore(api, monitor).read(earlier + 10 * MINUTE)
            if read.counted:
                break
            await asyncio.sleep(0.5)

    assert [one.window for one in read.counted] == [window]
    assert read.incidents == ()


@pytest.mark.server
async def test_without_any_usable_one_it_is_empty(world):
    """No earlier ledger, no events: as at the first cycle ever."""
    monitor = unique("damaged")
    write_raw(world, monitor, "{}")
    async with open_api() as api:
        read = await LedgerStore(api, monitor).read(NOON)

    assert read == Ledger(monitor=monitor)


BOMB = PACKED + base64.b64encode(zlib.compress(b" " * (LARGEST + 1))).decode()


FORGED = {
    "newer version": (json.dumps({**WHOLE, "version": VERSION + 1}), "run the newer prefect-crash"),
    "counted to come": (
        json.dumps({**WHOLE, "watermark": (NOON + 180 * MINUTE).isoformat()}),
        "which is still to come",
    ),
    "nested deep": ("[" * 100_000, "damaged"),
    "a bomb": (BOMB, "damaged"),
}


@pytest.mark.server
@pytest.mark.parametrize(("forged", "why"), FORGED.values(), ids=FORGED)
async def test_a_ledger_that_anybody_may_have_written_stops_nothing(world, forged, why):
    """The one before serves, and the report says so; without one it is rebuilt, and that said."""
    monitor = unique("forged")
    good = replace(GOOD, monitor=monitor)
    async with open_api() as api:
        write_raw(world, monitor, forged)
        alone = await LedgerStore(api, monitor).read(NOON)
        await LedgerStore(api, monitor).write(good)
        write_raw(world, monitor, forged)
        read = await LedgerStore(api, monitor).read(NOON)

    assert (read, len(read.notices)) == (good, 1)
    assert why in read.notices[0]
    assert alone == Ledger(monitor=monitor)
    assert why in alone.notices[0]
    assert "begin anew" in alone.notices[1]


sample_event = OutgoingEvent(id=str(uuid4()), event="e", occurred=NOON, resource={"a": "b"}).body()


FULL = ledger_json(
    replace(
        GOOD,
        counted=enter(GOOD, [record(NOON)], horizon=NOON, now=NOON).counted,
        diagnoses={
            "0" * 12: Diagnosis(
                cause="k8s-evicted",
                confidence="high",
                fingerprint="f",
                title="Evicted",
                evidence="The node was low on memory",
                remedy="Set requests",
                command="prefect flow-run inspect {run}",
            )
        },
        deliveries=(
            Delivery(
                event_id="e",
                incident="i.1",
                kind="opened",
                subject="s",
                automation="a",
                receiver="r/x",
                told_at=NOON,
                why=Why.NOT_YET,
            ),
        ),
        outbox=(sample_event,),
        own_deployments=(str(uuid4()),),
        acts=(
            Act(
                id="a",
                kind=ActKind.PAUSED,
                mode=Mode.ACT,
                at=NOON,
                target="p",
                target_type="work-pool",
                name="p",
                why="i.1",
            ),
        ),
    )
)


def test_fields_of_a_later_version_are_left_out_everywhere():
    """Rolled back by a version, a monitor keeps all that it knows."""
    ledger = json.loads(json.dumps(FULL))
    for part in ("incidents", "deliveries", "ghosts", "acts", "counted", "diagnoses"):
        for item in ledger[part]:
            item["added_later"] = 1

    read = ledger_of(ledger)

    assert (ledger_json(read), read.notices) == (FULL, ())


OF_NO_USE = [
    ("counted", {**FULL["counted"][0], "crashed": None}),
    ("counted", {**FULL["counted"][0], "window": {"start": "soon", "end": "later"}}),
    ("incidents", {**FULL["incidents"][0], "opened_at": "0001-01-01T00:00:00Z"}),
    ("incidents", {**FULL["incidents"][0], "last_crash_at": "2026-11-24T12:00:00"}),
    ("incidents", {"id": 7}),
    ("deliveries", {**FULL["deliveries"][0], "why": "swallowed"}),
    ("acts", {**FULL["acts"][0], "mode": "rampage"}),
    ("ghosts", "boo"),
    ("outbox", {"id": "not an id"}),
    ("outbox", {**sample_event, "payload": {"nested": json.loads("[" * 90 + "]" * 90)}}),
    ("own_deployments", "' or 1 = 1"),
    ("diagnoses", {**FULL["diagnoses"][0], "marks": None}),
]


@pytest.mark.parametrize(("part", "item"), OF_NO_USE)
def test_of_a_list_only_what_is_damaged_is_lost(part, item):
    """And said; a time without an offset, or out of all reach, would end every cycle."""
    ledger = json.loads(json.dumps({**FULL, part: [*FULL[part], item]}))

    read = ledger_of(ledger)

    assert ledger_json(read) == FULL
    assert read.notices == (f"{DAMAGED_PARTS}: 1 of {part}.",)


def test_a_damaged_memory_is_begun_anew():
    """The streaks and rates go, and that is said; the incidents stay."""
    read = ledger_of({**json.loads(json.dumps(FULL)), "memory": {"streaks": 3}})

    assert (read.memory, read.incidents) == (Memory(), GOOD.incidents)
    assert read.notices == (f"{DAMAGED_PARTS}: 1 of memory.",)
