"""Counting against the truth: a database of our own making that holds every nasty situation.

Each situation has an hour of its own. What a window must say is told by `bench.history` from the
made-up histories alone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bench import database
from bench.history import Place, Run, differences, truth
from bench.server import database_of
from tests.support.histories import Crash, claimed, crash_at, history, repeated, traffic
from tests.support.server import own_server

from prefect_crash_monitor.count.count import count, record_json
from prefect_crash_monitor.model.interval import Window
from prefect_crash_monitor.observe import read_missing_events as lost_events
from prefect_crash_monitor.observe.read_crashes import observe
from prefect_crash_monitor.prefect_api.client import open_api

pytestmark = pytest.mark.server
HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
TICK = timedelta(microseconds=1)
NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
RETAINED_FROM = NOW - 48 * HOUR
OWN_TAG = ("managed-by:crash-monitor",)
RETRIED = (Crash(), "AWAITING", "PENDING", "RUNNING")
LOST = Crash(lost=True)
DELETED = "deleted since"


@dataclass
class Past:
    """All histories, events that are nobody's, and the hour of each situation."""

    runs: list[Run] = field(default_factory=list)
    stray: list[dict[str, Any]] = field(default_factory=list)
    hours: dict[str, Window] = field(default_factory=dict)

    def hour(self, situation: str) -> datetime:
        """The middle of the next free hour, which gets this name."""
        start = RETAINED_FROM + (2 + len(self.hours)) * HOUR
        self.hours[situation] = Window(start, start + HOUR)
        return start + 30 * MINUTE

    def add(self, *runs: Run) -> None:
        """Runs that are there."""
        self.runs += runs


def nasty() -> Past:
    """Every situation that has misled a counter, ours or another."""
    past = Past()
    past.add(*traffic(RETAINED_FROM + MINUTE, NOW, 10 * MINUTE))
    past.add(*traffic(NOW - 96 * HOUR, RETAINED_FROM, 30 * MINUTE, unwritten=True))
    _at_one_time(past)
    _what_became_of_them(past)
    _lost(past)
    _claimed(past)
    _named_and_owned(past)
    return past


def _at_one_time(past: Past) -> None:
    at = past.hour("120 at one microsecond")
    past.add(*(crash_at(at) for _ in range(120)), crash_at(at - TICK), crash_at(at + TICK))
    past.hour("on the edges")
    edges = past.hours["on the edges"]
    past.add(*(crash_at(at) for at in (edges.start - TICK, edges.start, edges.end - TICK)))
    past.add(crash_at(edges.end))


def _what_became_of_them(past: Past) -> None:
    at = past.hour("fates")
    ends = [(), ("COMPLETED",), ("FAILED",), ("CANCELLED",), RETRIED[:1], RETRIED[:2]]
    past.add(*(history(at, "PENDING", "RUNNING", *RETRIED, *end) for end in ends))
    past.add(*(history(at, "PENDING", "RUNNING", *RETRIED * 5, *end) for end in ends))
    past.add(
        history(at, "PENDING", "RUNNING", Crash(), "PENDING"),
        history(at, "PENDING", "RUNNING", Crash(), "COMPLETED"),
        history(at, "PENDING", "RUNNING", "COMPLETED", Crash()),
        history(at, "PENDING", Crash()),
        history(at, Crash()),
        history(at, "PENDING", "RUNNING", *RETRIED, Crash(), deleted=True),
        history(at, "PENDING", Crash("Evicted"), place=Place(flow="child"), in_process=True),
    )
    at = past.hour("crashed again hours later")
    much_later = Crash(after=20 * HOUR)
    past.add(
        history(at, "RUNNING", *RETRIED, much_later),
        history(at, "RUNNING", *RETRIED, much_later, *RETRIED[1:], "COMPLETED"),
        history(at, "RUNNING", *RETRIED, Crash(lost=True, after=20 * HOUR), *RETRIED[1:]),
    )


def _lost(past: Past) -> None:
    at = past.hour("lost events")
    lost_and_retried = (LOST, *RETRIED[1:])
    past.add(
        history(at, "RUNNING", LOST),
        history(at, LOST, place=Place(flow="child"), in_process=True),
        history(at, "RUNNING", *RETRIED, LOST),
        history(at, "RUNNING", *lost_and_retried, Crash()),
        history(at, "RUNNING", *RETRIED, *lost_and_retried, "COMPLETED"),
        history(at, "RUNNING", *lost_and_retried, LOST),
    )
    at = past.hour("60 lost between two others")
    past.add(*(history(at, "RUNNING", *RETRIED, *lost_and_retried, Crash()) for _ in range(60)))
    at = past.hour("attempts that did not crash")
    past.add(*(history(at, "RUNNING", "AWAITING", "RUNNING", Crash()) for _ in range(5)))


def _claimed(past: Past) -> None:
    at = past.hour("claimed and repeated events")
    crashed, gone = crash_at(at), crash_at(at, deleted=True)
    retried = history(at, "RUNNING", *RETRIED, "COMPLETED")
    unharmed = history(at, "RUNNING", "COMPLETED")
    past.add(crashed, gone, retried, unharmed)
    for run in (crashed, gone, retried):
        later = (at + 5 * MINUTE).isoformat()
        past.stray += [repeated(run, run.crashes[0])]
        past.stray += [repeated(run, run.crashes[0], occurred=later)]
    past.stray += [claimed(id_, at) for id_ in (unharmed.id, str(NOW.year), gone.id[::-1], "x")]


def _named_and_owned(past: Past) -> None:
    at = past.hour("names and owners")
    past.add(
        crash_at(at, "Evicted"),
        crash_at(at, 'OOM "killed" | <b>'),
        crash_at(at, "heartbeat"),
        crash_at(at, place=Place(flow="a|b\n\"c'", deployment="💥<i>", pool="p|q")),
        crash_at(at, place=Place(flow="crash-monitor")),
        crash_at(at, place=Place(flow="etl", tags=OWN_TAG)),
        crash_at(at, place=Place(flow="crash-triage", tags=OWN_TAG), own=True),
        history(at, LOST, place=Place(flow="crash-monitor", tags=OWN_TAG), own=True),
        history(at, "RUNNING", "FAILED"),
    )
    deleted = Place(flow="etl", deployment=DELETED, pool="vm")
    at = past.hour("a deployment that is deleted")
    past.add(crash_at(at, place=deleted), history(at, "RUNNING", LOST, place=deleted))
    past.hour("quiet")
    at = past.hour("persister off")
    past.add(crash_at(at, unwritten=True), history(at, "RUNNING", *RETRIED, unwritten=True))


PAST = nasty()
WRITTEN = [name for name in PAST.hours if name != "persister off"]


def delete_deployment(path: Path, name: str) -> None:
    """As Prefect does: the runs keep its id."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM deployment WHERE name = ?", (name,))


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A server of our own over the past; its API."""
    with own_server() as running:
        running.kill()
        off = PAST.hours["persister off"]
        runs = [r for r in PAST.runs if not (r.steps[0].at in off and not r.steps[0].event_lost)]
        database.write(database_of(running.box), runs, PAST.stray)
        delete_deployment(database_of(running.box), DELETED)
        running.start()
        yield running.box.api_url


@pytest.fixture(autouse=True)
def on_the_server(server) -> Iterator[None]:
    """Everything goes to that server."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: server}):
        yield


async def told(window: Window, now: datetime | None = None) -> dict[str, Any]:
    """What `crash-monitor count` says of a window, and the requests it took."""
    now = now or datetime.now(UTC)
    async with open_api() as api:
        seen = await observe(api, window, now=now, settle=timedelta(0))
        return record_json(count(seen, window, counted_at=now)) | {"requests": api.requests}


def wrong(answer: dict[str, Any], window: Window) -> dict[str, Any]:
    """Where an answer is not the truth."""
    return differences(answer, truth(PAST.runs, window.start, window.end) | {"complete": True})


@pytest.mark.parametrize("situation", WRITTEN)
async def test_each_situation_is_counted_as_it_was(situation):
    """Every number of the contract, in the hour of one situation."""
    window = PAST.hours[situation]

    assert wrong(await told(window), window) == {}


async def test_of_many_lost_crashes_those_of_retried_runs_are_read_whole(monkeypatch):
    """A run that was begun once has its one crash: nothing is missed by not reading it whole."""
    monkeypatch.setattr(lost_events, "STATES_READ", 1)
    window = PAST.hours["lost events"]

    assert wrong(await told(window), window) == {}


async def test_windows_of_any_length_agree_and_add_up():
    """One microsecond, a second, five minutes, all hours: the parts are the whole."""
    instant = PAST.hours["120 at one microsecond"].start + 30 * MINUTE
    around = [
        Window(instant - SECOND, instant),
        Window(instant, instant + TICK),
        Window(instant + TICK, instant + 5 * MINUTE),
    ]
    hours = [PAST.hours[name] for name in WRITTEN]
    whole = Window(hours[0].start, hours[-1].end)

    parts = [await told(window) for window in [*around, *hours]]
    answer = await told(whole)

    assert [wrong(p, w) for p, w in zip(parts, [*around, *hours], strict=True)] == [{}] * len(parts)
    assert wrong(answer, whole) == {}
    assert sum(part["crashed"] for part in parts[len(around) :]) == answer["crashed"]


async def test_quiet_costs_three_reads():
    """Recent or old, with runs going on or without."""
    last = Window(NOW - 10 * MINUTE, NOW - 5 * MINUTE)
    for window in (PAST.hours["quiet"], last):
        answer = await told(window)
        assert (answer["crashed"], answer["complete"]) == (0, True)
        assert answer["requests"] <= 3


@pytest.mark.parametrize(
    ("start", "length"),
    [(-40 * HOUR, 10 * HOUR), (-30 * HOUR, HOUR), (-1 * HOUR, 4 * HOUR), (-10 * MINUTE, HOUR)],
    ids=["long before", "an hour long before", "across", "just across"],
)
async def test_what_the_retention_has_taken_is_not_quiet(start, length):
    """Before the oldest event that is left the count is partial, and says why."""
    since = RETAINED_FROM + start

    answer = await told(Window(since, since + length))

    assert not answer["complete"]
    assert "retention" in answer["gaps"][0]


async def test_a_retention_of_an_hour_is_seen_as_well():
    """Events can be gone from a recent window, too; one of the usual intervals has nothing new."""
    window = Window(RETAINED_FROM - HOUR, RETAINED_FROM + HOUR)

    answer = await told(window, window.end + MINUTE)

    assert not answer["complete"]
    assert "retention" in answer["gaps"][0]


async def test_an_event_persister_that_was_off_is_no_quiet_time():
    """Runs changed without a single event: what is still crashed is counted, the rest is said."""
    answer = await told(PAST.hours["persister off"])

    assert not answer["complete"]
    assert answer["sources"] == {"events": 0, "flow_runs": 1}


async def test_centuries_to_come_cost_no_request_a_day():
    """A window that ends in the year 9999 is read until now; that more may come is said."""
    start = PAST.hours["quiet"].start

    answer = await told(Window(start, datetime(9999, 12, 31, tzinfo=UTC)))

    assert answer["requests"] < 400
    told_of = truth(PAST.runs, start, NOW + HOUR)["sources"]["events"]
    assert answer["sources"]["events"] == told_of > 0
    assert "in the future" in answer["gaps"][0]


async def test_centuries_cost_no_request_a_day():
    """A window from the year 1 on is read from the first event on."""
    answer = await told(Window(datetime(1, 1, 1, tzinfo=UTC), NOW))

    assert answer["requests"] < 400
    assert answer["crashed"] >= truth(PAST.runs, RETAINED_FROM, NOW)["sources"]["events"]
