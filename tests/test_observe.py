"""Observing a real server: nothing that crashed is missed, nothing is counted twice."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.world import eight_crashes, unique

from prefect_crash_monitor.model.crash import Fate, Observation
from prefect_crash_monitor.model.interval import Window
from prefect_crash_monitor.observe.read_crashes import observe
from prefect_crash_monitor.prefect_api.client import open_api

pytestmark = pytest.mark.server
SETTLE = timedelta(seconds=6)


def now() -> datetime:
    """The present."""
    return datetime.now(UTC)


async def look(window: Window) -> Observation:
    """What is seen of a window once it has settled."""
    async with open_api() as api:
        return await observe(api, window, now=window.end + SETTLE, settle=SETTLE)


async def test_eight_kinds_of_crash_are_eight(world, wait_until):
    """The experiment on which every peer reports 3 to 7 of 8."""
    start = now()
    runs = eight_crashes(world, unique("eight"))
    end = now()
    wait_until(lambda: world.crash_events(start.isoformat(), end.isoformat()) == 8)

    seen = await look(Window(start, end))

    assert len(seen.crashes) == 8
    assert seen.complete
    assert {crash.flow_run_id for crash in seen.crashes} == set(runs.values())
    fates = Counter(outcome.fate for outcome in seen.outcomes.values())
    assert fates == {Fate.STILL_CRASHED: 5, Fate.RECOVERED: 2, Fate.SUPERSEDED: 1}
