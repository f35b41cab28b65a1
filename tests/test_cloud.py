"""The same on a server and on Prefect Cloud, which names the events of automations otherwise.

Cloud is a fake one in front of the same server: `support/fake_cloud` says what of it is faked.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from tests.support.fake_cloud import FakeCloud, fake_cloud
from tests.support.webhook import webhook
from tests.support.world import RUNNING, World, unique
from tests.test_cycle import cycle, settings
from tests.test_delivery_watch import crashes, looked, one_told, port_of, reported, reports
from tests.test_registration import NUMBER, named, of, registered, save_block, trigger_ids
from tests.test_silence import subjects, told

from prefect_crash_monitor.cli.handlers import capture_runs
from prefect_crash_monitor.config.policy import Policy
from prefect_crash_monitor.explain import Confidence, evidence_of_bundle, explain
from prefect_crash_monitor.model.incident import Kind
from prefect_crash_monitor.notify.automations.register_automations import register
from prefect_crash_monitor.notify.delivery.confirm import DEADLINE
from prefect_crash_monitor.notify.delivery.record import Status, Why
from prefect_crash_monitor.prefect_api.client import open_api
from prefect_crash_monitor.publish.send_events import send
from prefect_crash_monitor.state.ledger_store import LedgerStore

pytestmark = pytest.mark.server
SECOND = timedelta(seconds=1)
LONG_UNMARKED_SECONDS = 30
"""The trigger waits for 10, and is looked at every 10."""

HEARTBEAT = "prefect.flow-run.heartbeat"
EXECUTED = "automation.action.executed"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the monitor is used."""

    namespace: str
    """Of the names that automations' events have there."""
    world: World
    """As it is seen there."""
    server: World
    """What does the work: a test waits for what happens on it, whatever it is called there."""

    def chat(self, port: int) -> str:
        """A block that goes by Apprise, as Slack's and most others; block-type/name."""
        data = {"hostname": "127.0.0.1", "token": "abcdef", "port": port, "secure": False}
        return save_block(self.world, "mattermost-webhook", unique("chat"), data)

    def custom(self, url: str) -> str:
        """A custom webhook; block-type/name."""
        json_data = {"subject": "{{subject}}", "text": "{{body}}"}
        data = {"name": "t", "url": url, "json_data": json_data}
        return save_block(self.world, "custom-webhook", unique("hook"), data)


@pytest.fixture(params=["prefect", "prefect-cloud"])
def place(request: pytest.FixtureRequest, world: World) -> Iterator[Place]:
    """The session's server, once by itself and once as Cloud."""
    if request.param == "prefect":
        yield Place("prefect", world, world)
        return
    with fake_cloud(world.api_url) as cloud:
        seen = cloud.world()
        yield Place("prefect-cloud", seen, world)
        seen.close()


@pytest.fixture
def cloud(api_url: str) -> Iterator[FakeCloud]:
    """The fake alone."""
    with fake_cloud(api_url) as cloud:
        yield cloud


async def test_automations_are_registered_once_and_stay_as_they_are(place):
    """That of failed notifications expects what they are called there, and fires on the server."""
    monitor, policy = unique("cloud"), Policy(receiver=place.chat(9))
    try:
        first = await registered(policy, monitor)
        before = trigger_ids(place.server, monitor)
        second = await registered(policy, monitor)
        failed = [of(w, monitor, "notification failed") for w in (place.world, place.server)]
    finally:
        gone = await registered(policy, monitor, remove=True)

    assert len(first.created) == len(second.unchanged) == len(gone.removed) == NUMBER
    assert trigger_ids(place.server, monitor) == {}
    assert set(before) == set(first.created)
    expected_there, expected = (set(automation["trigger"]["expect"]) for automation in failed)
    assert f"{place.namespace}.automation.action.failed" in expected_there
    assert "prefect.automation.action.failed" in expected


async def test_a_notification_that_went_out_is_confirmed(place, wait_until):
    """At the first look, by what the automation reports there."""
    with webhook() as hook:
        async with one_told(Policy(receiver=place.chat(port_of(hook)))) as (api, delivery):
            wait_until(lambda: "action.executed" in reports(place.server, delivery))
            decided, requests = await looked(api, delivery, 5 * SECOND)

    assert (decided.status, requests) == (Status.CONFIRMED, 1)
    assert len(hook.messages) == 1


async def test_a_notification_that_failed_is_found(place, wait_until):
    """With Prefect's reason and the block that was tried."""
    receiver = place.chat(9)
    async with one_told(Policy(receiver=receiver)) as (api, delivery):
        wait_until(lambda: "action.failed" in reports(place.server, delivery))
        decided, requests = await looked(api, delivery, 5 * SECOND)

    assert (decided.why, decided.receiver, requests) == (Why.ACTION_FAILED, receiver, 1)
    assert "Connection error" in decided.detail


async def test_of_a_custom_webhook_that_fails_only_the_firing_is_known(place, wait_until):
    """The automation fired and reported nothing more: not the same as one that never fired."""
    with webhook(status=500) as hook:
        async with one_told(Policy(receiver=place.custom(hook.url))) as (api, delivery):
            wait_until(lambda: len(hook.messages) == 4, what="four tries")
            wait_until(lambda: "triggered" in reports(place.server, delivery))
            first, _ = await looked(api, delivery, DEADLINE / 2)
            second, _ = await looked(api, first, DEADLINE)

    assert (first.status, second.why) == (Status.PENDING, Why.NEVER_REPORTED)


async def test_a_notification_that_fails_is_told_elsewhere(place, wait_until):
    """The automation that watches the others fires on what a failure is called there."""
    monitor = unique("cloud")
    with webhook() as hook:
        policy = Policy(receiver=place.chat(9), failure_receiver=place.custom(hook.url))
        async with open_api() as api:
            await register(api, policy, monitor=monitor)
            try:
                event = told(monitor, Kind.OPENED, "nobody reads this")
                await send(api, [event])
                wait_until(lambda: failures(place.server, event.id), what="the failure")
                wait_until(lambda: hook.messages, what="word of the failure")
            finally:
                await register(api, policy, monitor=monitor, remove=True)

    assert subjects(hook) == ["A crash monitor notification was not sent"]
    assert named("incident opened", monitor) in hook.messages[0]["text"]


def failures(server: World, event_id: str) -> int:
    """How many notifications of an event have failed, by the server."""
    filter_ = {
        "event": {"name": ["prefect.automation.action.failed"]},
        "related": {"id": [f"prefect.event.{event_id}"]},
    }
    return int(server.post("/events/filter", {"filter": filter_, "limit": 0})["total"])


async def test_a_cycle_tells_and_the_next_one_confirms(place, wait_until):
    """Counted, told and looked up where the API asks for a key and has a longer path."""
    flow = unique("cloud")
    with webhook() as hook:
        setting = settings(flow, receiver=place.chat(port_of(hook)), silent_after=100)
        end = crashes(place.world, flow, wait_until) + 6 * SECOND
        async with open_api() as api:
            result = await cycle(api, setting, end)
            await reported(place.server, flow, "action.executed", wait_until)
            await cycle(api, setting, end + 10 * SECOND)
            ledger = await LedgerStore(api, flow).read(end + 10 * SECOND)
            await register(api, Policy(), monitor=flow, remove=True)

    assert [i.crashes for i in ledger.incidents] == [2]
    assert [d.status for d in ledger.deliveries] == [Status.CONFIRMED]
    assert len(result.judgement.transitions) == len(hook.messages) == 1


@pytest.mark.slow
async def test_a_run_that_an_automation_marked_is_explained_as_that(place, wait_until):
    """By the automation's own event: the message is somebody's own words, and tells nothing."""
    name = unique("zombie")
    automation = place.world.post("/automations/", that_marks_silent(name))
    run = place.world.run(RUNNING, flow=name, name=name)
    try:
        wait_until(falling_silent(place, run, name), what="the automation's mark")
        (bundle,) = await capture_runs([run])
    finally:
        place.world.http.delete(f"/automations/{automation['id']}")
    answer = explain(evidence_of_bundle(bundle))

    assert bundle["flow_run"]["state_type"] == "CRASHED"
    assert (answer.cause, answer.confidence) == ("zombie-marked", Confidence.HIGH)
    assert any(f"{place.namespace}.automation.action." in line.text for line in answer.evidence)


def that_marks_silent(name: str) -> dict[str, Any]:
    """An automation as in Prefect's guide to zombies, with words of its own, for runs of a name."""
    return {
        "name": unique("Marks what is silent"),
        "enabled": True,
        "trigger": {
            "type": "event",
            "posture": "Proactive",
            "match": {"prefect.resource.name": name},
            "for_each": ["prefect.resource.id"],
            "after": [HEARTBEAT],
            "expect": [HEARTBEAT],
            "threshold": 1,
            "within": 10,
        },
        "actions": [
            {
                "type": "change-flow-run-state",
                "state": "CRASHED",
                "message": "Nobody there any more",
            }
        ],
    }


def falling_silent(place: Place, run: str, name: str) -> Callable[[], int]:
    """Whether a run was marked after its last heartbeat, which is the first one if all goes well.

    A server loads a new automation a moment after it has answered: a heartbeat in that moment is
    not seen, so that the run, long unmarked, sends another.
    """
    beaten_at: list[float] = []

    def is_marked() -> int:
        if not beaten_at or time.monotonic() - beaten_at[-1] > LONG_UNMARKED_SECONDS:
            place.world.post("/events", [heartbeat(run, name)])
            beaten_at.append(time.monotonic())
        return marks(place.server, run)

    return is_marked


def heartbeat(run: str, name: str) -> dict[str, Any]:
    """A sign of life."""
    return {
        "id": str(uuid.uuid4()),
        "occurred": datetime.now(UTC).isoformat(),
        "event": HEARTBEAT,
        "resource": {
            "prefect.resource.id": f"prefect.flow-run.{run}",
            "prefect.resource.name": name,
        },
    }


def marks(server: World, run: str) -> int:
    """How many automations have reported that they changed a run's state, by the server."""
    filter_ = {
        "event": {"name": [f"prefect.{EXECUTED}"]},
        "related": {"id": [f"prefect.flow-run.{run}"]},
    }
    return int(server.post("/events/filter", {"filter": filter_, "limit": 0})["total"])


def test_the_fake_asks_for_its_key_and_knows_one_workspace(cloud):
    """401 without the key or with another; nothing is anywhere else."""
    other = {"Authorization": "Bearer pnu_another"}
    elsewhere = f"{cloud.root}/accounts/{uuid.uuid4()}/workspaces/{uuid.uuid4()}/health"

    answers = [
        httpx.get(f"{cloud.url}/health"),
        httpx.get(f"{cloud.url}/health", headers=other),
        httpx.get(f"{cloud.url}/health", headers=dict(cloud.headers)),
        httpx.get(elsewhere, headers=dict(cloud.headers)),
        httpx.get(f"{cloud.root}/health", headers=dict(cloud.headers)),
    ]

    assert [answer.status_code for answer in answers] == [401, 401, 200, 404, 404]


def test_the_fake_names_events_as_cloud_does(world, cloud, wait_until):
    """On every page and in every count; by the server's own names there is nothing."""
    subject = f"prefect.event.{uuid.uuid4()}"
    world.post("/events", [executed(subject) for _ in range(3)])
    wait_until(lambda: found(world, "prefect", subject)["total"] == 3, what="three events")
    seen = cloud.world()

    first = found(seen, "prefect-cloud", f"prefect-cloud{subject.removeprefix('prefect')}")
    second = seen.http.get(first["next_page"]).raise_for_status().json()
    counts = seen.post("/events/count-by/event", {"filter": by(f"prefect-cloud.{EXECUTED}")})
    nothing = [found(seen, "prefect", subject), found(seen, "prefect-cloud", subject)]
    too_wide = seen.http.post(
        "/events/filter", json={"filter": {"event": {"prefix": ["prefect."]}}}
    )
    seen.close()

    assert first["next_page"].startswith(cloud.url)
    names = [event["event"] for event in (*first["events"], *second["events"])]
    assert (first["total"], names) == (3, [f"prefect-cloud.{EXECUTED}"] * 3)
    assert first["events"][0]["resource"]["prefect.resource.id"] == "prefect-cloud.automation.1"
    assert [count["value"] for count in counts] == [f"prefect-cloud.{EXECUTED}"]
    assert [page["total"] for page in nothing] == [0, 0]
    assert too_wide.status_code == 501


def executed(subject: str) -> dict[str, Any]:
    """A report of an automation on an event."""
    related = {"prefect.resource.id": subject, "prefect.resource.role": "triggering-event"}
    return {
        "id": str(uuid.uuid4()),
        "occurred": datetime.now(UTC).isoformat(),
        "event": f"prefect.{EXECUTED}",
        "resource": {"prefect.resource.id": "prefect.automation.1"},
        "related": [related],
    }


def by(name: str, *subjects: str) -> dict[str, Any]:
    """The filter for events of a name, about these."""
    about = {"related": {"id": list(subjects)}} if subjects else {}
    return {"event": {"name": [name]}, **about}


def found(world: World, namespace: str, subject: str) -> dict[str, Any]:
    """The first two reports on an event under the names of a namespace."""
    body = {"filter": by(f"{namespace}.{EXECUTED}", subject), "limit": 2}
    page: dict[str, Any] = world.post("/events/filter", body)
    return page
