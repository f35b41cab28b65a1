"""Acts on a real server: done once, left where it is not right any more, and never in a dry run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from tests.support.mortal import Killed, MortalApi
from tests.support.trouble import Answer, fake_proxy
from tests.support.world import COMPLETED, CRASHED, PENDING, RUNNING, SCHEDULED, World, unique

from prefect_crash_monitor.cli.text import cycle_text
from prefect_crash_monitor.config.actions import Mode
from prefect_crash_monitor.config.parse_policy import parse_policy
from prefect_crash_monitor.config.policy import Policy, Rule
from prefect_crash_monitor.config.read_policy import Settings
from prefect_crash_monitor.cycle.result import Result as Cycle
from prefect_crash_monitor.cycle.run_cycle import run_cycle
from prefect_crash_monitor.model.interval import aligned
from prefect_crash_monitor.model.own import OWN_TAG, REPORT_KEY, Place, artifact_key
from prefect_crash_monitor.prefect_api.client import Api, open_api
from prefect_crash_monitor.publish.events import MONITOR_LABEL
from prefect_crash_monitor.remediate.action import Act, ActKind, Result
from prefect_crash_monitor.remediate.execute_actions import MARK, Actor
from prefect_crash_monitor.state.ledger_store import LedgerStore

pytestmark = pytest.mark.server
SECOND = timedelta(seconds=1)
TEN = 10 * SECOND
STOPPED = CRASHED | {"message": "Process exited with status code: 143"}
"""By its worker's end, which is worth a retry."""

GONE = "the run, or its deployment or pool, is not there any more"
QUICK: dict[str, Any] = {
    "interval": TEN,
    "settle": 6 * SECOND,
    "grace": 0 * SECOND,
    "cooldown": TEN,
    "late_horizon": 60 * SECOND,
}


def settings(flow: str, *, mode: str = "act", **actions: Any) -> Settings:
    """A monitor that retries, in this mode, whatever of this flow is worth it."""
    retry = {"mode": mode, "only": {"flow": flow}, "backoff": 10, "at_most": 2}
    policy = parse_policy({**QUICK, "rules": [], "actions": {"retry": retry, **actions}})
    return Settings(name=flow, policy=policy)


@pytest.fixture
def stopped(world: World, wait_until: Callable[..., Any]) -> Callable[..., tuple[str, datetime]]:
    """Makes a run of a deployment crash; it, and the end of an interval after its backoff."""

    def make(flow: str, number: int = 1, **more: Any) -> tuple[str, datetime]:
        start = datetime.now(UTC)
        deployment = world.deployment(flow, "daily", **more)
        for _ in range(number):
            run = world.deployed_run(deployment, PENDING, RUNNING, STOPPED)
        filter_ = {
            "event": {"name": ["prefect.flow-run.Crashed"]},
            "related": {"id": [f"prefect.deployment.{deployment}"]},
            "occurred": {"since": start.isoformat()},
        }
        body = {"filter": filter_, "limit": 0}
        wait_until(lambda: world.post("/events/filter", body)["total"] >= number, what="crashes")
        return run, aligned(datetime.now(UTC), TEN) + 3 * TEN

    return make


async def cycle(api: Api, setting: Settings, now: datetime) -> Cycle:
    """One cycle at a time of our choice."""
    return await run_cycle(api, setting, Place(), now)


async def two_cycles(setting: Settings, end: datetime) -> list[Cycle]:
    """One that counts the crashes after a first one before them, and one more."""
    async with open_api() as api:
        await cycle(api, setting, end - 6 * TEN)
        return [await cycle(api, setting, at + 6 * SECOND) for at in (end, end + TEN)]


def states(world: World, run: str) -> list[dict[str, Any]]:
    """What a run went through."""
    answer = world.http.get("/flow_run_states/", params={"flow_run_id": run})
    found: list[dict[str, Any]] = answer.raise_for_status().json()
    return found


def get(world: World, path: str) -> dict[str, Any]:
    """What is at a path."""
    found: dict[str, Any] = world.http.get(path).raise_for_status().json()
    return found


def told(world: World, monitor: str) -> list[tuple[str, str]]:
    """The acts that events tell of: last word of the name, and mode."""
    filter_ = {
        "event": {"prefix": ["crash-monitor.action."]},
        "resource": {"labels": {MONITOR_LABEL: monitor}},
        "occurred": {"until": (datetime.now(UTC) + timedelta(days=1)).isoformat()},
    }
    page = world.post("/events/filter", {"filter": filter_, "limit": 50})
    return [
        (event["event"].rpartition(".")[2], event["resource"]["crash-monitor.mode"])
        for event in page["events"]
    ]


def report(world: World, monitor: str) -> str:
    """The latest report."""
    return str(get(world, f"/artifacts/{artifact_key(REPORT_KEY, monitor)}/latest")["data"])


def actor(api: Api, setting: Settings, **more: Any) -> Actor:
    """What acts for a monitor, now."""
    values: dict[str, Any] = {
        "api": api,
        "monitor": setting.name,
        "rules": setting.policy.actions,
        "own_deployments": (),
        "now": datetime.now(UTC),
    }
    return Actor(**{**values, **more})


async def test_a_run_is_retried_once(world, stopped, wait_until):
    """Scheduled again as Prefect's own retry does; an event and a line in the report tell of it."""
    flow = unique("retry")
    run, end = stopped(flow)
    first, second = await two_cycles(settings(flow), end)

    assert [(act.target, act.result) for act in first.acts] == [(run, Result.DONE)]
    assert second.acts == ()
    assert "act: retried, done: flow-run " in cycle_text(first.to_json())
    ours = states(world, run)[-1]
    assert (ours["type"], ours["name"]) == ("SCHEDULED", "AwaitingRetry")
    assert ours["message"] == f"{MARK} ({flow}), retry 1, for sigterm-exit."
    assert len(states(world, run)) == 5
    wait_until(lambda: told(world, flow), what="the event")
    assert told(world, flow) == [("retried", "act")]
    assert "**retried** flow run" in report(world, flow)
    assert "(sigterm-exit, retry 1)" in report(world, flow)


async def test_a_dry_run_changes_nothing(world, stopped, wait_until):
    """It tells what it would do, once, in the same places."""
    flow = unique("dry")
    run, end = stopped(flow)
    before = states(world, run)
    first, second = await two_cycles(settings(flow, mode="dry_run"), end)

    assert [act.result for act in first.acts] == [Result.WOULD]
    assert second.acts == ()
    assert states(world, run) == before
    wait_until(lambda: told(world, flow), what="the event")
    assert told(world, flow) == [("retried", "dry_run")]
    assert "would retry flow run" in report(world, flow)


async def test_off_says_and_does_nothing(world, stopped):
    """The default."""
    flow = unique("off")
    run, end = stopped(flow)
    results = await two_cycles(settings(flow, mode="off"), end)

    assert [result.acts for result in results] == [(), ()]
    assert len(states(world, run)) == 4
    assert "Actions" not in report(world, flow)


@pytest.mark.parametrize("after", [False, True], ids=["before the request", "after it"])
async def test_killed_at_any_step_it_is_retried_once(world, stopped, wait_until, after):
    """Each cycle dies at another request, also between ledger and act; the next ones finish."""
    flow = unique("killed")
    run, end = stopped(flow)
    setting, deaths = settings(flow), 0
    async with open_api() as api:
        await cycle(api, setting, end - 6 * TEN)
        for request in range(1, 200):
            # Each a new interval, so that what a killed one had decided is taken up.
            now = end + request * TEN + 6 * SECOND
            try:
                await cycle(MortalApi(api, request, after=after), setting, now)
                break
            except Killed:
                deaths += 1
        last = now + TEN
        await cycle(api, setting, last)
        ledger = await LedgerStore(api, flow).read(last)

    assert deaths >= 15
    assert [state["message"] for state in states(world, run)].count(
        f"{MARK} ({flow}), retry 1, for sigterm-exit."
    ) == 1
    assert [act.result for act in ledger.acts] == [Result.DONE]
    wait_until(lambda: told(world, flow), what="the event")
    assert told(world, flow) == [("retried", "act")]


async def test_killed_between_ledger_and_act(world, stopped):
    """What is written down is done by the next cycle, and by a second one at once not again."""
    flow = unique("between")
    run, end = stopped(flow)
    setting = settings(flow)
    async with open_api() as api:
        await cycle(api, setting, end - 6 * TEN)
        for request in range(1, 200):
            store = LedgerStore(api, flow)
            try:
                await cycle(MortalApi(api, request, after=True), setting, end + 6 * SECOND)
            except Killed:
                if (await store.read(end)).acts:
                    break
        assert len(states(world, run)) == 4
        now = end + TEN + 6 * SECOND
        both = [await cycle(api, setting, now), await cycle(api, setting, now)]

    assert [result.acts for result in both] == [(), ()]
    assert states(world, run)[-1]["message"].startswith(MARK)
    assert len(states(world, run)) == 5


def retry_of(run: str, state: str, **more: Any) -> Act:
    """A retry as it is decided."""
    values: dict[str, Any] = {
        "id": unique("act"),
        "kind": ActKind.RETRIED,
        "mode": Mode.ACT,
        "at": datetime.now(UTC),
        "target": run,
        "target_type": "flow-run",
        "name": "run",
        "why": "sigterm-exit",
        "detail": state,
    }
    return Act(**{**values, **more})


def marked(number: int) -> list[dict[str, str]]:
    """So many retries of ours, each ending in another crash."""
    ours = SCHEDULED | {"message": f"{MARK} (other), retry, for k8s-evicted."}
    return [ours, PENDING, RUNNING, STOPPED] * number


@pytest.mark.parametrize(
    ("happens", "remark"),
    [
        (lambda world, run, _: world.go(run, SCHEDULED), "the run has moved on"),
        (lambda world, run, _: world.go(run, COMPLETED), "the run has moved on"),
        (
            lambda world, run, _: world.go(run, SCHEDULED, PENDING, RUNNING, STOPPED),
            "the run has moved on",
        ),
        (lambda world, run, _: world.delete_run(run), GONE),
        (
            lambda world, _, deployment: world.patch(
                f"/deployments/{deployment}", {"paused": True}
            ),
            "its deployment is paused",
        ),
        (
            lambda world, _, deployment: world.http.delete(f"/deployments/{deployment}"),
            GONE,
        ),
    ],
    ids=["retried", "completed", "crashed again", "deleted", "paused", "undeployed"],
)
async def test_what_is_not_right_any_more_is_left(world, happens, remark):
    """Whatever happened between the decision and the act: nothing is forced."""
    flow = unique("left")
    deployment = world.deployment(flow, "daily")
    run = world.deployed_run(deployment, PENDING, RUNNING, STOPPED)
    act = retry_of(run, get(world, f"/flow_runs/{run}")["state_id"])
    happens(world, run, deployment)
    before = states(world, run)
    async with open_api() as api:
        (done,) = await actor(api, settings(flow)).settle([act])

    assert (done.result, done.remark) == (Result.LEFT, remark)
    assert states(world, run) == before


async def test_the_runs_history_bounds_retries_that_the_ledger_forgot(world):
    """Also another monitor's count; one less than allowed is still done."""
    flow = unique("bounded")
    deployment, results = world.deployment(flow, "daily"), []
    async with open_api() as api:
        for number in (1, 2):
            run = world.deployed_run(deployment, PENDING, RUNNING, STOPPED, *marked(number))
            act = retry_of(run, get(world, f"/flow_runs/{run}")["state_id"])
            (done,) = await actor(api, settings(flow)).settle([act])
            results.append((done.result, done.remark))

    assert results == [(Result.DONE, ""), (Result.LEFT, "the run was retried as often as allowed")]


async def test_an_act_is_left_where_the_policy_has_changed(world):
    """Switched off, or back to a dry run, after it was decided."""
    flow = unique("changed")
    run = world.deployed_run(world.deployment(flow, "daily"), PENDING, RUNNING, STOPPED)
    act = retry_of(run, get(world, f"/flow_runs/{run}")["state_id"])
    async with open_api() as api:
        for mode in ("off", "dry_run"):
            (done,) = await actor(api, settings(flow, mode=mode)).settle([replace(act, id=mode)])
            assert (done.result, done.remark) == (Result.LEFT, "it was switched off meanwhile")

    assert len(states(world, run)) == 4


async def test_an_act_whose_event_is_there_was_done_before(world, wait_until):
    """By a killed cycle or a double: it is believed, and nothing is looked at again."""
    flow = unique("before")
    run = world.deployed_run(world.deployment(flow, "daily"), PENDING, RUNNING, STOPPED)
    act = retry_of(run, get(world, f"/flow_runs/{run}")["state_id"])
    async with open_api() as api:
        (first,) = await actor(api, settings(flow)).settle([act])
        wait_until(lambda: told(world, flow), what="the event")
        before = api.requests
        (again,) = await actor(api, settings(flow)).settle([act])

    assert (first.result, again.result) == (Result.DONE, Result.DONE)
    assert api.requests == before + 1


def storm(flow: str, what: str) -> Settings:
    """A monitor that pauses what crashes three times."""
    values: dict[str, Any] = {
        **QUICK,
        "rules": [Rule(name="storm", only={"flow": flow}, scope="everything")],
        "actions": {"pause": {"mode": "act", "rules": ["storm"], "what": what}},
    }
    return Settings(name=flow, policy=Policy(**values))


async def test_a_deployment_is_paused_and_stays_resumed(world, stopped, wait_until):
    """Once in an incident: whom a person resumes by the command told is not paused again."""
    flow = unique("storm")
    _, end = stopped(flow, 3)
    setting = storm(flow, "deployment")
    first, second = await two_cycles(setting, end)

    (act,) = first.acts
    assert (act.result, act.name, second.acts) == (Result.DONE, f"{flow}/daily", ())
    assert get(world, f"/deployments/{act.target}")["paused"]
    assert f"to resume it: `{act.undo}`" in report(world, flow)
    wait_until(lambda: told(world, flow), what="the event")
    assert told(world, flow) == [("paused", "act")]

    _, _, method, path = act.undo.split()
    world.http.request(method, path).raise_for_status()
    async with open_api() as api:
        third = await cycle(api, setting, end + 2 * TEN + 6 * SECOND)

    assert third.judgement.open
    assert third.acts == ()
    assert not get(world, f"/deployments/{act.target}")["paused"]


@pytest.mark.parametrize("own", [False, True], ids=["of others", "its own"])
async def test_a_pool_is_paused_but_never_the_monitors_own(world, stopped, own):
    """Else the monitor would stop itself, and could not even say so."""
    flow, pool = unique("pool"), unique("my pool")
    world.post("/work_pools/", {"name": pool, "type": "process"})
    if own:
        world.deployment("crash-monitor", unique("m"), work_pool_name=pool, tags=[OWN_TAG])
    _, end = stopped(flow, 3, work_pool_name=pool)
    first, _ = await two_cycles(storm(flow, "work-pool"), end)

    (act,) = first.acts
    assert get(world, f"/work_pools/{pool}")["is_paused"] is not own
    left = (Result.LEFT, "the monitor itself runs there")
    assert (act.result, act.remark) == (left if own else (Result.DONE, ""))
    assert act.undo == f"prefect work-pool resume '{pool}'"


async def test_a_leaked_slot_is_freed_and_no_other(world, stopped, wait_until):
    """A slot that a task of the dead run holds; that of a living run stays taken."""
    flow, tag = unique("slots"), unique("db")
    world.post("/concurrency_limits/", {"tag": tag, "concurrency_limit": 2})
    run, end = stopped(flow)
    living = world.run(RUNNING, flow=flow)
    held = []
    for holder in (run, living):
        body = {"flow_run_id": holder, "task_key": "t", "dynamic_key": unique("k"), "tags": [tag]}
        task = world.post("/task_runs/", body)["id"]
        world.post("/concurrency_limits/increment", {"names": [tag], "task_run_id": task})
        held.append(task)
    free = {"mode": "act", "after": 120}
    setting = settings(flow, mode="off", free_slots=free)
    first, _ = await two_cycles(setting, end + 12 * TEN)

    assert [(act.target, act.result) for act in first.acts] == [(held[0], Result.DONE)]
    limit = get(world, f"/concurrency_limits/tag/{tag}")
    assert limit["active_slots"] == [held[1]]
    assert get(world, f"/v2/concurrency_limits/tag:{tag}")["active_slots"] == 1
    assert f"**freed** slot of tag {tag}" in report(world, flow)


async def test_slots_that_nobody_claims_are_shown_and_left(world, stopped):
    """More slots taken than runs alive: whose they are is unobservable, and the report says so."""
    flow = unique("unclaimed")
    _, end = stopped(flow, concurrency_limit=3)
    deployment = world.deployment(flow, "daily")
    world.deployed_run(deployment, PENDING, RUNNING)
    limit = f"deployment:{deployment}"
    world.post("/v2/concurrency_limits/increment", {"names": [limit], "slots": 1})
    setting = settings(flow, mode="off", free_slots={"mode": "act"})
    first, _ = await two_cycles(setting, end)

    assert first.acts == ()
    (notice,) = [notice for notice in first.notices if "slots are taken" in notice]
    assert f"deployment {flow}/daily 2 concurrency slots are taken, but 1 of its runs" in notice
    assert notice.endswith(f"prefect gcl update {limit} --active-slots 1")
    assert get(world, f"/v2/concurrency_limits/{limit}")["active_slots"] == 2


async def test_an_act_that_fails_is_tried_once_more(world, api_url):
    """Not in the same cycle, and neither the cycle nor the other acts stop for it."""
    flow = unique("fails")
    deployment, acts = world.deployment(flow, "daily"), []
    for _ in range(2):
        run = world.deployed_run(deployment, PENDING, RUNNING, STOPPED)
        acts.append(retry_of(run, get(world, f"/flow_runs/{run}")["state_id"]))
    setting, now = settings(flow), acts[0].at
    acts[1] = replace(acts[1], at=now)
    with fake_proxy(api_url) as proxy, temporary_settings({PREFECT_API_URL: proxy.url}):
        proxy.trouble(f"{acts[0].target}/set_state", always=Answer(status=409, body=b"{}"))
        async with open_api() as api:
            first = await actor(api, setting, now=now).settle(acts)
            again = await actor(api, setting, now=now + TEN).settle(acts[:1])
    async with open_api() as api:
        third = await actor(api, setting, now=now + 2 * TEN).settle(again)

    assert [act.result for act in first] == [Result.FAILED, Result.DONE]
    assert [act.result for act in again] == [Result.FAILED]
    assert third == again
    assert "409" in again[0].remark
    assert len(states(world, acts[0].target)) == 4
