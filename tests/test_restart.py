"""The real project on a real server that is killed and started again in between."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.server import Server, server_with_project, world_of
from tests.support.webhook import webhook
from tests.support.world import CRASHED, PENDING, RUNNING, World, unique

from prefect_crash_monitor.config.parse_policy import parse_policy
from prefect_crash_monitor.config.policy import Policy, Rule, Scope
from prefect_crash_monitor.config.read_policy import Settings
from prefect_crash_monitor.cycle.result import Result
from prefect_crash_monitor.cycle.run_cycle import run_cycle
from prefect_crash_monitor.model.crash import Crash
from prefect_crash_monitor.model.interval import EPOCH, aligned
from prefect_crash_monitor.model.own import OWN_TAG, Place
from prefect_crash_monitor.observe.read_own_deployments import own_deployments_of
from prefect_crash_monitor.prefect_api.client import Api, open_api
from prefect_crash_monitor.publish.events import INCIDENT_EVENTS, INTERVAL_COUNTED, MONITOR_LABEL
from prefect_crash_monitor.remediate.free_own_slots import free_stranded

pytestmark = [pytest.mark.server, pytest.mark.slow]
SECOND = timedelta(seconds=1)
TEN = 10 * SECOND
MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server for this file, with the project deployed by the real commands."""
    with server_with_project() as server:
        server.box.command("prefect", "--no-prompt", "deploy", "--all")
        yield server


@pytest.fixture
def there(server: Server) -> Iterator[World]:
    """The world of that server; our own API goes there, too."""
    with world_of(server) as world:
        yield world


def settings(name: str, receiver: str | None = None) -> Settings:
    """A policy quick enough for a test, whose cooldown outlasts a restart."""
    rule = Rule(
        name="loop",
        scope=Scope.DIMENSION,
        dimension=name,
        crashes=3,
        within=5 * MINUTE,
        quiet_for=5 * MINUTE,
    )
    policy = Policy(
        interval=TEN,
        settle=6 * SECOND,
        grace=0 * SECOND,
        cooldown=5 * MINUTE,
        late_horizon=5 * MINUTE,
        silent_after=100,
        receiver=receiver,
        rules=[rule],
    )
    return Settings(name=name, policy=policy)


async def cycle(api: Api, setting: Settings, now: datetime) -> Result:
    """One cycle at a time of our choice."""
    return await run_cycle(api, setting, Place(), now)


async def test_killed_servers_lose_and_repeat_nothing(server, there, wait_until):
    """Killed after crashes, and again right after a notification: counted and told once.

    The first kill takes the event of the last crash with it, mostly, as the server keeps events
    in memory for up to 5 s; the second one those that the cycle had just sent. Not promised: a
    server killed in the second between an event and its notification, as Prefect keeps what is
    to be done in memory, too, and counts the trigger as fired.
    """
    name, start = unique("restart"), datetime.now(UTC)
    tags = [f"{name}:acme"]
    with webhook() as hook:
        setting = settings(name, await save_webhook(name, hook.url))
        async with open_api() as api:
            await cycle(api, setting, aligned(start, TEN) + setting.policy.settle)
        for _ in range(2):
            there.run(RUNNING, CRASHED, flow=name, tags=tags)
        wait_until(lambda: crash_events(there, name) == 2, what="two crash events")
        there.run(RUNNING, CRASHED, flow=name, tags=tags)
        server.restart()

        end = aligned(datetime.now(UTC), TEN) + TEN
        async with open_api() as api:
            first = await cycle(api, setting, end + 6 * SECOND)
        wait_until(lambda: hook.messages, what="the notification")
        server.restart()
        async with open_api() as api:
            second = await cycle(api, setting, end + TEN + 6 * SECOND)
            wait_until(lambda: told(there, name, INCIDENT_EVENTS["opened"]), what="the event")
            third = await cycle(api, setting, end + 12 * MINUTE)
            wait_until(lambda: len(hook.messages) > 1, what="the all-clear")

    records = [record for result in (first, second, third) for record in result.records]
    assert sum(record.by["flow"].get(name, 0) for record in records) == 3
    assert len({record.window for record in records}) == len(records)
    assert all(record.complete for record in records), records[0].gaps
    assert [m["subject"].split()[0] for m in hook.messages] == ["🔴", "✅"]
    for event, number in (
        (INCIDENT_EVENTS["opened"], 1),
        (INCIDENT_EVENTS["resolved"], 1),
        (INTERVAL_COUNTED, len(records) + 1),  # with the one before the crashes
    ):
        wait_until(lambda e=event, n=number: told(there, name, e) >= n, what=f"{number} {event}")
        assert told(there, name, event) == number


async def save_webhook(name: str, url: str) -> str:
    """A notification block; block-type/name."""
    from prefect.blocks.notifications import CustomWebhookNotificationBlock

    data = {"subject": "{{subject}}", "text": "{{body}}"}
    block = CustomWebhookNotificationBlock.model_validate(
        {"name": "t", "url": url, "json_data": data}
    )
    await block.save(name)
    return f"custom-webhook/{name}"


def crash_events(world: World, name: str) -> int:
    """How many crash events of runs with the tag are stored."""
    filter_ = {
        "event": {"prefix": ["prefect.flow-run."]},
        "resource": {"labels": {"prefect.state-type": "CRASHED"}},
        "related": {"id": [f"prefect.tag.{name}:acme"]},
    }
    return int(world.post("/events/filter", {"filter": filter_, "limit": 0})["total"])


def told(world: World, monitor: str, event: str) -> int:
    """How many events of this name a monitor has on the server."""
    filter_ = {
        "event": {"name": [event]},
        "resource": {"labels": {MONITOR_LABEL: monitor}},
        "occurred": {"until": (datetime.now(UTC) + 60 * MINUTE).isoformat()},
    }
    return int(world.post("/events/filter", {"filter": filter_, "limit": 0})["total"])


def deployment(world: World) -> dict[str, Any]:
    """The monitor as it is deployed."""
    answer = world.http.get("/deployments/name/crash-monitor/crash-monitor")
    found: dict[str, Any] = answer.raise_for_status().json()
    return found


def test_deployed_as_the_file_says(server, there):
    """Schedule, limit, strategy, tag: all of them arrived."""
    found = deployment(there)

    assert found["tags"] == [OWN_TAG]
    assert found["parameters"] == {"policy": "default"}
    assert (found["paused"], found["work_pool_name"]) == (False, "crash-monitor")
    assert found["global_concurrency_limit"]["limit"] == 2
    options = found["concurrency_options"]
    assert (options["collision_strategy"], options["grace_period_seconds"]) == ("CANCEL_NEW", 120)
    (schedule,) = found["schedules"]
    assert schedule["slug"] == "every-interval"
    assert (schedule["active"], schedule["schedule"]["interval"]) == (True, 300)


def test_the_scheduler_makes_its_runs(server, there, wait_until):
    """Half a minute after each boundary of five minutes.

    With SQLAlchemy 2.1 the scheduler of Prefect 3.8 makes none: its bulk insert is refused, and
    the monitor would never run.
    """
    body = {"deployments": {"id": {"any_": [deployment(there)["id"]]}}, "sort": "ID_DESC"}
    runs = wait_until(
        lambda: [r for r in there.post("/flow_runs/filter", body) if r["auto_scheduled"]],
        what="scheduled runs",
    )

    starts = [datetime.fromisoformat(run["expected_start_time"]) for run in runs]
    assert {start.timestamp() % 300 for start in starts} == {30}
    assert len(set(starts)) == len(starts)


def test_deploying_again_keeps_what_an_operator_did(server, there):
    """The schedule keeps its id and its pause; the deployment its id."""
    before = deployment(there)
    (schedule,) = before["schedules"]
    path = f"/deployments/{before['id']}/schedules/{schedule['id']}"
    there.patch(path, {"active": False})
    try:
        server.box.command("prefect", "--no-prompt", "deploy", "--all")
        after = deployment(there)
    finally:
        there.patch(path, {"active": True})

    assert after["id"] == before["id"]
    assert [(s["id"], s["active"]) for s in after["schedules"]] == [(schedule["id"], False)]
    assert after["global_concurrency_limit"]["limit"] == 2


def test_the_policy_script_saves_the_default(server, there):
    """`prefect block register` and `python blocks/crash_policy.py`, as its docstring says."""
    path = "/block_types/slug/crash-policy/block_documents/name/default"
    assert there.http.get(path).status_code == 404
    file = "blocks/crash_policy.py"

    server.box.command("prefect", "block", "register", "--file", file)
    subprocess.run(
        [sys.executable, file],
        cwd=server.box.project,
        env=server.box.environment(),
        capture_output=True,
        check=True,
    )

    document = there.http.get(path).raise_for_status().json()
    there.http.delete(f"/block_documents/{document['id']}")
    assert parse_policy(document["data"]) == Policy()


async def test_the_command_runs_a_cycle_there(server, there):
    """`crash-monitor run --json`, without a worker, a block or a receiver."""
    answer = json.loads(server.box.command("prefect_crash_monitor", "run", "--json"))

    assert answer["complete"] is True
    assert any("Nobody is notified" in notice for notice in answer["notices"])
    keys = ("crash-report", "crash-runs")
    assert all(there.http.get(f"/artifacts/{key}/latest").is_success for key in keys)


async def test_own_deployments_are_known_by_their_tag(there):
    """A crash without an event has its run's tags only, which may be without ours."""
    own, other = (
        there.deployment("crash-monitor", unique("monitor"), tags=tags) for tags in ([OWN_TAG], [])
    )
    crashes = [
        Crash(state_id=id_, at=EPOCH, flow_run_id=id_, flow="crash-monitor", deployment_id=id_)
        for id_ in (own, other)
    ]

    async with open_api() as api:
        assert await own_deployments_of(api, crashes) == {own}
        assert await own_deployments_of(api, []) == frozenset()
        assert api.requests == 1


async def test_stranded_cycles_are_freed(server, there):
    """After a restart their slots would be taken for ever: Prefect keeps leases in memory."""
    policy, id_ = Policy(), deployment(there)["id"]
    late = (datetime.now(UTC) - 60 * MINUTE).isoformat()
    scheduled = {"state": {"type": "SCHEDULED", "state_details": {"scheduled_time": late}}}
    running = there.deployed_run(id_, PENDING, RUNNING)
    pending = there.deployed_run(id_, PENDING, **scheduled)
    assert states(there, running, pending) == ["RUNNING", "PENDING"]
    server.restart()
    blocked = there.deployed_run(id_, PENDING)
    assert states(there, blocked) == ["CANCELLED"]

    async with open_api() as api:
        now, place = datetime.now(UTC), Place(deployment_id=id_)
        young = await free_stranded(api, place, [id_], policy, now + 10 * MINUTE)
        itself = Place(deployment_id=id_, flow_run_id=running)
        first = await free_stranded(api, itself, [id_], policy, now + 20 * MINUTE)
        after_first = states(there, running, pending)
        second = await free_stranded(api, place, [id_], policy, now + 20 * MINUTE)
        third = await free_stranded(api, place, [id_], policy, now + 20 * MINUTE)

    # The pending one was due an hour ago, but has been pending for a moment only.
    assert young == 0
    assert (first, after_first) == (1, ["RUNNING", "CRASHED"])
    assert (second, third) == (1, 0)
    assert states(there, running, pending) == ["CRASHED", "CRASHED"]
    fresh = [there.deployed_run(id_, PENDING) for _ in range(3)]
    assert states(there, *fresh) == ["PENDING", "PENDING", "CANCELLED"]


def states(world: World, *runs: str) -> list[str]:
    """The types of the states that runs are in."""
    answers = [world.http.get(f"/flow_runs/{run}").raise_for_status() for run in runs]
    return [answer.json()["state"]["type"] for answer in answers]
