"""A run that a real worker saw die is retried by the monitor and completes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support.server import Server, own_server, world_of
from tests.support.world import World

from prefect_crash_monitor.config.parse_policy import parse_policy
from prefect_crash_monitor.config.read_policy import Settings
from prefect_crash_monitor.cycle.result import Result as Cycle
from prefect_crash_monitor.cycle.run_cycle import run_cycle
from prefect_crash_monitor.demo.processes import background
from prefect_crash_monitor.model.own import Place
from prefect_crash_monitor.prefect_api.client import open_api
from prefect_crash_monitor.remediate.action import Result

pytestmark = [pytest.mark.server, pytest.mark.slow]

FLOW = """
import os
from pathlib import Path

from prefect import flow


@flow
def stopped_once(mark: str):
    if not Path(mark).exists():
        Path(mark).touch()
        os._exit(143)
"""

SETTINGS = Settings(
    name="default",
    policy=parse_policy(
        {
            "interval": 10,
            "settle": 6,
            "grace": 0,
            "cooldown": 10,
            "late_horizon": 60,
            "rules": [],
            "actions": {"retry": {"mode": "act", "only": {"flow": "stopped-once"}, "backoff": 20}},
        }
    ),
)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server with a process worker."""
    with own_server() as server:
        box = server.box
        box.command("prefect", "--no-prompt", "work-pool", "create", "pool", "--type", "process")
        with background(box, "worker", ("prefect", "worker", "start", "--pool", "pool")):
            yield server


def deploy(world: World, folder: Any) -> str:
    """A deployment of the flow, from a folder."""
    (folder / "stopped.py").write_text(FLOW)
    step = {"prefect.deployments.steps.set_working_directory": {"directory": str(folder)}}
    return world.deployment(
        "stopped-once",
        "daily",
        work_pool_name="pool",
        entrypoint="stopped.py:stopped_once",
        pull_steps=[step],
        parameters={"mark": str(folder / "mark")},
    )


def cycle() -> Cycle:
    """One cycle, now."""

    async def once() -> Cycle:
        async with open_api() as api:
            return await run_cycle(api, SETTINGS, Place(), datetime.now(UTC))

    return asyncio.run(once())


def test_a_run_that_lost_its_process_is_retried_and_completes(server, tmp_path, wait_until):
    """Crashed once, retried once, completed, by the same worker and with its own history."""
    with world_of(server) as world:
        run = world.deployed_run(deploy(world, tmp_path))

        def is_now(type_: str) -> bool:
            now = world.http.get(f"/flow_runs/{run}").raise_for_status().json()
            return bool(now["state_type"] == type_)

        cycle()
        wait_until(lambda: is_now("CRASHED"), what="the crash")
        acts = wait_until(lambda: cycle().acts, seconds=120, what="a retry")
        wait_until(lambda: is_now("COMPLETED"), what="the end of the retried run")
        later = cycle()

        states = world.http.get("/flow_run_states/", params={"flow_run_id": run}).json()

    assert [(act.target, act.result, act.number) for act in acts] == [(run, Result.DONE, 1)]
    assert later.acts == ()
    types = [state["type"] for state in states]
    assert types.count("CRASHED") == 1
    assert [state["name"] for state in states].count("AwaitingRetry") == 1
    assert types.count("RUNNING") == 2
    assert types[-1] == "COMPLETED"
