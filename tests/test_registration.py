"""Registering automations on a real server: again and again, at once, over what others did."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.world import World, unique

from prefect_crash_monitor.config.policy import Policy
from prefect_crash_monitor.config.read_policy import load_settings
from prefect_crash_monitor.errors import BadInput, Refused, UnsuitableBlock
from prefect_crash_monitor.model.own import OWN_TAG
from prefect_crash_monitor.notify.automations.desired import PREFIX
from prefect_crash_monitor.notify.automations.diff import difference, is_own_automation
from prefect_crash_monitor.notify.automations.read_schedules import longest_gap
from prefect_crash_monitor.notify.automations.register_automations import Registration, register
from prefect_crash_monitor.notify.automations.triage import NOT_DEPLOYED
from prefect_crash_monitor.notify.routing import NOBODY_IS_TOLD
from prefect_crash_monitor.prefect_api.client import Api, open_api

pytestmark = pytest.mark.server
MINUTE = timedelta(minutes=1)
NUMBER = 7
"""Incident opened, reminded, resolved, digest; silent, still silent; notification failed."""

Body = dict[str, Any]


@pytest.fixture
def monitor(world: World) -> Iterator[str]:
    """A monitor of this test alone; its automations are gone afterwards."""
    name = unique("reg")
    yield name
    for automation in on_server(world, name):
        world.http.delete(f"/automations/{automation['id']}")


@pytest.fixture
def block(world: World) -> str:
    """A notification block, as block-type/name."""
    return notification_block(world)


def notification_block(world: World) -> str:
    """A fresh webhook block that nobody answers at."""
    name = unique("hook")
    data = {"name": "t", "url": "http://127.0.0.1:9/", "json_data": {"text": "{{body}}"}}
    return save_block(world, "custom-webhook", name, data)


def save_block(world: World, slug: str, name: str, data: Body) -> str:
    """Saves a block document by the REST API; block-type/name."""
    block_type = world.http.get(f"/block_types/slug/{slug}").raise_for_status().json()["id"]
    filter_ = {"block_schemas": {"block_type_id": {"any_": [block_type]}}}
    schema = world.post("/block_schemas/filter", filter_)[0]["id"]
    body = {"name": name, "data": data, "block_type_id": block_type, "block_schema_id": schema}
    world.post("/block_documents/", body)
    return f"{slug}/{name}"


def everything(world: World) -> list[Body]:
    """All automations, the oldest first."""
    body = {"sort": "CREATED_DESC", "limit": 200}
    return list(reversed(world.post("/automations/filter", body)))


def on_server(world: World, monitor: str) -> list[Body]:
    """A monitor's automations, by its name at their end."""
    return [a for a in everything(world) if a["name"].endswith(f" ({monitor})")]


def of(world: World, monitor: str, what: str) -> Body:
    """The one automation of this name."""
    (found,) = [a for a in on_server(world, monitor) if a["name"] == named(what, monitor)]
    return found


def named(what: str, monitor: str) -> str:
    """The name of one automation."""
    return f"{PREFIX}{what} ({monitor})"


def trigger_ids(world: World, monitor: str) -> dict[str, str]:
    """Prefect keys its cooldowns by these; a new id notifies again."""
    return {a["name"]: a["trigger"]["id"] for a in on_server(world, monitor)}


async def registered(policy: Policy, monitor: str, **how: bool) -> Registration:
    """Registers over a connection of its own."""
    async with open_api() as api:
        return await register(api, policy, monitor=monitor, **how)


async def test_the_second_time_nothing_changes(world, monitor, block):
    """Everything unchanged, and the triggers keep their ids, hence their cooldowns."""
    policy = Policy(receiver=block, failure_receiver=notification_block(world))

    first = await registered(policy, monitor)
    before = trigger_ids(world, monitor)
    second = await registered(policy, monitor)

    assert len(first.created) == len(set(first.created)) == NUMBER
    assert first.warnings == (NOT_DEPLOYED,)
    assert second.unchanged == first.created
    assert (second.created, second.updated, second.removed) == ((), (), ())
    assert trigger_ids(world, monitor) == before
    assert all(a["tags"] == [OWN_TAG] and a["enabled"] for a in on_server(world, monitor))


@pytest.mark.slow
def test_five_processes_at_once_make_one_set(world, api_url, monitor, block, tmp_path):
    """The real command five times at the same time: one of each, whoever was first."""
    from prefect_crash_monitor.blocks import CrashPolicy

    CrashPolicy(receiver=block).save(monitor)
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    environment = kept | {"PREFECT_API_URL": api_url, "PREFECT_HOME": str(tmp_path)}
    command = ["-m", "prefect_crash_monitor", "register", "--policy", monitor, "--json"]

    racers = [
        subprocess.Popen(
            [sys.executable, *command],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(5)
    ]
    said = [racer.communicate(timeout=120) for racer in racers]

    assert [racer.returncode for racer in racers] == [0] * 5, said
    answers = [json.loads(out) for out, _ in said]
    assert all(set(a) == {"created", "updated", "unchanged", "removed"} for a in answers)
    names = [automation["name"] for automation in on_server(world, monitor)]
    assert sorted(names) == sorted(set(names))
    assert len(names) == NUMBER

    again = subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, text=True, check=True
    )
    assert sorted(json.loads(again.stdout)["unchanged"]) == sorted(names)


async def test_at_once_from_one_process_too(world, monitor, block):
    """Eight coroutines, which meet the server closer together than processes do."""
    await asyncio.gather(*(registered(Policy(receiver=block), monitor) for _ in range(4)))

    names = [automation["name"] for automation in on_server(world, monitor)]
    assert len(names) == len(set(names)) == NUMBER


async def test_an_operators_pause_is_kept(world, monitor, block):
    """Neither registering again nor a changed policy switches it on."""
    policy = Policy(receiver=block)
    await registered(policy, monitor)
    paused = of(world, monitor, "incident opened")
    world.http.patch(f"/automations/{paused['id']}", json={"enabled": False}).raise_for_status()

    same = await registered(policy, monitor)
    changed = await registered(Policy(receiver=block, cooldown=10 * MINUTE), monitor)

    assert same.updated == ()
    assert paused["name"] in changed.updated
    after = of(world, monitor, "incident opened")
    assert (after["id"], after["enabled"]) == (paused["id"], False)
    assert after["trigger"]["within"] == 600
    assert of(world, monitor, "incident resolved")["enabled"]


async def test_only_what_drifted_is_updated(world, monitor, block):
    """A new reminder span changes one automation; the others keep their cooldowns."""
    await registered(Policy(receiver=block), monitor)
    before = trigger_ids(world, monitor)

    result = await registered(Policy(receiver=block, silent_reminder=60 * MINUTE), monitor)

    still_silent = named("monitor still silent", monitor)
    assert result.updated == (still_silent,)
    assert len(result.unchanged) == NUMBER - 1
    changed = {n for n, id_ in trigger_ids(world, monitor).items() if before[n] != id_}
    assert changed == {still_silent}


async def test_another_receiver_reaches_the_actions(world, monitor, block):
    """All that notify are updated, the failure receiver's own automation is not."""
    await registered(Policy(receiver=block), monitor)
    other = notification_block(world)

    result = await registered(Policy(receiver=other), monitor)

    assert result.unchanged == (named("notification failed", monitor),)
    target = of(world, monitor, "incident opened")["actions"][0]
    path = "/block_types/slug/{}/block_documents/name/{}".format(*other.split("/"))
    assert target["block_document_id"] == world.http.get(path).json()["id"]


async def test_a_change_by_hand_is_undone(world, monitor, block):
    """A trigger edited in the UI is as the policy wants it again."""
    await registered(Policy(receiver=block), monitor)
    edited = of(world, monitor, "incident opened")
    body = {k: edited[k] for k in ("name", "description", "tags", "enabled", "actions")}
    trigger = edited["trigger"] | {"threshold": 5}
    world.http.put(
        f"/automations/{edited['id']}", json=body | {"trigger": trigger}
    ).raise_for_status()

    result = await registered(Policy(receiver=block), monitor)

    assert result.updated == (edited["name"],)
    assert of(world, monitor, "incident opened")["trigger"]["threshold"] == 1


async def test_orphans_and_duplicates_go(world, monitor, block):
    """Ours that nobody wants any more are removed; of two of a name the oldest stays."""
    policy = Policy(receiver=block)
    await registered(policy, monitor)
    oldest = of(world, monitor, "incident opened")
    orphan = named("of an earlier version", monitor)
    world.post("/automations/", copy_of(oldest))
    world.post("/automations/", copy_of(oldest) | {"name": orphan})

    result = await registered(policy, monitor)

    assert set(result.removed) == {orphan, oldest["name"]}
    assert of(world, monitor, "incident opened")["id"] == oldest["id"]
    assert len(on_server(world, monitor)) == NUMBER


def copy_of(automation: Body) -> Body:
    """A body that creates the same automation once more."""
    keys = ("name", "description", "tags", "enabled", "actions")
    trigger = {k: v for k, v in automation["trigger"].items() if k != "id"}
    return {k: automation[k] for k in keys} | {"trigger": trigger}


async def test_nobody_elses_are_touched(world, monitor, block):
    """Not one of the same name without our tag, not another monitor's, not a tagged stranger."""
    policy = Policy(receiver=block)
    await registered(policy, monitor)
    ours = of(world, monitor, "incident opened")
    longer, shorter = f"x {monitor}", monitor[1:]
    strangers = [
        copy_of(ours) | {"tags": []},
        copy_of(ours) | {"name": named("incident opened", longer)},
        copy_of(ours) | {"name": named("incident opened", shorter)},
        copy_of(ours) | {"name": f"A name of their own ({monitor})"},
    ]
    made = [world.post("/automations/", body) for body in strangers]

    try:
        again = await registered(policy, monitor)
        gone = await registered(policy, monitor, remove=True)
        left = {automation["id"]: automation for automation in everything(world)}
    finally:
        for stranger in made:
            world.http.delete(f"/automations/{stranger['id']}")

    assert len(again.unchanged) == NUMBER
    assert again.removed == ()
    assert len(gone.removed) == NUMBER
    for stranger in made:
        assert left[stranger["id"]]["updated"] == stranger["updated"]
        assert left[stranger["id"]]["trigger"]["id"] == stranger["trigger"]["id"]


@pytest.mark.parametrize(
    ("name", "monitor", "ours"),
    [
        ("incident opened", "default", True),
        ("incident opened (eu)", "default", False),
        ("incident opened (eu)", "eu", True),
        ("incident opened (eu)", "u", False),
        ("incident opened", "eu", False),
        ("incident opened (a-b--c)", "c", False),
        ("incident opened (default)", "default", False),
    ],
)
def test_whose_an_automation_is(name, monitor, ours):
    """The monitor's name stands at the end; `default` has none."""
    body = {"name": f"{PREFIX}{name}", "tags": [OWN_TAG]}

    assert is_own_automation(body, monitor) is ours


async def test_remove_and_again(world, monitor, block):
    """All are gone; removing once more removes nothing."""
    await registered(Policy(receiver=block), monitor)

    gone = await registered(Policy(receiver=block), monitor, remove=True)
    nothing = await registered(Policy(receiver=block), monitor, remove=True)

    assert len(gone.removed) == NUMBER
    assert on_server(world, monitor) == []
    assert nothing == Registration()


async def test_removing_needs_no_receiver(world, monitor, block):
    """Also with a policy whose block is gone there is a way out."""
    await registered(Policy(receiver=block), monitor)

    gone = await registered(Policy(receiver="custom-webhook/gone"), monitor, remove=True)

    assert len(gone.removed) == NUMBER


async def test_a_dry_run_tells_and_changes_nothing(world, monitor, block):
    """It lists what it would do: create, update, remove."""
    first = await registered(Policy(receiver=block), monitor, dry_run=True)
    assert len(first.created) == NUMBER
    assert on_server(world, monitor) == []

    await registered(Policy(receiver=block), monitor)
    before = on_server(world, monitor)
    changed = await registered(Policy(receiver=block, cooldown=10 * MINUTE), monitor, dry_run=True)
    gone = await registered(Policy(receiver=block), monitor, remove=True, dry_run=True)

    assert len(changed.updated) == 5  # four of incidents, and that of failed notifications
    assert len(gone.removed) == NUMBER
    assert on_server(world, monitor) == before


async def test_nobody_is_told_without_a_receiver(world, monitor):
    """All are registered; what would notify does nothing, and it is said."""
    result = await registered(Policy(), monitor)

    assert len(result.created) == NUMBER
    assert result.warnings == (NOBODY_IS_TOLD, NOT_DEPLOYED)
    actions = [a for automation in on_server(world, monitor) for a in automation["actions"]]
    assert [action["type"] for action in actions] == ["do-nothing"] * NUMBER


@pytest.mark.parametrize("field", ["receiver", "failure_receiver"])
@pytest.mark.parametrize(
    ("named_block", "trouble"),
    [
        ("custom-webhook/no-such-block", "does not exist"),
        ("no-such-type/x", "does not exist"),
        ("secret/{}", "cannot notify"),
        ("webhook/{}", "cannot notify"),
    ],
)
async def test_an_unsuitable_block_is_refused(world, monitor, block, field, named_block, trouble):
    """The message names the field, the block and what there is instead; the others are made."""
    name = unique("unfit")
    data = {"secret": {"value": "s3cret"}, "webhook": {"url": "http://127.0.0.1:9/"}}
    slug = named_block.partition("/")[0]
    if slug in data:
        save_block(world, slug, name, data[slug])
    policy = Policy(**{field: named_block.format(name)})

    with pytest.raises(UnsuitableBlock) as refused:
        await registered(policy, monitor)

    message = str(refused.value)
    assert f"The policy's {field} is {named_block.format(name)}" in message
    assert trouble in message
    assert block in message
    assert "s3cret" not in message
    failed = named("notification failed", monitor)
    tells_the_failure_receiver = {a["name"] == failed for a in on_server(world, monitor)}
    assert tells_the_failure_receiver == {field == "receiver"}
    assert refused.value.exit_code == 2


def test_the_command_says_what_is_wrong(world, api_url, monitor, block, tmp_path):
    """Exit code 2, the message on stderr, nothing on stdout."""
    from prefect_crash_monitor.blocks import CrashPolicy

    CrashPolicy(receiver="slack-webhook/nobody").save(monitor)
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    done = subprocess.run(
        [sys.executable, "-m", "prefect_crash_monitor", "register", "--policy", monitor, "--json"],
        env=kept | {"PREFECT_API_URL": api_url, "PREFECT_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert "receiver is slack-webhook/nobody, which does not exist" in done.stderr
    assert block in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "name", ["../../secret", "Über", "a b", "x/y", "", "%2e%2e", "a?b", "a\nb", "de(f)ault"]
)
async def test_odd_names_of_monitors_are_refused(api_url, name):
    """They are names of blocks; what can be none is never put into a path or an automation."""
    async with open_api() as api:
        with pytest.raises(BadInput, match="is no name of a block"):
            await load_settings(api, name)

        assert api.requests == 0


class FullPlan(Api):
    """A fake: Prefect Cloud's plan is full, so one automation of ours more is refused."""

    def __init__(self, api: Api, refused: str) -> None:
        super().__init__(api._client)
        self._refused = refused

    async def post(self, path: str, body: Any) -> Any:
        """Refuses the one automation."""
        if path == "/automations/" and self._refused in body["name"]:
            raise Refused("The plan allows no more automations (403).")
        return await super().post(path, body)


async def test_one_that_is_refused_does_not_keep_the_others_away(world, monitor, block):
    """A plan's limit used to leave a monitor that notifies of nothing, and counts nothing."""
    policy = Policy(receiver=block)
    async with open_api() as api:
        done = await register(FullPlan(api, "incident reminded"), policy, monitor=monitor)
        again = await register(api, policy, monitor=monitor)

    assert len(done.created) == NUMBER - 1
    assert done.failed == (
        f"{named('incident reminded', monitor)}: The plan allows no more automations (403).",
    )
    assert again.created == (named("incident reminded", monitor),)
    assert again.failed == ()


async def test_a_field_that_a_later_prefect_adds_is_no_difference(world, monitor, block):
    """Else each registration would update all automations, which forgets their cooldowns."""
    async with open_api() as api:
        await register(api, Policy(receiver=block), monitor=monitor)
        there = on_server(world, monitor)
        wanted = [{**body, "enabled": True} for body in there]
        for body in there:
            body["trigger"] = body["trigger"] | {"added_later": None}
            body["actions"] = [action | {"added_later": 0} for action in body["actions"]]

    assert not difference(wanted, there, monitor=monitor)
    there[0]["actions"] = [*there[0]["actions"], {"type": "do-nothing"}]
    assert len(difference(wanted, there, monitor=monitor).update) == 1


@pytest.mark.parametrize(
    ("schedules", "gap"),
    [
        ([{"interval": 600.0}], 10 * MINUTE),
        ([{"cron": "*/20 * * * *", "timezone": "UTC"}], 20 * MINUTE),
        ([{"cron": "*/20 * * * *"}, {"interval": 600.0}], 10 * MINUTE),
        ([{"cron": "*/30 8-17 * * 1-5", "timezone": "Europe/Berlin"}], timedelta(hours=62.5)),
        ([{"cron": "* 8-17 * * 1-5", "timezone": "UTC"}], timedelta(days=2, hours=14, minutes=1)),
        ([{"cron": "0 6 1 * *", "timezone": "UTC"}], timedelta(days=31)),
        ([{"rrule": "FREQ=HOURLY;INTERVAL=3"}], timedelta(hours=3)),
        ([{"rrule": "DTSTART:20200101T000000Z\nRRULE:FREQ=DAILY;COUNT=3"}], timedelta(0)),
        ([{}], timedelta(0)),
        ([], timedelta(0)),
    ],
)
async def test_the_longest_gap_of_schedules(schedules, gap):
    """Nights and weekends, in the schedule's own time zone; several schedules fill each other's."""
    monday = datetime(2026, 11, 23, tzinfo=UTC)

    assert await longest_gap(schedules, monday) == gap


@pytest.mark.parametrize(
    ("schedule", "within"), [({"interval": 600.0}, 1800), ({"cron": "*/20 * * * *"}, 3600)]
)
async def test_a_deployment_that_runs_less_often_is_not_called_silent_before_each_cycle(
    world, monitor, block, schedule, within
):
    """The dead man's span follows the deployment's schedule where that is the longer one."""
    world.deployment(
        "crash-monitor",
        monitor,
        tags=[OWN_TAG],
        parameters={"policy": monitor},
        schedules=[{"active": True, "schedule": schedule}],
    )
    policy = Policy(receiver=block, interval=MINUTE, silent_after=3)
    async with open_api() as api:
        await register(api, policy, monitor=monitor)

    assert of(world, monitor, "monitor silent")["trigger"]["within"] == within
