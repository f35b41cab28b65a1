"""Defects of what surrounds the count: acts, stranded runs, triages; each with a case."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from tests.support.refusing import ListeningApi, OddApi, RefusingApi
from tests.support.trouble import Answer, fake_proxy
from tests.support.world import COMPLETED, CRASHED, PENDING, RUNNING, World, unique
from tests.test_acting import SECOND, STOPPED, TEN, actor, get, retry_of, settings, states
from tests.test_triage import scene

from prefect_crash_monitor.config.policy import Policy
from prefect_crash_monitor.config.read_policy import Settings
from prefect_crash_monitor.cycle.run_cycle import run_cycle
from prefect_crash_monitor.explain.read_bundle import capture_bundle
from prefect_crash_monitor.model.interval import aligned
from prefect_crash_monitor.model.own import OWN_TAG, Place
from prefect_crash_monitor.prefect_api.client import Api, open_api
from prefect_crash_monitor.publish.write_artifacts import prune_artifacts
from prefect_crash_monitor.remediate.action import Act, Result
from prefect_crash_monitor.remediate.free_own_slots import free_stranded
from prefect_crash_monitor.state.ledger_store import LedgerStore
from prefect_crash_monitor.triage import findings as looks
from prefect_crash_monitor.triage.read_scene import gather
from prefect_crash_monitor.triage.render import render_triage
from prefect_crash_monitor.triage.scene import Scene

pytestmark = pytest.mark.server
MINUTE = timedelta(minutes=1)


def crashed_runs(world: World, flow: str, number: int) -> list[str]:
    """Runs of one deployment that crashed in a way that is worth a retry."""
    deployment = world.deployment(flow, "daily")
    return [world.deployed_run(deployment, PENDING, RUNNING, STOPPED) for _ in range(number)]


def retries(world: World, runs: list[str]) -> list[Act]:
    """A retry of each, as it is decided."""
    return [retry_of(run, get(world, f"/flow_runs/{run}")["state_id"]) for run in runs]


async def test_an_act_whose_event_cannot_be_sent_stops_no_other(world):
    """The event was sent outside of what an act may fail with: the second act was never done."""
    flow = unique("unsaid")
    runs = crashed_runs(world, flow, 2)
    acts = retries(world, runs)
    async with open_api() as api:
        first = await actor(RefusingApi(api, "POST /events"), settings(flow)).settle(acts)
        again = await actor(api, settings(flow)).settle(first)

    # Done, but not known to be: the next cycle finds that, says so, and does it no second time.
    assert [act.result for act in first] == [Result.PENDING, Result.PENDING]
    assert [act.result for act in again] == [Result.DONE, Result.DONE]
    assert [len(states(world, run)) for run in runs] == [5, 5]


LISTENED: dict[str, Callable[[Api, Settings, Act], Awaitable[object]]] = {
    "Actions of earlier cycles were not completed": lambda api, setting, act: actor(
        api, setting
    ).settle([act]),
    "Stranded runs of the monitor were not looked for": lambda api, setting, act: free_stranded(
        api, Place(deployment_id=act.target), [act.target], setting.policy, act.at
    ),
    "Old reports were not removed": lambda api, setting, act: prune_artifacts(
        api, setting.name, keep=1
    ),
}
"""What a cycle does beside counting, by how it says that it could not; its first request."""


@pytest.mark.parametrize("said", LISTENED)
async def test_what_a_cycle_does_beside_counting_ends_no_cycle(world, said):
    """Each looked something up first, and one refused look-up ended the cycle."""
    flow = unique("refused")
    (run,) = crashed_runs(world, flow, 1)
    (act,) = retries(world, [run])
    setting, start = settings(flow), aligned(datetime.now(UTC), TEN) + 2 * TEN
    place = Place(deployment_id=world.deployment(unique("own"), "x"))
    async with open_api() as api:
        listening, store = ListeningApi(api), LedgerStore(api, flow)
        await LISTENED[said](listening, setting, replace(act, id="another"))
        refusing = RefusingApi(api, next(iter(listening.kinds)))
        await run_cycle(api, setting, place, start + 6 * SECOND)
        await store.write(replace(await store.read(start), acts=(replace(act, at=start),)))
        result = await run_cycle(refusing, setting, place, start + TEN + 6 * SECOND)
        after = (await store.read(start)).watermark

    assert refusing.refusals
    assert [record.window.start for record in result.records] == [start]
    assert after == start + TEN
    assert [notice for notice in result.notices if notice.startswith(said)]


async def test_a_run_that_was_not_freed_is_not_counted_as_freed(world, api_url):
    """Each that was tried used to count: also one that the server failed to set CRASHED."""
    deployment = world.deployment(unique("own"), "x", tags=[OWN_TAG])
    failing, willing = (world.deployed_run(deployment, PENDING, RUNNING) for _ in range(2))
    now = datetime.now(UTC) + 20 * MINUTE

    with fake_proxy(api_url) as proxy, temporary_settings({PREFECT_API_URL: proxy.url}):
        proxy.trouble(f"/flow_runs/{failing}/set_state", always=Answer(500, b"{}"))
        async with open_api() as api:
            freed = await free_stranded(api, Place(), [deployment], Policy(), now)

    assert freed == 1
    assert [get(world, f"/flow_runs/{run}")["state_type"] for run in (failing, willing)] == [
        "RUNNING",
        "CRASHED",
    ]


class LateApi(Api):
    """Lets a run end, as runs do, between the list of stranded runs and the request to end it."""

    def __init__(self, api: Api, world: World, run: str) -> None:
        super().__init__(api._client)
        self._world, self._run = world, run

    async def _send(self, method: str, path: str, **more: Any) -> Any:
        if path == f"/flow_runs/{self._run}/set_state":
            self._world.go(self._run, COMPLETED)
        return await super()._send(method, path, **more)


async def test_a_run_that_ended_by_itself_is_not_counted_as_freed(world):
    """Prefect rejects that state with 200: the answer's status tells, not that there is one."""
    deployment = world.deployment(unique("own"), "x", tags=[OWN_TAG])
    run = world.deployed_run(deployment, PENDING, RUNNING)

    async with open_api() as api:
        now = datetime.now(UTC) + 20 * MINUTE
        late = LateApi(api, world, run)
        freed = await free_stranded(late, Place(), [deployment], Policy(), now)

    assert freed == 0
    assert get(world, f"/flow_runs/{run}")["state_type"] == "COMPLETED"


def scene_run(world: World, wait_until: Callable[..., object]) -> str:
    """A crashed run of a deployment with a work pool, an earlier run, and a crash beside it."""
    start = datetime.now(UTC)
    pool = unique("pool")
    world.post("/work_pools/", {"name": pool, "type": "process"})
    world.post(f"/work_pools/{pool}/workers/heartbeat", {"name": "w1"})
    daily = world.deployment(unique("odd"), "daily", work_pool_name=pool, concurrency_limit=9)
    world.deployed_run(daily, PENDING, RUNNING, COMPLETED)
    world.run(RUNNING, CRASHED, flow=unique("beside"))
    run = world.deployed_run(daily, PENDING, RUNNING, CRASHED)
    span = (start.isoformat(), (start + 60 * MINUTE).isoformat())
    wait_until(lambda: world.crash_events(*span) >= 2, what="both crashes")
    return run


async def seen(api: Api, run: str) -> Scene:
    """The scene of a run."""
    return await gather(api, run, "", datetime.now(UTC))


async def kinds_around(api: Api, run: str) -> list[str]:
    """The kinds of requests of a triage beyond those that explain the run itself, in order."""
    own, all_ = ListeningApi(api), ListeningApi(api)
    await capture_bundle(own, run, datetime.now(UTC))
    scene = await seen(all_, run)
    assert scene.gaps == ()
    return [kind for kind in all_.kinds if kind not in own.kinds]


def named(gaps: tuple[str, ...]) -> list[str]:
    """What is missing, by its name alone."""
    names = [gap.partition(": ")[0] for gap in gaps]
    return ["Work pool" if name.startswith("Work pool ") else name for name in names]


PARTS = [
    *("Crashes at the same time", "The crashed runs", "Causes of crashes at the same time"),
    *("The deployment", "Runs at work", "Earlier runs", "Later runs"),
    *("The last run that completed", "Work pool", "Workers", "Starts and stops of workers"),
    "Changes of deployment and pool",
]
"""What a triage reads around a run, in order."""


@pytest.mark.parametrize(
    ("odd", "taken"),
    [(None, ()), ({}, ("The deployment", "Work pool")), ([None], ("Workers",))],
    ids=repr,
)
async def test_an_odd_answer_is_a_gap_of_a_triage_not_its_end(world, wait_until, odd, taken):
    """A list of earlier runs that was none ended it; workers that were none were "no worker".

    `taken` are parts in which a field, or an item, that is missing is left empty.
    """
    run = scene_run(world, wait_until)
    async with open_api() as api:
        kinds = await kinds_around(api, run)
        scenes = [await seen(OddApi(api, {kind}, odd), run) for kind in kinds]

    # What crashed beside it on the tests' one server may be clear without another look.
    gaps = [found for one in scenes if (found := named(one.gaps)) != [PARTS[2]]]
    expected = [part for part in PARTS if part != PARTS[2]]
    assert gaps == [[] if part in taken else [part] for part in expected]
    assert {one.explanation.cause for one in scenes} == {"killed-oom-or-sigkill"}


def headings(scene: Scene) -> list[str]:
    """The headings of the published triage."""
    lines = render_triage(scene, ui_url="", requests=1).splitlines()
    return [line for line in lines if line.startswith("#")]


async def test_the_parts_of_a_triage_keep_their_order(world, wait_until):
    """Whatever is missing: the headings that are left, and what is said to be missing."""
    run = scene_run(world, wait_until)
    async with open_api() as api:
        kinds = await kinds_around(api, run)
        whole = headings(await seen(api, run))
        scenes = [await seen(OddApi(api, set(kinds[at:]), None), run) for at in range(len(kinds))]

    assert len(whole) >= 6
    for one in scenes:
        left = headings(one)
        assert left == [heading for heading in whole if heading in left]
        places = [
            PARTS.index(f.replace(f" {one.evidence.names.pool}", "")) for f in named(one.gaps)
        ]
        assert places == sorted(places)
    assert len(headings(scenes[0])) < len(whole)


def test_what_stands_out_keeps_the_order_of_the_looks(monkeypatch):
    """First all that is telling, then the rest, each as the looks found it."""
    told = [("c", False), ("b", True), ("d", False), ("a", True)]
    found = [looks.Finding(text=text, telling=telling) for text, telling in told]
    monkeypatch.setattr(looks, "LOOKS", [lambda _, one=one: [one] for one in found])

    assert [one.text for one in looks.findings(scene())] == ["b", "a", "c", "d"]
