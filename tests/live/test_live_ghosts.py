"""Runs that really end without saying so: found, marked and counted; those that live are let be.

Takes four minutes: `make test-live`.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.world import World

from prefect_crash_monitor.demo import steps
from prefect_crash_monitor.demo.processes import Sandbox, background, sandbox

pytestmark = [pytest.mark.live, pytest.mark.slow]

FLOWS = """
import os
import time

from prefect import flow


@flow
def ends_unsaid():
    os._exit(0)


@flow
def goes_on():
    time.sleep(900)
"""
SHORTEST_PERIOD = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}
UNREACHABLE = 3
"""Exit code where the API did not answer, as a busy SQLite may."""

BEATS = 3
"""Heartbeats that show their period."""


def worker(box: Sandbox, pool: str) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """A process worker for a pool; at the end it is stopped, which ends its runs, too."""
    command = ["prefect", "worker", "start", "--pool", pool]
    return background(box, f"worker-{pool}", command)


class Shop:
    """A server with its runs, and the command."""

    def __init__(self, box: Sandbox) -> None:
        self.box = box
        self.world = World(box.api_url)

    def start(self, function: str, pool: str) -> str:
        """One run of a flow of the project, in a pool; its id."""
        here = {"directory": str(self.box.project)}
        deployment = self.world.deployment(
            function.replace("_", "-"),
            pool,
            entrypoint=f"flows.py:{function}",
            work_pool_name=pool,
            pull_steps=[{"prefect.deployments.steps.set_working_directory": here}],
            job_variables={"env": SHORTEST_PERIOD},
        )
        return self.world.deployed_run(deployment)

    def state(self, run: str) -> dict[str, Any]:
        """The state of a run."""
        state: dict[str, Any] = self.world.http.get(f"/flow_runs/{run}").json()["state"]
        return state

    def beats(self, run: str) -> int:
        """How many heartbeats a run has sent."""
        filter_ = {
            "event": {"name": ["prefect.flow-run.heartbeat"]},
            "resource": {"id": [f"prefect.flow-run.{run}"]},
        }
        page = self.world.post("/events/filter", {"filter": filter_, "limit": 0})
        return int(page["total"])

    def ghosts(self, *options: str) -> tuple[int, dict[str, dict[str, Any]]]:
        """Exit code of the command, and what it lists, by flow run id."""
        done = self._command(*options)
        for _ in range(5):
            if done.returncode != UNREACHABLE:
                break
            done = self._command(*options)
        assert done.returncode in {0, 1}, done.stderr
        return done.returncode, {item["flow_run_id"]: item for item in json.loads(done.stdout)}

    def _command(self, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "prefect_crash_monitor", "ghosts", "--json", *options],
            cwd=self.box.project,
            env=self.box.environment(),
            capture_output=True,
            text=True,
            check=False,
        )

    def until(self, condition: Callable[[], object], what: str, seconds: float = 900) -> None:
        """Polls until a condition holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"waited {seconds} s for {what}\n{self.box.end_of_logs()}")
            time.sleep(2)


@pytest.fixture
def shop() -> Iterator[Shop]:
    """A server with two pools."""
    with sandbox() as box:
        (box.project / "flows.py").write_text(FLOWS)
        with background(box, "server", ["prefect", "server", "start", "--no-ui"]):
            asyncio.run(steps.wait_for(lambda: steps.is_healthy(box), "the server", box))
            for pool in ("kept", "stopped"):
                box.command("prefect", "work-pool", "create", pool, "--type", "process")
            shop = Shop(box)
            yield shop
            shop.world.close()


def test_the_dead_are_found_and_marked_and_the_living_are_not(shop: Shop):
    """One whose process ended with code 0, one whose worker was stopped, one that goes on."""
    since = datetime.now(UTC)
    with worker(shop.box, "kept"), worker(shop.box, "stopped") as stopped:
        unsaid = shop.start("ends_unsaid", "kept")
        alive = shop.start("goes_on", "kept")
        lost = shop.start("goes_on", "stopped")
        for run in (unsaid, alive, lost):
            shop.until(lambda run=run: shop.state(run)["type"] == "RUNNING", "the runs to start")
        shop.until(lambda: shop.beats(lost) >= BEATS, "heartbeats")
        stopped.send_signal(signal.SIGTERM)
        stopped.wait(60)

        def all_marked() -> bool:
            code, found = shop.ghosts("--mark")
            assert code == (1 if found else 0)
            assert alive not in found
            for item in found.values():
                assert (item["verdict"], item["cause"]) == ("ghost", "ghost-running"), item
            return all(shop.state(run)["type"] == "CRASHED" for run in (unsaid, lost))

        shop.until(all_marked, "both to be marked")
        assert shop.state(alive)["type"] == "RUNNING"
        assert shop.ghosts() == (0, {})

        until = datetime.now(UTC) + timedelta(seconds=1)
        window = ["--since", since.isoformat(), "--until", until.isoformat()]
        counted = shop.box.command("prefect_crash_monitor", "count", *window, "--json")
        assert json.loads(counted)["crashed"] == 2
        why = shop.box.command("prefect_crash_monitor", "explain", unsaid, lost, "--json")
        assert [one["cause"] for one in json.loads(why)] == ["zombie-marked"] * 2
