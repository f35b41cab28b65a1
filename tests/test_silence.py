"""What the registered automations do on a real server: notify once, and speak up for silence."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.webhook import Webhook, webhook
from tests.support.world import unique

from prefect_crash_monitor.config.policy import Policy
from prefect_crash_monitor.count.count import count
from prefect_crash_monitor.model.crash import Observation
from prefect_crash_monitor.model.incident import Incident, Kind, Reason, Transition
from prefect_crash_monitor.model.interval import Window
from prefect_crash_monitor.notify.automations.desired import Receivers, desired_automations
from prefect_crash_monitor.notify.automations.register_automations import register
from prefect_crash_monitor.prefect_api.client import Api, open_api
from prefect_crash_monitor.publish.events import OutgoingEvent, incident_event, interval_event
from prefect_crash_monitor.publish.send_events import send

SECOND = timedelta(seconds=1)


@asynccontextmanager
async def watched(hook: Webhook, **more: Any) -> AsyncIterator[tuple[Api, str]]:
    """A monitor whose automations notify this webhook, as long as the context lasts."""
    monitor = unique("watched")
    await save_webhook(monitor, hook.url)
    values = {"receiver": f"custom-webhook/{monitor}", **more}
    policy = Policy(
        **{k: v.format(monitor) if isinstance(v, str) else v for k, v in values.items()}
    )
    async with open_api() as api:
        await register(api, policy, monitor=monitor)
        try:
            yield api, monitor
        finally:
            await register(api, policy, monitor=monitor, remove=True)


async def save_webhook(name: str, url: str) -> None:
    """A notification block of Prefect's, which posts to a URL."""
    from prefect.blocks.notifications import CustomWebhookNotificationBlock

    data = {"subject": "{{subject}}", "text": "{{body}}"}
    block = CustomWebhookNotificationBlock.model_validate(
        {"name": "t", "url": url, "json_data": data}
    )
    await block.save(name)


def counted(monitor: str) -> OutgoingEvent:
    """The event of an interval that was counted just now."""
    now = datetime.now(UTC)
    window = Window(now - 10 * SECOND, now)
    record = count(Observation(window=window), window, counted_at=now)
    return interval_event(record, monitor=monitor, now=now)


def told(monitor: str, kind: Kind, subject: str, **more: Any) -> OutgoingEvent:
    """An incident event that notifies with this subject; `more` are fields of the incident."""
    now = datetime.now(UTC)
    incident = Incident(
        id="abcdef012345",
        episode=1,
        rule="loop",
        scope="deployment",
        group="etl/daily",
        severity="warning",
        opened_at=now,
        first_crash_at=now,
        last_crash_at=now,
        burning_until=now,
        crashes=3,
    )
    transition = Transition(
        kind=kind, incident=replace(incident, **more), reason=Reason.THRESHOLD_CROSSED, at=now
    )
    text = {"subject": subject, "text": f"The text of {subject}"}
    return incident_event(transition, text, monitor=monitor, now=now)


def subjects(hook: Webhook) -> list[str]:
    """What was received, sorted: several actions run at once."""
    return sorted(message["subject"] for message in hook.messages)


@pytest.mark.server
@pytest.mark.slow
async def test_a_silent_monitor_is_told_of_once_and_slowly_again(api_url, wait_until):
    """The precise form speaks once, whatever time goes by; the slow one goes on reminding."""
    spans = {"interval": 10 * SECOND, "silent_after": 2, "silent_reminder": 10 * SECOND}
    with webhook() as hook:
        async with watched(hook, **spans) as (api, monitor):
            await send(api, [counted(monitor) for _ in range(3)])  # as it catches up
            silent = f"The crash monitor {monitor} is silent"
            wait_until(lambda: silent in subjects(hook), what="the first word of silence")
            before = len(hook.messages)
            # Two more reminders take as long as the precise form's span: it had its chance.
            wait_until(lambda: len(hook.messages) >= before + 2, what="reminders")

    assert subjects(hook).count(silent) == 1
    assert set(subjects(hook)) == {silent, f"{silent} (reminder)"}
    for message in hook.messages:
        assert "No interval was counted" in message["text"]
        for name in ("monitor silent", "monitor still silent"):
            pause = f'prefect automation pause "Crash monitor: {name} ({monitor})"'
            assert pause in message["text"]


@pytest.mark.server
async def test_repeats_are_swallowed_and_news_never(api_url, wait_until):
    """Within one cooldown: each episode, reminder and all-clear once, its repeats not at all."""
    with webhook() as hook:
        async with watched(hook) as (api, monitor):
            first = told(monitor, Kind.OPENED, "opened")
            news = [
                first,
                told(monitor, Kind.OPENED, "opened again", episode=2),
                told(monitor, Kind.OPENED, "another opened", id="123456abcdef"),
                told(monitor, Kind.REMINDED, "reminder 1", reminders=1),
                told(monitor, Kind.REMINDED, "reminder 2", reminders=2),
                told(monitor, Kind.RESOLVED, "resolved"),
                told(monitor, Kind.RESOLVED, "resolved again", episode=2),
            ]
            await send(api, [*news, first])
            wait_until(lambda: len(hook.messages) >= len(news), what="the news")
            repeats = [replace(event, id=told(monitor, Kind.OPENED, "").id) for event in news]
            last = told(monitor, Kind.OPENED, "the last", id="ffffffffffff")
            await send(api, [first, *repeats, last])
            wait_until(lambda: "the last" in subjects(hook), what="the last of all")

    assert subjects(hook) == sorted(
        [*(str(event.payload["subject"]) for event in news), "the last"]
    )
    assert {m["text"] for m in hook.messages} == {f"The text of {s}" for s in subjects(hook)}


@pytest.mark.server
async def test_other_monitors_incidents_are_not_ours(api_url, wait_until):
    """Two monitors on one server, each with its own receiver."""
    with webhook() as hook, webhook() as other_hook:
        async with watched(hook) as (api, monitor), watched(other_hook) as (_, other):
            await send(api, [told(monitor, Kind.OPENED, "ours"), told(other, Kind.OPENED, "other")])
            wait_until(lambda: hook.messages and other_hook.messages, what="both notifications")

    assert (subjects(hook), subjects(other_hook)) == (["ours"], ["other"])


@pytest.mark.server
async def test_a_notification_that_fails_is_told_elsewhere(api_url, wait_until):
    """The receiver's chat is down: the second block says which notification is missing, and why.

    Mattermost stands for the blocks that go by Apprise; Prefect tells of their failures, not of
    a custom webhook's.
    """
    from prefect.blocks.notifications import MattermostWebhook

    chat = unique("chat")
    block = MattermostWebhook(hostname="127.0.0.1", token="abcdef", port=9, secure=False)
    await block.save(chat)
    with webhook() as hook:
        receivers = {
            "receiver": f"mattermost-webhook/{chat}",
            "failure_receiver": "custom-webhook/{}",
        }
        async with watched(hook, **receivers) as (api, monitor):
            await send(api, [told(monitor, Kind.OPENED, "nobody reads this")])
            wait_until(lambda: hook.messages, what="word of the failure")

    assert subjects(hook) == ["A crash monitor notification was not sent"]
    (message,) = hook.messages
    assert f"Crash monitor: incident opened ({monitor}): " in message["text"]
    assert "Notification failed" in message["text"]
    assert "crash-monitor incidents" in message["text"]


def test_a_failure_never_tells_of_itself():
    """With the second receiver down as well there must be no loop."""
    bodies = desired_automations(Policy(), Receivers(), monitor="default")
    (failed,) = [body for body in bodies if body["name"].endswith("notification failed")]

    watched_names = failed["trigger"]["match"]["prefect.resource.name"]
    assert set(watched_names) == {body["name"] for body in bodies} - {failed["name"]}


def test_spans_of_silence_come_from_the_policy():
    """Silent after so many intervals, never below what Prefect takes; reminded as set."""
    policy = Policy(interval=60 * SECOND, silent_after=3, silent_reminder=timedelta(hours=2))
    bodies = {b["name"]: b for b in desired_automations(policy, Receivers(), monitor="default")}

    precise = bodies["Crash monitor: monitor silent"]["trigger"]
    slow = bodies["Crash monitor: monitor still silent"]["trigger"]
    assert (precise["within"], slow["within"]) == (180, 7200)
    # Prefect never fires the form without `after` where it has a `for_each`.
    assert (precise["for_each"], slow["for_each"]) == (["prefect.resource.id"], [])
    assert (precise["after"], slow["after"]) == (precise["expect"], [])
