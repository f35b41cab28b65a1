"""The ledger: it survives its JSON and stays bounded; a damaged one is passed over."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.world import World, unique

from prefect_crash_monitor.count.corrections import correctable, found_late
from prefect_crash_monitor.count.counted import SERIES_KEPT, Counted, late, vanished
from prefect_crash_monitor.model.crash import Crash, Diagnosis, Fate
from prefect_crash_monitor.model.incident import Incident
from prefect_crash_monitor.model.interval import Window
from prefect_crash_monitor.model.interval_record import IntervalRecord
from prefect_crash_monitor.notify.delivery.record import Delivery, Why
from prefect_crash_monitor.prefect_api.client import open_api
from prefect_crash_monitor.publish.events import OutgoingEvent
from prefect_crash_monitor.state.ledger import (
    CLOSED_KEPT,
    Ledger,
    enter,
    ledger_json,
    ledger_of,
    mark,
)
from prefect_crash_monitor.state.ledger_store import (
    KEPT,
    LEDGER_TYPE,
    LedgerStore,
    packed,
    unpacked,
)

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

times = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))
names = st.text(max_size=20)
numbers = st.integers(0, 10**6)
counts = st.dictionaries(names, numbers, max_size=3)
marks = st.text("0123456789abcdef", min_size=12, max_size=12)
incidents = st.builds(
    Incident,
    id=marks,
    episode=numbers,
    rule=names,
    scope=names,
    group=names,
    severity=names,
    opened_at=times,
    first_crash_at=times,
    last_crash_at=times,
    burning_until=times,
    crashes=numbers,
    deployments=counts,
    work_pools=counts,
    causes=counts,
    sample=names,
    reminders=numbers,
    told_at=st.none() | times,
    resolved_at=st.none() | times,
    judged_through=st.none() | times,
)
intervals = st.builds(
    Counted,
    window=st.builds(Window, times, times),
    crashed=numbers,
    complete=st.booleans(),
    revision=numbers,
    marks=st.frozensets(marks, max_size=3),
)
diagnoses = st.builds(Diagnosis, cause=names, confidence=names, fingerprint=names)
deliveries = st.builds(
    Delivery,
    event_id=names,
    incident=names,
    kind=names,
    subject=names,
    automation=names,
    receiver=names,
    told_at=times,
    why=st.sampled_from(Why),
    detail=names,
    looks=numbers,
)
sent = st.builds(
    OutgoingEvent,
    id=st.uuids().map(str),
    event=names,
    occurred=times,
    resource=st.dictionaries(names, names),
    payload=st.dictionaries(names, names | numbers),
).map(OutgoingEvent.body)
ledgers = st.builds(
    Ledger,
    monitor=names,
    watermark=st.none() | times,
    counted=st.lists(intervals, max_size=3).map(tuple),
    incidents=st.lists(incidents, max_size=3).map(tuple),
    diagnoses=st.dictionaries(marks, diagnoses, max_size=3),
    outbox=st.lists(sent, max_size=2).map(tuple),
    deliveries=st.lists(deliveries, max_size=2).map(tuple),
    registered=names,
    own_deployments=st.lists(st.uuids().map(str), max_size=2).map(tuple),
)


@given(ledgers)
def test_it_survives_its_json(ledger):
    """What the next cycle reads is what this one wrote, to the last field."""
    assert ledger_of(json.loads(json.dumps(ledger_json(ledger)))) == ledger


def record(start: datetime, *state_ids: str, **more: Any) -> IntervalRecord:
    """The record of five minutes."""
    window = Window(start, start + 5 * MINUTE)
    fates = {Fate.STILL_CRASHED: len(state_ids)}
    return IntervalRecord(
        window=window, counted_at=window.end, fates=fates, state_ids=state_ids, **more
    )


def test_it_stays_bounded():
    """A year of intervals with crashes and incidents: a day of the trend, marks of the horizon."""
    ledger = Ledger(monitor="default")
    for number in range(2_000):
        start = NOON + number * 5 * MINUTE
        closed = incident(f"{number:012x}", resolved_at=start)
        ledger = replace(ledger, incidents=(*ledger.incidents, closed))
        records = [record(start, f"state-{number:012x}")]
        ledger = enter(ledger, records, horizon=start - 30 * MINUTE, now=start)

    assert len(ledger.counted) == SERIES_KEPT
    assert ledger.watermark == NOON + 2_000 * 5 * MINUTE
    assert len(ledger.incidents) == CLOSED_KEPT
    assert sum(len(counted.marks) for counted in ledger.counted) == 7
    assert len(json.dumps(ledger_json(ledger))) < 400_000


def incident(id_: str, **more: Any) -> Incident:
    """An incident of one crash."""
    at = dict.fromkeys(("opened_at", "first_crash_at", "last_crash_at", "burning_until"), NOON)
    return Incident(
        id=id_,
        episode=1,
        rule="loop",
        scope="flow",
        group="etl",
        severity="warning",
        crashes=1,
        **at,
        **more,
    )


def test_open_incidents_are_never_forgotten():
    """However old, and however many closed ones there are."""
    old = incident("0" * 12)
    closed = tuple(incident(f"{n:012x}", resolved_at=NOON) for n in range(1, 500))
    ledger = replace(Ledger(monitor="default"), incidents=(*closed, old))

    later = NOON + timedelta(days=400)
    after = enter(ledger, [record(later)], horizon=later, now=later)

    assert after.incidents == (old,)


def test_the_watermark_never_goes_back():
    """A correction of an earlier interval replaces it and nothing else."""
    first, second = record(NOON, "a" * 12), record(NOON + 5 * MINUTE)
    ledger = enter(Ledger(monitor="default"), [first, second], horizon=NOON, now=NOON)
    corrected = record(NOON, "a" * 12, "b" * 12, revision=1)

    after = enter(ledger, [corrected], horizon=NOON, now=NOON)

    assert after.watermark == NOON + 10 * MINUTE
    assert [(c.crashed, c.revision) for c in after.counted] == [(2, 1), (0, 0)]


def test_late_and_vanished_crashes_are_told_by_their_marks():
    """Also where the number is the same: one came late, another can no longer be seen."""
    counted = Counted(
        window=Window(NOON, NOON + 5 * MINUTE),
        crashed=2,
        complete=True,
        marks=frozenset({"a" * 12, "b" * 12}),
    )
    now = record(NOON, "b" * 12, "c" * 12)

    assert late(counted, now) == {"c" * 12}
    assert vanished(counted, now) == 1
    assert mark("0199c0de-0000-4000-8000-a1b2c3d4e5f6") == "a1b2c3d4e5f6"


# Stored on a server.


def write_raw(world: World, monitor: str, data: object) -> None:
    """Stores this as the newest ledger, whatever it is."""
    world.post("/artifacts/", {"type": f"{LEDGER_TYPE}.{monitor}", "data": data})


GOOD = Ledger(monitor="m", watermark=NOON, counted=(), incidents=(incident("0" * 12),))


def test_an_interval_whose_marks_are_forgotten_is_not_corrected():
    """All its crashes would look late: "Corrected: had 1, has 1"."""
    forgotten = Counted(window=Window(NOON, NOON + MINUTE), crashed=1, complete=True)
    known = replace(forgotten, marks=frozenset({"0" * 12}))
    quiet = replace(forgotten, crashed=0)

    for counted, expected in ((forgotten, ()), (known, (known,)), (quiet, (quiet,))):
        assert correctable([counted], NOON) == expected


def test_crashes_found_by_a_correction_are_those_not_counted_before():
    """The metric used to leave them out, for good."""
    window = Window(NOON, NOON + MINUTE)
    known, late_one, other = (
        Crash(state_id=f"{n}" * 12, at=at, flow_run_id="r")
        for n, at in ((1, NOON), (2, NOON), (3, NOON + MINUTE))
    )
    counted = Counted(window=window, crashed=1, complete=True, marks=frozenset({known.mark}))
    corrected = IntervalRecord(window=window, counted_at=NOON, revision=1)

    assert found_late([known, late_one, other], [counted], [corrected]) == [late_one]


@pytest.mark.server
async def test_few_are_kept_and_the_latest_watermark_wins(world):
    """Written again and again: two stay; one written late by a slower cycle does not win."""
    monitor = unique("many")
    async with open_api() as api:
        for minute in range(5):
            store = LedgerStore(api, monitor)
            await store.read(NOON)
            await store.write(replace(GOOD, watermark=NOON + minute * MINUTE))
        write_raw(world, monitor, json.dumps(ledger_json(GOOD)))
        read = await LedgerStore(api, monitor).read(NOON)
        body = {"artifacts": {"type": {"any_": [f"{LEDGER_TYPE}.{monitor}"]}}}
        stored = await api.post("/artifacts/filter", body)

    assert read.watermark == NOON + 4 * MINUTE
    assert len(stored) == KEPT + 1
    assert all(artifact["key"] is None for artifact in stored)  # not among the user's artifacts


def test_a_long_ledger_is_compressed_and_read_again():
    """A storm's events are alike; Prefect Cloud takes 5 MiB."""
    text = json.dumps(
        [{"text": "Process exited with status code: -9", "n": n} for n in range(9999)]
    )

    assert len(packed(text)) < len(text) / 5
    assert unpacked(packed(text)) == text
    assert packed("{}") == unpacked("{}") == "{}"
    with pytest.raises((ValueError, zlib.error)):
        unpacked(packed(text)[:-100])
