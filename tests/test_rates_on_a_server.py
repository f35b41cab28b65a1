"""Crash rates on a real server: what Prefect tells of runs that ended, and an incident by it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from tests.support.world import COMPLETED, CRASHED, PENDING, RUNNING, SCHEDULED, World, unique

from prefect_crash_monitor.config.policy import Policy, Rule
from prefect_crash_monitor.config.read_policy import Settings
from prefect_crash_monitor.config.rule import RuleKind
from prefect_crash_monitor.cycle.run_cycle import run_cycle
from prefect_crash_monitor.evaluate.rate.candidates import Wanted
from prefect_crash_monitor.evaluate.rate.daily_counts import Day, Tally
from prefect_crash_monitor.evaluate.read_finished_runs import ended_in, ended_on, runs_ended
from prefect_crash_monitor.evaluate.rule_state import Memory
from prefect_crash_monitor.model.interval import aligned
from prefect_crash_monitor.model.own import Place
from prefect_crash_monitor.model.runs import Ending, Runs, RunsOf
from prefect_crash_monitor.prefect_api.client import open_api
from prefect_crash_monitor.state.ledger import Ledger
from prefect_crash_monitor.state.ledger_store import LedgerStore

pytestmark = pytest.mark.server
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
TEN = 10 * SECOND
FAILED = {"type": "FAILED", "name": "Failed"}
RETRIED = (RUNNING, CRASHED, SCHEDULED, PENDING, RUNNING, COMPLETED)


def planned(world: World, deployment: str, at: datetime, *states: dict[str, str]) -> None:
    """A run that was to start at that time."""
    details = {"scheduled_time": at.isoformat()}
    world.deployed_run(deployment, *states, state={**SCHEDULED, "state_details": details})


async def test_runs_that_ended_otherwise_than_crashed_are_counted(world):
    """By the window in which they ended and the day on which they were to start."""
    flow, start = unique("endings"), datetime.now(UTC)
    daily, other = (world.deployment(flow, name) for name in ("daily", "other"))
    today, yesterday = aligned(start, DAY), aligned(start, DAY) - DAY
    for states in ([RUNNING, COMPLETED], [RUNNING, FAILED], [RUNNING, CRASHED], RETRIED, [RUNNING]):
        planned(world, daily, yesterday + HOUR, *states)
    planned(world, daily, yesterday - 1 * SECOND, RUNNING, COMPLETED)
    world.run(RUNNING, COMPLETED, flow=flow)
    runs = Runs(RunsOf.DEPLOYMENT, daily)
    loose = Runs(RunsOf.FLOW_WITHOUT_DEPLOYMENT, world.flow(flow))
    now = datetime.now(UTC) + SECOND
    expected = {
        Ending(runs, start, now): 4,
        Ending(runs, start - HOUR, start): 0,
        Ending(loose, start, now): 1,
        Ending(Runs(RunsOf.DEPLOYMENT, other), start, now): 0,
        Ending(runs, yesterday - 2 * DAY, yesterday - DAY): 0,
        Ending(runs, yesterday - DAY, yesterday): 1,
        Ending(runs, yesterday, today): 3,
    }
    days = tuple(ending for ending in expected if ending.until - ending.since == DAY)
    windows = tuple(ending for ending in expected if ending not in days)

    async with open_api() as api:
        before = api.requests
        found = await ended_in(api, windows) | await ended_on(api, days)
        cost = api.requests - before
        none = await runs_ended(api, Wanted())

    assert found == expected
    assert (cost, none) == (len(windows) + 1, {})


async def test_a_deployment_that_crashes_more_than_it_usually_does(world, wait_until):
    """One crash in 61 runs of two days, then 40 in 100: told with both rates, and the all-clear.

    Prefect takes no end in the past: the runs of the days before end now, and so are among the 100.
    """
    flow, start = unique("rate"), datetime.now(UTC)
    deployment = world.deployment(flow, "hourly")
    today = aligned(start, DAY)
    for day in (today - DAY, today - 2 * DAY):
        for _ in range(30):
            planned(world, deployment, day + HOUR, COMPLETED)
    rule = Rule(
        name="rate",
        kind=RuleKind.RATE,
        crashes=5,
        factor=1.5,
        within=timedelta(minutes=4),
        quiet_for=TEN,
        only={"flow": flow},
    )
    policy = Policy(interval=TEN, settle=6 * SECOND, grace=0 * SECOND, cooldown=TEN, rules=[rule])
    one = Day(covered=DAY, crashes={f"{flow}/hourly": 1})
    days = {today - 2 * DAY: Day(covered=DAY), today - DAY: one}
    tally = Tally(only=f'{{"flow": "{flow}"}}', through=today, days=days)
    begun = aligned(start, TEN)

    async def cycle(now: datetime) -> list[str]:
        result = await run_cycle(api, Settings(name=flow, policy=policy), Place(), now)
        return [
            f"{t.kind} {t.incident.crashes} {t.incident.basis}"
            for t in result.judgement.transitions
        ]

    async with open_api() as api:
        known = Memory(tallies={"rate": tally})
        await LedgerStore(api, flow).write(Ledger(monitor=flow, watermark=begun, memory=known))
        for _ in range(40):
            world.deployed_run(deployment, RUNNING, CRASHED)
        since = start.isoformat()
        wait_until(lambda: world.crash_events(since, datetime.now(UTC).isoformat()) >= 40)
        end = aligned(datetime.now(UTC), TEN) + TEN
        opened = await cycle(end + 6 * SECOND)
        still = await cycle(end + 16 * SECOND)
        resolved = await cycle(end + 126 * SECOND)

    basis = "40 of 100 runs crashed within 4 min (40.0 %, usually 1.6 %)"
    assert opened == [f"opened 40 {basis}"]
    assert still == []
    assert [text[:11] for text in resolved] == ["resolved 40"]
