"""What somebody who may use the API tries with the monitor, on a real server: docs/security.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from tests.support.world import CRASHED, PENDING, RUNNING, World, unique
from tests.test_acting import STOPPED, TEN, actor, cycle, get, settings, storm, two_cycles

from prefect_crash_monitor.config.actions import Mode
from prefect_crash_monitor.config.read_policy import Settings
from prefect_crash_monitor.model.interval import aligned
from prefect_crash_monitor.model.own import OWN_TAG, REPORT_KEY, artifact_key
from prefect_crash_monitor.prefect_api.client import open_api
from prefect_crash_monitor.remediate.action import Act, ActKind, Result
from prefect_crash_monitor.remediate.read_act_state import NOT_CHOSEN, UNPROVED
from prefect_crash_monitor.state.ledger import Ledger
from prefect_crash_monitor.state.ledger_store import LedgerStore

pytestmark = pytest.mark.server


def crash_events(world: World, deployment: str, since: datetime) -> list[dict[str, Any]]:
    """The crash events of a deployment's runs."""
    filter_ = {
        "event": {"name": ["prefect.flow-run.Crashed"]},
        "related": {"id": [f"prefect.deployment.{deployment}"]},
        "occurred": {"since": since.isoformat()},
    }
    found: list[dict[str, Any]] = world.post("/events/filter", {"filter": filter_})["events"]
    return found


def forged_copy(event: dict[str, Any]) -> dict[str, Any]:
    """An event as Prefect's own, of a run that never was."""
    run = {**event["resource"], "prefect.resource.id": f"prefect.flow-run.{uuid4()}"}
    known = {key: event[key] for key in ("occurred", "event", "related", "payload")}
    return {**known, "id": str(uuid4()), "resource": run}


async def test_forged_crashes_pause_nothing(world, wait_until):
    """Two copies of a real crash event, of runs that never were, complete a storm: it is notified,
    as crashes of deleted runs are, but what it would pause is left alone."""
    flow, start = unique("forged"), datetime.now(UTC)
    deployment = world.deployment(flow, "daily")
    world.deployed_run(deployment, PENDING, RUNNING, STOPPED)
    (real,) = wait_until(lambda: crash_events(world, deployment, start), what="the crash")
    world.post("/events", [forged_copy(real), forged_copy(real)])
    wait_until(lambda: len(crash_events(world, deployment, start)) == 3, what="forged crashes")

    first, _ = await two_cycles(storm(flow, "deployment"), aligned(datetime.now(UTC), TEN) + TEN)

    (act,) = first.acts
    assert (act.result, act.remark) == (Result.LEFT, UNPROVED)
    assert not get(world, f"/deployments/{deployment}")["paused"]


@pytest.fixture
def in_ledger(world: World) -> Callable[..., Any]:
    """What comes of a pending act that somebody wrote into the monitor's ledger."""

    async def settle(setting: Settings, kind: ActKind, **more: Any) -> Act:
        values: dict[str, Any] = {
            "id": "0" * 12,
            "kind": kind,
            "mode": Mode.ACT,
            "at": datetime.now(UTC) - TEN,
            "name": "x",
            **more,
        }
        async with open_api() as api:
            store = LedgerStore(api, setting.name)
            await store.write(Ledger(monitor=setting.name, acts=(Act(**values),)))
            read = await store.read(datetime.now(UTC))
            (settled,) = await actor(api, setting).settle(read.acts)
        return settled

    return settle


async def test_a_pause_in_a_forged_ledger_is_not_done(world, in_ledger):
    """Neither without any crash nor with one of another deployment."""
    flow = unique("forged")
    healthy, other = world.deployment(flow, "healthy"), world.deployment(flow, "other")
    run = world.deployed_run(other, PENDING, RUNNING, CRASHED)
    state = get(world, f"/flow_runs/{run}")["state_id"]
    living = world.deployed_run(healthy, PENDING, RUNNING)
    of_living = get(world, f"/flow_runs/{living}")["state_id"]

    for proof in ("", f"{run}:{state}", f"{living}:{of_living}", f"{living}:{state}"):
        act = await in_ledger(
            storm(flow, "deployment"),
            ActKind.PAUSED,
            target=healthy,
            target_type="deployment",
            why="0.1",
            detail=proof,
        )
        assert (act.result, act.remark) == (Result.LEFT, UNPROVED)
    assert not get(world, f"/deployments/{healthy}")["paused"]


@pytest.mark.parametrize(("of", "cause"), [("another", "sigterm-exit"), ("chosen", "code-error")])
async def test_a_retry_in_a_forged_ledger_follows_the_policy(world, in_ledger, of, cause):
    """A crashed run that the policy does not choose, or for a cause that it does not, is left."""
    chosen = unique("forged")
    flow = chosen if of == "chosen" else unique("other")
    run = world.deployed_run(world.deployment(flow, "daily"), PENDING, RUNNING, STOPPED)

    act = await in_ledger(
        settings(chosen),
        ActKind.RETRIED,
        target=run,
        target_type="flow-run",
        why=cause,
        detail=get(world, f"/flow_runs/{run}")["state_id"],
    )

    assert (act.result, act.remark) == (Result.LEFT, NOT_CHOSEN)
    assert get(world, f"/flow_runs/{run}")["state"]["type"] == "CRASHED"


async def test_a_slot_in_a_forged_ledger_is_freed_only_of_its_own_run(world, in_ledger):
    """The slot of a living run's task, said to be a crashed run's, stays taken."""
    tag, flow = unique("slot"), unique("forged")
    world.post("/concurrency_limits/", {"tag": tag, "concurrency_limit": 1})
    living = world.run(RUNNING, flow=flow)
    task = world.post("/task_runs/", {"flow_run_id": living, "task_key": "t", "dynamic_key": "0"})
    world.post("/concurrency_limits/increment", {"names": [tag], "task_run_id": task["id"]})
    crashed = world.run(RUNNING, CRASHED, flow=flow)
    setting = settings(flow, free_slots={"mode": "act"})

    act = await in_ledger(
        setting,
        ActKind.FREED,
        target=task["id"],
        target_type="task-run",
        why=crashed,
        detail=tag,
    )

    assert (act.result, act.remark) == (Result.LEFT, UNPROVED)
    assert get(world, f"/concurrency_limits/tag/{tag}")["active_slots"] == [task["id"]]


async def test_a_ledger_cannot_call_a_users_deployment_the_monitors(world, wait_until):
    """Its crashes would no longer be counted as crashes. What has our tag, or runs our flow, is
    ours; the report names what was kept apart."""
    flow, start = unique("hidden"), datetime.now(UTC)
    users, tagged = world.deployment(flow, "daily"), world.deployment(flow, "m", tags=[OWN_TAG])
    ours = world.deployment("crash-monitor", unique("untagged"))
    for deployment in (users, tagged, ours):
        world.deployed_run(deployment, PENDING, RUNNING, CRASHED)
        wait_until(lambda of=deployment: crash_events(world, of, start), what="the crash")
    setting, end = settings(flow), aligned(datetime.now(UTC), TEN) + TEN
    async with open_api() as api:
        store = LedgerStore(api, setting.name)
        await cycle(api, setting, aligned(start, TEN) + setting.policy.settle)
        honest = await store.read(end)
        await store.write(replace(honest, own_deployments=(users, tagged, ours, str(uuid4()))))
        await cycle(api, setting, end + setting.policy.settle)
        after = await store.read(end)
    report = str(get(world, f"/artifacts/{artifact_key(REPORT_KEY, flow)}/latest")["data"])

    assert set(after.own_deployments) == {tagged, ours}
    own = report.partition("of the monitor's own runs (")[2].partition(")")[0]
    assert f"{flow}/m" in own
    assert f"{flow}/daily" not in own
    assert f"{flow}/daily" in report
