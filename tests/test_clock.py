"""A clock that is ahead of the server's: what is still to come is never called counted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from tests.support.world import CRASHED, RUNNING, World, unique

from prefect_crash_monitor.config.policy import Policy
from prefect_crash_monitor.config.read_policy import Settings
from prefect_crash_monitor.cycle.read_server_time import by_the_server
from prefect_crash_monitor.cycle.run_cycle import run_cycle
from prefect_crash_monitor.model.own import Place
from prefect_crash_monitor.prefect_api.client import open_api
from prefect_crash_monitor.state.ledger_store import LedgerStore

pytestmark = pytest.mark.server
HOUR = timedelta(hours=1)


async def test_a_machine_an_hour_ahead_counts_by_the_servers_clock(world: World):
    """Its first cycle used to call the next hour complete, and what crashed then was lost."""
    name = unique("ahead")
    setting = Settings(name=name, policy=Policy(rules=[], interval=timedelta(seconds=10)))
    world.run(RUNNING, CRASHED, flow=name)
    async with open_api() as api:
        await LedgerStore(api, name).read(datetime.now(UTC))  # as `load_settings`: an answer
        ahead, then = by_the_server(api, setting, datetime.now(UTC) + HOUR)
        result = await run_cycle(api, ahead, Place(), then)
        ledger = await LedgerStore(api, name).read(datetime.now(UTC))

    assert ledger.watermark is not None
    assert ledger.watermark <= datetime.now(UTC)
    assert any("ahead of the server's" in notice for notice in result.notices)


async def test_a_clock_that_is_behind_or_right_is_used(world: World):
    """A cycle that is late by its own clock only counts later."""
    setting = Settings(name="any", policy=Policy())
    async with open_api() as api:
        before = datetime.now(UTC) - HOUR
        assert by_the_server(api, setting, before) == (setting, before)
        await api.get("/health")
        same, then = by_the_server(api, setting, before)

    assert (same, then) == (setting, before)
