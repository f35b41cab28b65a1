"""Gathering on a real server: what is there, what is gone, what is refused; and the pruning."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from tests.support.trouble import Answer, fake_proxy
from tests.support.world import COMPLETED, CRASHED, PENDING, RUNNING, World, unique

from prefect_crash_monitor.config.policy import Policy
from prefect_crash_monitor.config.read_policy import Settings
from prefect_crash_monitor.errors import ApiTrouble, BadInput
from prefect_crash_monitor.model.own import OWN_TAG, Place
from prefect_crash_monitor.prefect_api.client import open_api
from prefect_crash_monitor.triage.findings import findings
from prefect_crash_monitor.triage.read_scene import gather
from prefect_crash_monitor.triage.run_triage import run_triage
from prefect_crash_monitor.triage.scene import Scene

pytestmark = pytest.mark.server
MOST = 4 + 14
"""Requests for a run of few lines and events, and around it."""


async def seen(run_id: str) -> Scene:
    """The scene of a run, within the requests that are promised."""
    async with open_api() as api:
        scene = await gather(api, run_id, "", datetime.now(UTC))
        assert api.requests <= MOST
        return scene


async def triaged(run_id: str, keep: int = 50) -> dict[str, Any]:
    """What a triage says of a run."""
    settings = Settings(name="default", policy=Policy(reports_kept=keep))
    async with open_api() as api:
        return await run_triage(api, run_id, "", settings, Place(), datetime.now(UTC))


def crash_events(world: World, *runs: str) -> int:
    """How many crash events of these runs are stored."""
    resource = {
        "id": [f"prefect.flow-run.{run}" for run in runs],
        "labels": {"prefect.state-type": "CRASHED"},
    }
    body = {"filter": {"resource": resource}, "limit": 0}
    return int(world.post("/events/filter", body)["total"])


def label(world: World, run: str, worker: str) -> None:
    """Marks a run as a worker does that takes it."""
    world.patch(f"/flow_runs/{run}/labels", {"prefect.worker.name": worker})


def pool_with(world: World, *workers: str) -> str:
    """A work pool whose workers are alive."""
    pool = unique("pool")
    world.post("/work_pools/", {"name": pool, "type": "process"})
    for worker in workers:
        world.post(f"/work_pools/{pool}/workers/heartbeat", {"name": worker})
    return pool


async def test_all_of_a_crash_in_its_surroundings(world, wait_until):
    """History, neighbours by worker, workers of the pool, slots: each from its own read."""
    flow, pool = unique("etl"), pool_with(world, "w1", "w2")
    here = {"work_pool_name": pool, "concurrency_limit": 5}
    daily = world.deployment(flow, "daily", version="1", **here)
    other = world.deployment(unique("other"), "x", work_pool_name=pool)
    good = world.deployed_run(daily, PENDING, RUNNING, COMPLETED)
    world.patch(f"/deployments/{daily}", {"version": "2"})
    busy = world.deployed_run(daily, PENDING, RUNNING)
    run = world.deployed_run(daily, PENDING, RUNNING)
    beside = world.deployed_run(other, PENDING, RUNNING)
    for taken in (good, run, beside):
        label(world, taken, "w1")
    own = world.run(RUNNING, CRASHED, flow="crash-triage", tags=[OWN_TAG])
    world.go(beside, CRASHED)
    world.go(run, CRASHED)
    later = world.deployed_run(daily, PENDING, RUNNING, COMPLETED)
    wait_until(lambda: crash_events(world, run, beside, own) == 3, what="crash events")

    scene = await seen(run)

    assert (scene.explanation.cause, scene.gaps) == ("killed-oom-or-sigkill", ())
    assert [r.id for r in scene.before or ()] == [good]
    assert [r.id for r in scene.since or ()] == [later]
    assert scene.completed is not None
    assert scene.completed.id == good
    assert scene.around is not None
    neighbours = {crash.flow_run_id for crash in scene.around.crashes}
    assert beside in neighbours
    assert not neighbours & {run, own}
    assert scene.around.workers[beside] == "w1"
    assert {worker.name for worker in scene.workers or ()} == {"w1", "w2"}
    assert (scene.active, scene.deployment and scene.deployment.slots_taken) == (1, 1)
    told = " ".join(finding.text for finding in findings(scene))
    assert "version 1 → 2" in told
    assert "1 of 5 slots of the deployment's concurrency limit are taken; none leaked." in told
    world.go(busy, COMPLETED)


async def test_a_leaked_slot_is_seen(world):
    """Taken by nobody: said, with the command that frees it."""
    daily = world.deployment(unique("leak"), "daily", concurrency_limit=2)
    run = world.deployed_run(daily, PENDING, RUNNING, CRASHED)
    limit = world.http.get(f"/deployments/{daily}").json()["global_concurrency_limit"]
    world.patch(f"/v2/concurrency_limits/{limit['id']}", {"active_slots": 1})

    result = await triaged(run)

    assert any("1 of 2 slots" in text for text in result["telling"])
    artifact = world.http.get(f"/artifacts/{result['artifact']}/latest").json()
    assert f"`prefect gcl update deployment:{daily} --active-slots 0`" in artifact["data"]


async def test_a_deleted_run_is_told_by_its_events(world, wait_until):
    """Its deployment is known by them, and so its other runs."""
    daily = world.deployment(unique("gone"), "daily")
    good = world.deployed_run(daily, PENDING, RUNNING, COMPLETED)
    run = world.deployed_run(daily, PENDING, RUNNING, CRASHED)
    wait_until(lambda: crash_events(world, run), what="the crash event")
    world.delete_run(run)

    scene = await seen(run)

    assert scene.run is None
    assert scene.completed is not None
    assert scene.completed.id == good
    assert any("deleted" in gap for gap in scene.gaps)


async def test_a_run_without_deployment(world):
    """Compared with runs of its flow that have none either."""
    flow = unique("plain")
    good = world.run(RUNNING, COMPLETED, flow=flow)
    run = world.run(RUNNING, CRASHED, flow=flow)

    scene = await seen(run)

    assert [r.id for r in scene.before or ()] == [good]
    assert (scene.deployment, scene.pool, scene.active) == (None, None, None)


async def test_a_run_that_did_not_crash(world):
    """Asked for by hand: said to be healthy."""
    result = await triaged(world.run(RUNNING, COMPLETED, flow=unique("fine")))

    assert (result["verdict"], result["cause"]) == ("healthy", None)


@pytest.mark.parametrize("what", ["", "nonsense", "0199c0de-0000-4000-8000-00000000dead"])
async def test_what_is_no_run(api_url, what):
    """Refused with what to do, before anything is published."""
    with pytest.raises(BadInput):
        await triaged(what)


@pytest.mark.parametrize(
    ("path", "gap"),
    [
        ("/workers/filter", "Workers: "),
        ("/flow_runs/count", "Runs at work: "),
        ("/work_pools/{pool}", "Work pool {pool}: "),
        ("/deployments/{daily}", "The deployment: "),
    ],
)
async def test_what_is_refused_is_said_and_the_rest_is_there(world, api_url, path, gap):
    """A role that may not read one thing still gets all others."""
    pool = pool_with(world, "w1")
    daily = world.deployment(unique("part"), "daily", work_pool_name=pool)
    run = world.deployed_run(daily, PENDING, RUNNING, CRASHED)
    names = {"pool": pool, "daily": daily}

    with fake_proxy(api_url) as proxy, temporary_settings({PREFECT_API_URL: proxy.url}):
        proxy.trouble(path.format(**names), always=Answer(403, b"{}"))
        scene = await seen(run)

    assert [g for g in scene.gaps if g.startswith(gap.format(**names))]
    assert scene.explanation.cause == "killed-oom-or-sigkill"
    assert scene.before == ()


async def test_a_run_that_cannot_be_read_is_no_triage(world, api_url):
    """Without the run itself there is nothing to say."""
    run = world.run(RUNNING, CRASHED, flow=unique("hidden"))

    with fake_proxy(api_url) as proxy, temporary_settings({PREFECT_API_URL: proxy.url}):
        proxy.trouble(f"/flow_runs/{run}", always=Answer(403, b"{}"))
        with pytest.raises(ApiTrouble):
            await triaged(run)


async def test_old_triages_go_and_others_stay(world):
    """The newest stay; a key of somebody else's is not touched, whatever it is like."""
    theirs = f"my-crash-triage-{unique('x')}"
    for key in (theirs, "crash-triage-of-mine"):
        world.post("/artifacts/", {"key": key, "type": "markdown", "data": "mine"})
    runs = [world.run(RUNNING, CRASHED, flow=unique("old")) for _ in range(3)]

    keys = [(await triaged(run, keep=2))["artifact"] for run in runs]

    there = [world.http.get(f"/artifacts/{key}/latest").is_success for key in keys]
    assert there == [False, True, True]
    for key in (theirs, "crash-triage-of-mine"):
        assert world.http.get(f"/artifacts/{key}/latest").is_success
