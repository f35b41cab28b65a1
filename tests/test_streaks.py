"""Crashes in a row on a real server: what Prefect tells of completed runs, and the all-clear."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from tests.support.world import COMPLETED, CRASHED, RUNNING, unique

from prefect_crash_monitor.config.policy import Policy, Rule
from prefect_crash_monitor.config.read_policy import Settings
from prefect_crash_monitor.config.rule import RuleKind
from prefect_crash_monitor.cycle.run_cycle import run_cycle
from prefect_crash_monitor.evaluate.read_last_success import latest_completions
from prefect_crash_monitor.model.interval import aligned
from prefect_crash_monitor.model.own import Place
from prefect_crash_monitor.model.runs import Runs, RunsOf
from prefect_crash_monitor.prefect_api.client import open_api

pytestmark = pytest.mark.server
SECOND = timedelta(seconds=1)
TEN = 10 * SECOND


async def test_completed_runs_are_told_by_what_they_belong_to(world):
    """Of a deployment, of a flow, of a flow's runs without a deployment, of one run."""
    flow, start = unique("completions"), datetime.now(UTC)
    daily, hourly = (world.deployment(flow, name) for name in ("daily", "hourly"))
    deployed = world.deployed_run(daily, RUNNING, COMPLETED)
    world.deployed_run(hourly, RUNNING, CRASHED)
    asked = {
        Runs(RunsOf.DEPLOYMENT, daily): True,
        Runs(RunsOf.DEPLOYMENT, hourly): False,
        Runs(RunsOf.FLOW, world.flow(flow)): True,
        Runs(RunsOf.FLOW_WITHOUT_DEPLOYMENT, world.flow(flow)): False,
        Runs(RunsOf.RUN, deployed): True,
    }

    async with open_api() as api:
        before = api.requests
        now = await latest_completions(api, dict.fromkeys(asked, start))
        cost = api.requests - before
        later = await latest_completions(api, dict.fromkeys(asked, datetime.now(UTC)))
        none = await latest_completions(api, {})

    assert {runs: ended is not None for runs, ended in now.items()} == asked
    assert (cost, none) == (4, {})
    assert set(later.values()) == {None}


async def test_a_busy_deployment_does_not_hide_another(world, monkeypatch):
    """More completed runs than a page holds: asked again for the others, or left open."""
    monkeypatch.setattr("prefect_crash_monitor.evaluate.read_last_success.PAGE", 2)
    flow, start = unique("busy"), datetime.now(UTC)
    calm, busy = (world.deployment(flow, name) for name in ("calm", "busy"))
    world.deployed_run(calm, RUNNING, COMPLETED)
    for _ in range(3):
        world.deployed_run(busy, RUNNING, COMPLETED)
    asked = dict.fromkeys((Runs(RunsOf.DEPLOYMENT, id_) for id_ in (calm, busy)), start)

    async with open_api() as api:
        both = await latest_completions(api, asked)
        monkeypatch.setattr("prefect_crash_monitor.evaluate.read_last_success.ROUNDS", 1)
        one = await latest_completions(api, asked)

    assert all(both[runs] for runs in asked)
    assert set(one) == {Runs(RunsOf.DEPLOYMENT, busy)}


async def test_a_crash_loop_opens_and_a_completed_run_resolves_it(world, wait_until):
    """By the events of the crashes and the row of the completed run."""
    flow, start = unique("loop"), datetime.now(UTC)
    deployment = world.deployment(flow, "daily")
    rule = Rule(
        name="loop",
        kind=RuleKind.CONSECUTIVE,
        crashes=3,
        within=timedelta(days=7),
        only={"flow": flow},
    )
    policy = Policy(interval=TEN, settle=6 * SECOND, grace=0 * SECOND, cooldown=TEN, rules=[rule])

    async def cycle(now: datetime) -> list[str]:
        result = await run_cycle(api, Settings(name=flow, policy=policy), Place(), now)
        return [f"{t.kind} {t.reason} {t.incident.crashes}" for t in result.judgement.transitions]

    async with open_api() as api:
        await cycle(start + 6 * SECOND)
        for _ in range(3):
            world.deployed_run(deployment, RUNNING, CRASHED)
        wait_until(lambda: world.crash_events(start.isoformat(), datetime.now(UTC).isoformat()) > 2)
        end = aligned(datetime.now(UTC), TEN) + TEN
        opened = await cycle(end + 6 * SECOND)
        still = await cycle(end + 16 * SECOND)
        world.deployed_run(deployment, RUNNING, COMPLETED)
        resolved = await cycle(end + 26 * SECOND)

    assert opened == ["opened threshold-crossed 3"]
    assert still == []
    assert resolved == ["resolved run-completed 3"]


async def test_what_is_no_id_is_left_open(api_url):
    """Events, which anyone may send, name flows as they like; Prefect refuses such a filter."""
    forged = Runs(RunsOf.FLOW_WITHOUT_DEPLOYMENT, "x")

    async with open_api() as api:
        before = api.requests
        assert await latest_completions(api, {forged: datetime.now(UTC)}) == {}
        assert api.requests == before
