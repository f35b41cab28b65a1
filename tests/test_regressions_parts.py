"""Defects of what may fail one by one: an action, a stranded run, a part of a triage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from tests.support.refusing import RefusingApi
from tests.support.trouble import Answer, fake_proxy
from tests.support.world import CRASHED, PENDING, RUNNING, World, unique
from tests.test_acting import STOPPED, actor, get, settings

from prefect_crash_monitor.act import Act, ActKind, Result
from prefect_crash_monitor.action_rules import Mode
from prefect_crash_monitor.api import open_api
from prefect_crash_monitor.model import OWN_TAG
from prefect_crash_monitor.own_runs import Place, free_stranded
from prefect_crash_monitor.policy import Policy
from prefect_crash_monitor.triage.gather import gather

pytestmark = pytest.mark.server
MINUTE = timedelta(minutes=1)


def to_retry(world: World, flow: str) -> Act:
    """A retry, decided, of a run that is worth one."""
    run = world.deployed_run(world.deployment(flow, "daily"), PENDING, RUNNING, STOPPED)
    values: dict[str, Any] = {"mode": Mode.ACT, "at": datetime.now(UTC), "name": "x"}
    return Act(
        id="0" * 12,
        kind=ActKind.RETRIED,
        target=run,
        target_type="flow-run",
        why="sigterm-exit",
        detail=get(world, f"/flow_runs/{run}")["state_id"],
        **values,
    )


async def test_an_action_whose_event_is_refused_ends_no_cycle_and_is_not_done_twice(world):
    """It used to raise out of the cycle, before anything was counted. The next cycle finds it."""
    flow = unique("refused")
    act = to_retry(world, flow)
    async with open_api() as api:
        (first,) = await actor(RefusingApi(api, "POST /events"), settings(flow)).settle([act])
        (second,) = await actor(api, settings(flow)).settle([first])
    path = "/flow_run_states/"
    history = world.http.get(path, params={"flow_run_id": act.target}).raise_for_status().json()

    assert (first.result, second.result) == (Result.PENDING, Result.DONE)
    assert [state["name"] for state in history].count("AwaitingRetry") == 1


async def test_a_stranded_run_that_prefect_does_not_end_is_not_called_freed(world, api_url):
    """A refusal was counted as a success."""
    deployment = world.deployment(unique("flow"), "x", tags=[OWN_TAG])
    run = world.deployed_run(deployment, PENDING, RUNNING)
    refusal = Answer(body=b'{"status": "REJECT", "details": {}, "state": null}')
    later = datetime.now(UTC) + 20 * MINUTE
    with fake_proxy(api_url) as proxy, temporary_settings({PREFECT_API_URL: proxy.url}):
        proxy.trouble("/set_state", always=refusal)
        async with open_api() as api:
            freed = await free_stranded(api, Place(), [deployment], Policy(), later)

    assert freed == 0
    assert get(world, f"/flow_runs/{run}")["state"]["type"] == "RUNNING"


@pytest.mark.parametrize("answer", [b'{"detail": "no list"}', b"[null]"])
async def test_a_malformed_part_of_a_triage_is_a_gap(world, api_url, answer):
    """All but the run itself may be broken; a list of runs that is none used to end the triage."""
    run = world.deployed_run(world.deployment(unique("flow"), "x"), PENDING, RUNNING, CRASHED)
    with fake_proxy(api_url) as proxy, temporary_settings({PREFECT_API_URL: proxy.url}):
        proxy.trouble("/flow_runs/filter", always=Answer(body=answer))
        async with open_api() as api:
            scene = await gather(api, run, "", datetime.now(UTC))

    assert scene.explanation.flow_run_id == run
    assert scene.before is None
    gaps = [gap.partition(":")[0] for gap in scene.gaps]
    parts = ["The crashed runs", "Earlier runs", "Later runs", "The last run that completed"]
    assert [gap for gap in gaps if gap in parts] == parts
