"""Notifications watched on a real server: what Prefect reports of each way they can end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prefect.blocks.notifications import MattermostWebhook
from tests.support.webhook import Webhook, webhook
from tests.support.world import CRASHED, RUNNING, World, unique
from tests.test_cycle import cycle, own_crashes, settings
from tests.test_registration import save_block
from tests.test_silence import save_webhook, told

from prefect_crash_monitor.blocks import CrashPolicy
from prefect_crash_monitor.cli.handlers import open_incidents
from prefect_crash_monitor.config.policy import Policy, Rule
from prefect_crash_monitor.errors import UnsuitableBlock
from prefect_crash_monitor.model.incident import Kind
from prefect_crash_monitor.model.interval import aligned
from prefect_crash_monitor.notify.automations.register_automations import register
from prefect_crash_monitor.notify.delivery.confirm import DEADLINE, REPORTS, told_now
from prefect_crash_monitor.notify.delivery.read_reports import watch
from prefect_crash_monitor.notify.delivery.record import Delivery, Status, Why
from prefect_crash_monitor.prefect_api.client import Api, open_api
from prefect_crash_monitor.publish.send_events import send

pytestmark = pytest.mark.server
SECOND = timedelta(seconds=1)


async def save_chat(name: str, port: int) -> str:
    """A block that goes by Apprise, as Slack's and most others; block-type/name."""
    block = MattermostWebhook(hostname="127.0.0.1", token="abcdef", port=port, secure=False)
    await block.save(name)
    return f"mattermost-webhook/{name}"


async def save_custom(name: str, hook: Webhook) -> str:
    """A custom webhook; block-type/name."""
    await save_webhook(name, hook.url)
    return f"custom-webhook/{name}"


@asynccontextmanager
async def one_told(policy: Policy) -> AsyncIterator[tuple[Api, Delivery]]:
    """A monitor that has just told of an incident, and its notification to be watched."""
    monitor = unique("told")
    async with open_api() as api:
        await register(api, policy, monitor=monitor)
        try:
            event = told(monitor, Kind.OPENED, "🔴 3 crashes in etl/daily [warning]")
            await send(api, [event])
            now = datetime.now(UTC)
            (delivery,) = told_now([event.body()], policy, monitor=monitor, now=now)
            yield api, delivery
        finally:
            await register(api, policy, monitor=monitor, remove=True)


def reports(world: World, delivery: Delivery) -> list[str]:
    """What automations reported on a told event, as far as it is stored."""
    filter_ = {
        "event": {"name": list(REPORTS)},
        "related": {"id": [f"prefect.event.{delivery.event_id}"]},
    }
    found = world.post("/events/filter", {"filter": filter_})["events"]
    return sorted(event["event"].removeprefix("prefect.automation.") for event in found)


async def looked(api: Api, delivery: Delivery, after: timedelta) -> tuple[Delivery, int]:
    """A delivery after one more look, and how many requests that took."""
    before = api.requests
    (decided,) = await watch(api, [delivery], delivery.told_at + after)
    return decided, api.requests - before


async def test_a_chat_that_takes_it_confirms(world, wait_until):
    """Prefect reports it executed; one request, and none from then on."""
    with webhook() as hook:
        policy = Policy(receiver=await save_chat(unique("chat"), port_of(hook)))
        async with one_told(policy) as (api, delivery):
            wait_until(lambda: "action.executed" in reports(world, delivery), what="the report")
            decided, requests = await looked(api, delivery, 5 * SECOND)
            again, more = await looked(api, decided, 10 * SECOND)

    assert (decided.status, requests) == (Status.CONFIRMED, 1)
    assert (again, more) == (decided, 0)
    assert len(hook.messages) == 1


def port_of(hook: Webhook) -> int:
    """The port that a receiver listens at."""
    return int(hook.url.rstrip("/").rpartition(":")[2])


def save_slack_that_is_none(world: World, name: str) -> str:
    """A Slack block whose URL is no Slack URL."""
    return save_block(world, "slack-webhook", name, {"url": "http://127.0.0.1:9/s3cr3tt0ken"})


@pytest.mark.parametrize("way", ["answers 500", "refuses", "no Slack URL"])
async def test_a_chat_that_does_not_take_it_fails(world, wait_until, way):
    """With the reason that Prefect gives, at the first look."""
    name = unique("chat")
    with webhook(status=500) as hook:
        receivers = {
            "answers 500": await save_chat(name, port_of(hook)),
            "refuses": await save_chat(f"{name}-closed", 9),
            "no Slack URL": save_slack_that_is_none(world, name),
        }
        async with one_told(Policy(receiver=receivers[way])) as (api, delivery):
            wait_until(lambda: "action.failed" in reports(world, delivery), what="the report")
            decided, requests = await looked(api, delivery, 5 * SECOND)

    words = {"answers 500": "error=500", "refuses": "Connection error", "no Slack URL": "service"}
    assert (decided.why, requests) == (Why.ACTION_FAILED, 1)
    assert decided.detail.startswith("Notification failed: ")
    assert words[way] in decided.detail
    assert "s3cr3tt0ken" not in decided.detail


async def test_a_custom_webhook_that_fails_is_never_confirmed(world, wait_until):
    """Prefect sends it up to four times and reports nothing: neither success nor failure."""
    with webhook(status=500) as hook:
        policy = Policy(receiver=await save_custom(unique("hook"), hook))
        async with one_told(policy) as (api, delivery):
            wait_until(lambda: len(hook.messages) == 4, what="four tries")
            wait_until(lambda: "triggered" in reports(world, delivery), what="the firing")
            first, one = await looked(api, delivery, DEADLINE / 2)
            second, two = await looked(api, first, DEADLINE)

    assert (first.status, first.looks, one) == (Status.PENDING, 1, 1)
    assert (second.why, second.status, two) == (Why.NEVER_REPORTED, Status.UNCONFIRMED, 1)


class CutApi(Api):
    """Claims that there is more than the page shows, as where others react to our events."""

    async def post(self, path: str, body: object) -> Any:
        """The page, and a total above it."""
        answer = await super().post(path, body)
        return answer | {"total": 99} if path == "/events/filter" else answer


async def test_of_a_page_that_was_cut_silence_proves_nothing(world, wait_until):
    """What is overdue stays pending, without a second request: its report may be further on."""
    async with one_told(Policy(receiver=await save_chat(unique("chat"), 9))) as (api, delivery):
        wait_until(lambda: "triggered" in reports(world, delivery), what="the firing")
        cut = CutApi(api._client)
        elsewhere = replace(delivery, event_id="00000000-0000-5000-8000-000000000000", looks=5)
        decided, requests = await looked(cut, elsewhere, DEADLINE)

    assert (decided, requests) == (elsewhere, 1)


async def test_a_custom_webhook_that_answers_confirms(world, wait_until):
    """Its success is reported as any other's."""
    with webhook() as hook:
        policy = Policy(receiver=await save_custom(unique("hook"), hook))
        async with one_told(policy) as (api, delivery):
            wait_until(lambda: "action.executed" in reports(world, delivery), what="the report")
            decided, _ = await looked(api, delivery, 5 * SECOND)

    assert decided.why is Why.EXECUTED


async def test_without_a_receiver_nobody_is_waited_for(world, wait_until):
    """No request; and where only the automation has none, its report says that it did nothing."""
    async with one_told(Policy()) as (api, delivery):
        same, none = await looked(api, delivery, 5 * SECOND)
        wait_until(lambda: "action.executed" in reports(world, delivery), what="the report")
        waited_for = replace(delivery, why=Why.NOT_YET)
        decided, one = await looked(api, waited_for, 5 * SECOND)

    assert (same, none) == (delivery, 0)
    assert (decided.status, one) == (Status.NOBODY, 1)


async def pause(world: World, api: Api, path: str) -> None:
    """As an operator pauses an automation."""
    world.patch(path, {"enabled": False})


async def delete(world: World, api: Api, path: str) -> None:
    """As somebody tidies up."""
    await api.delete(path)


async def leave(world: World, api: Api, path: str) -> None:
    """Nothing is done to it."""


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (pause, Why.AUTOMATION_PAUSED),
        (delete, Why.AUTOMATION_MISSING),
        (leave, Why.NEVER_FIRED),
    ],
)
async def test_why_nothing_fired(world, monitorless, change, why):
    """Paused by an operator, deleted, or Prefect forgot it: asked for once, when it is overdue."""
    async with monitorless() as (api, delivery):
        body = {"automations": {"name": {"any_": [delivery.automation]}}}
        (automation,) = world.post("/automations/filter", body)
        await change(world, api, f"/automations/{automation['id']}")
        first, one = await looked(api, delivery, DEADLINE / 2)
        second, two = await looked(api, first, DEADLINE)

    assert (first.status, one) == (Status.PENDING, 1)
    assert (second.why, two) == (why, 2)


@pytest.fixture
def monitorless() -> Callable[[], Any]:
    """As `one_told`, but the event is another's than the automation has seen."""

    @asynccontextmanager
    async def told_into_the_void() -> AsyncIterator[tuple[Api, Delivery]]:
        with webhook() as hook:
            policy = Policy(receiver=await save_custom(unique("hook"), hook))
            async with one_told(policy) as (api, delivery):
                yield api, replace(delivery, event_id="00000000-0000-5000-8000-000000000000")

    return told_into_the_void


async def test_the_next_cycle_reports_it_and_a_reminder_mends_it(world, wait_until):
    """Whole cycles: told to a broken chat, shown as failed; the chat repaired, told, confirmed."""
    flow = unique("watched")
    await CrashPolicy().save(flow)  # commands refuse the name of a policy that is not there
    with webhook() as hook:
        broken = {"receiver": await save_chat(f"{flow}-broken", 9), "remind_after": 20 * SECOND}
        good = broken | {"receiver": await save_chat(f"{flow}-good", port_of(hook))}
        end = crashes(world, flow, wait_until) + 6 * SECOND
        async with open_api() as api:
            await cycle(api, settings(flow, **broken, silent_after=100), end)
            told_at_first = await open_incidents(flow)
            await reported(world, flow, "action.failed", wait_until)
            await cycle(api, settings(flow, **broken, silent_after=100), end + 10 * SECOND)
            failed, report = await open_incidents(flow), newest_report(world, flow)
            await cycle(api, settings(flow, **good, silent_after=100), end + 20 * SECOND)
            await reported(world, flow, "action.executed", wait_until)
            await cycle(api, settings(flow, **good, silent_after=100), end + 30 * SECOND)
            mended, report_after = await open_incidents(flow), newest_report(world, flow)
            await register(api, Policy(), monitor=flow, remove=True)

    assert [i["notified"] for i in (*told_at_first, *failed, *mended)] == [
        *("pending", "failed", "confirmed"),
    ]
    assert "## Not confirmed to be told" in report["data"]
    assert f"Prefect could not send it to mattermost-webhook/{flow}-broken" in report["data"]
    assert "1 not confirmed to be told" in report["description"]
    assert "Not confirmed to be told" not in report_after["data"]
    assert len(hook.messages) == 1


async def test_a_broken_route_stops_neither_cycle_nor_notification(world, wait_until):
    """Counted, reported with the block's name, told to the receiver; then the run fails."""
    flow = unique("broken")
    await CrashPolicy().save(flow)
    rule = Rule(name="loop", scope="dimension", dimension=flow, crashes=2, severity="critical")
    with webhook() as hook:
        setting = settings(
            flow,
            receiver=await save_chat(flow, port_of(hook)),
            routes={"critical": "slack-webhook/nobody"},
            rules=[rule],
            silent_after=100,
        )
        end = crashes(world, flow, wait_until) + 6 * SECOND
        async with open_api() as api:
            for later in (0, 10):
                with pytest.raises(UnsuitableBlock, match=r"routes\.critical is slack-webhook/nob"):
                    await cycle(api, setting, end + later * SECOND)
                await reported(world, flow, "action.executed", wait_until)
            (incident,) = await open_incidents(flow)
            await register(api, Policy(), monitor=flow, remove=True)

    assert (incident["crashes"], incident["notified"]) == (2, "confirmed")
    assert "routes.critical is slack-webhook/nobody" in newest_report(world, flow)["data"]
    assert len(hook.messages) == 1


def crashes(world: World, flow: str, wait_until: Callable[..., Any]) -> datetime:
    """Two runs crash; the end of the interval that they are in."""
    start = datetime.now(UTC)
    for _ in range(2):
        world.run(RUNNING, CRASHED, flow=flow, tags=[f"{flow}:acme"])
    wait_until(lambda: own_crashes(world, flow, start) == 2, what="crash events")
    return aligned(datetime.now(UTC), 10 * SECOND) + 10 * SECOND


async def reported(world: World, monitor: str, name: str, wait_until: Callable[..., Any]) -> None:
    """Waits until one of a monitor's automations has reported something."""
    filter_ = {
        "event": {"name": [f"prefect.automation.{name}"]},
        "resource": {
            "labels": {"prefect.resource.name": [f"Crash monitor: incident *({monitor})"]}
        },
    }
    body = {"filter": filter_, "limit": 0}
    wait_until(lambda: world.post("/events/filter", body)["total"], what=name)


def newest_report(world: World, monitor: str) -> dict[str, Any]:
    """The latest version of the artifact."""
    found: dict[str, Any] = world.http.get(f"/artifacts/crash-report-{monitor}/latest").json()
    return found
