"""Past intervals that were never counted: counted once, whatever is killed in between."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import count as numbers
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.mortal import Killed, MortalApi
from tests.support.world import COMPLETED, CRASHED, PENDING, RUNNING, SCHEDULED, World, unique
from tests.test_cycle import TEN, begin, cycle, own_crashes, settings, told
from typer.testing import CliRunner

from prefect_crash_monitor.cli.app import app
from prefect_crash_monitor.count.gaps import LONGEST, to_count, uncounted
from prefect_crash_monitor.cycle.run_backfill import backfill
from prefect_crash_monitor.errors import BadInput
from prefect_crash_monitor.model.interval import Window, aligned
from prefect_crash_monitor.prefect_api.client import open_api
from prefect_crash_monitor.publish.events import INTERVAL_COUNTED

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
FIVE = 5 * MINUTE


def at(minute: float) -> datetime:
    """So many minutes after noon."""
    return NOON + minute * MINUTE


def windows(*edges: tuple[float, float]) -> list[Window]:
    """Windows by their minutes after noon."""
    return [Window(at(start), at(end)) for start, end in edges]


def test_what_is_between_counted_intervals_is_left():
    """Also where they overlap, or lie outside."""
    before = windows((5, 10), (8, 12), (20, 25), (90, 95), (-10, -5))

    assert uncounted(at(0), at(30), before) == windows((0, 5), (12, 20), (25, 30))
    assert uncounted(at(6), at(9), before) == []
    assert uncounted(at(0), at(30), []) == windows((0, 30))


def counted(world: World, monitor: str) -> list[dict[str, Any]]:
    """The events of intervals of a monitor."""
    return [event for event in told(world, monitor) if event["event"] == INTERVAL_COUNTED]


spans = st.tuples(st.integers(0, 300), st.integers(1, 60)).map(lambda s: (s[0], s[0] + s[1]))


@given(st.lists(spans, max_size=10), st.integers(0, 200), st.integers(1, 200))
def test_each_minute_is_counted_once(edges, start, length):
    """By what was counted before or by what is counted now, never by both."""
    before = windows(*edges)
    parts = to_count(at(start), at(start + length), before, FIVE)
    now = [window for part in parts for window in part]

    first = int((aligned(at(start), FIVE) - NOON) / MINUTE)
    for minute in range(first, start + length):
        moment = at(minute) + timedelta(seconds=1)
        covered = any(moment in window for window in before)
        assert sum(moment in window for window in now) == (0 if covered else 1)
    assert all(part[-1].end - part[0].start <= HOUR for part in parts)
    assert now == sorted(now)


@pytest.mark.parametrize("since", [at(1), at(0), at(-1) - LONGEST])
def test_times_that_make_no_sense_are_refused(since):
    """In the future, at the end, too long ago."""
    with pytest.raises(BadInput, match="--since"):
        to_count(since, at(0), [], FIVE)


@pytest.mark.server
async def test_what_was_before_the_monitor_is_counted_once(world, wait_until):
    """Retried crashes, too; told as events; the intervals of cycles are left alone."""
    flow, start = unique("backfill"), datetime.now(UTC) - 3 * TEN
    world.run(RUNNING, CRASHED, flow=flow, tags=[f"{flow}:acme"])
    retried = (RUNNING, CRASHED, SCHEDULED, PENDING, RUNNING, COMPLETED)
    world.run(*retried, flow=flow, tags=[f"{flow}:acme"])
    wait_until(lambda: own_crashes(world, flow, start) >= 2, what="the crashes")
    middle = aligned(datetime.now(UTC), TEN) + TEN
    setting = settings(flow)
    progress: list[tuple[int, int]] = []
    async with open_api() as api:
        await begin(api, setting, middle)  # counts the interval that ends then
        later = middle + 600 * timedelta(seconds=1)
        records = await backfill(
            api, setting, start, later, lambda done, total: progress.append((done, total))
        )
        wait_until(lambda: len(counted(world, flow)) == len(records) + 1, what="the events")
        again = await backfill(api, setting, start, later, lambda *_: None)

    spans_ = [record.window for record in records]
    assert spans_[0].start == aligned(start, TEN)
    assert spans_[-1].end == middle - TEN
    by_flow = [record.by["flow"].get(flow, 0) for record in records]
    (cycled,) = [e for e in counted(world, flow) if e["payload"]["until"] == middle.isoformat()]
    assert sum(by_flow) + cycled["payload"]["by"]["flow"].get(flow, 0) == 2
    assert again == []
    assert progress[0] == (0, len(records))
    assert progress[-1] == (len(records), len(records))


@pytest.mark.server
@pytest.mark.parametrize("after", [False, True])
async def test_killed_anywhere_it_is_taken_up(world, wait_until, after):
    """Each interval has one event in the end."""
    flow = unique("killed")
    far = aligned(datetime.now(UTC), HOUR) - timedelta(days=2)
    setting = settings(flow, interval=1_800)
    async with open_api() as api:
        await cycle(api, setting, far + 4 * HOUR + timedelta(seconds=6))
        for dies_at in numbers(1):
            mortal = MortalApi(api, dies_at, after=after)
            try:
                await backfill(mortal, setting, far, far + 5 * HOUR, lambda *_: None)
                break
            except Killed:
                continue
        wait_until(lambda: len(counted(world, flow)) >= 8, what="the events")
        assert await backfill(api, setting, far, far + 5 * HOUR, lambda *_: None) == []

    spans_ = [(e["payload"]["since"], e["payload"]["until"]) for e in counted(world, flow)]
    assert len(spans_) == len(set(spans_)) == 8


@pytest.mark.server
def test_the_command_prints_one_document(world):
    """Records with `--json`, a bad time with exit code 2."""
    since = (datetime.now(UTC) - timedelta(minutes=12)).isoformat()
    done = CliRunner().invoke(app, ["backfill", "--since", since, "--json"])
    assert done.exit_code == 0, done.stderr
    records = json.loads(done.stdout)
    assert all(set(record) >= {"since", "until", "crashed", "complete"} for record in records)
    wrong = CliRunner().invoke(app, ["backfill", "--since", "2999-01-01T00:00:00Z"])
    assert (wrong.exit_code, wrong.stdout) == (2, "")
    assert "--since" in wrong.stderr
