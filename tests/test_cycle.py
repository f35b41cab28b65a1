"""Whole cycles on a real server: counted once, told once, whatever happens in between."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from prefect_crash_monitor.api import Api, open_api
from prefect_crash_monitor.cycle import Result, run_cycle
from prefect_crash_monitor.own_runs import Place
from prefect_crash_monitor.policy import Policy, Rule
from prefect_crash_monitor.settings import Settings
from prefect_crash_monitor.windows import aligned
from tests.support.world import CRASHED, RUNNING, unique

pytestmark = pytest.mark.server
SECOND = timedelta(seconds=1)
TEN = 10 * SECOND


def settings(monitor: str, **more) -> Settings:
    """A policy quick enough for a test, whose only rule sees one deployment's crashes."""
    rule = Rule(name="loop", crashes=2, within=600 * SECOND, quiet_for=60 * SECOND)
    values = {
        "interval": TEN,
        "settle": 6 * SECOND,
        "grace": 0 * SECOND,
        "cooldown": TEN,
        "late_horizon": 60 * SECOND,
        "rules": [rule],
    }
    return Settings(name=monitor, policy=Policy(**{**values, **more}))


async def cycle(api: Api, setting: Settings, now: datetime, **place) -> Result:
    """One cycle at a time of our choice."""
    return await run_cycle(api, setting, Place(**place), now)


async def test_a_crash_is_counted_in_one_interval_only(world, wait_until):
    """Cycles one after another, one of them doubled, count a crash once; totals agree."""
    setting, flow = settings(unique("once")), unique("flow")
    now = datetime.now(UTC)
    world.run(RUNNING, CRASHED, flow=flow)
    wait_until(lambda: world.crash_events(now.isoformat(), datetime.now(UTC).isoformat()) > 0)
    end = aligned(datetime.now(UTC), TEN) + TEN
    async with open_api() as api:
        results = [await cycle(api, setting, end + (6 + 5 * i) * SECOND) for i in range(-4, 4)]

    records = [record for result in results for record in result.records]
    assert sum(record.by["flow"].get(flow, 0) for record in records) == 1
    assert len({record.window for record in records}) == len(records)
