"""Severity to block: exactly one automation waits for each incident event, whatever the routes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

import pytest
from tests.support.webhook import webhook
from tests.support.world import World, unique
from tests.test_registration import Body, everything, named, notification_block
from tests.test_silence import save_webhook, subjects, told

from prefect_crash_monitor.config.parse_policy import parse_policy
from prefect_crash_monitor.config.policy import Policy
from prefect_crash_monitor.errors import BadInput, UnsuitableBlock
from prefect_crash_monitor.model.incident import Kind, Severity
from prefect_crash_monitor.notify.automations.desired import (
    PREFIX,
    UNUSABLE,
    Receivers,
    automation_of_incident,
    desired_automations,
)
from prefect_crash_monitor.notify.automations.diff import difference
from prefect_crash_monitor.notify.automations.register_automations import Registration, register
from prefect_crash_monitor.notify.routing import NOBODY_IS_TOLD, receiver_of, route_field, untold
from prefect_crash_monitor.prefect_api.client import open_api
from prefect_crash_monitor.publish.events import OutgoingEvent
from prefect_crash_monitor.publish.send_events import send

CRITICAL, WARNING, INFO = Severity
ALL_ROUTES = [
    {severity: f"custom-webhook/{severity}" for severity in routed}
    for number in range(4)
    for routed in combinations(Severity, number)
]

TOLD = [*Kind, "digest"]
"""What there is an automation for, for each route."""


def routed_ids(policy: Policy) -> Receivers:
    """Ids that are the names of the policy's fields."""
    fields = [route_field(severity) for severity in policy.routes]
    return Receivers(
        receiver="receiver",
        failure_receiver="failure_receiver",
        routes={field: field for field in fields},
    )


def firing(bodies: list[Body], event: OutgoingEvent) -> list[Body]:
    """The automations that fire on an event, by Prefect's rule for lists: any of them matches."""

    def matches(match: Mapping[str, str | list[str]]) -> bool:
        wanted = {k: [v] if isinstance(v, str) else v for k, v in match.items()}
        return all(event.resource.get(label) in values for label, values in wanted.items())

    return [
        body
        for body in bodies
        if event.event in body["trigger"]["expect"] and matches(body["trigger"]["match"])
    ]


@pytest.mark.parametrize("routes", ALL_ROUTES, ids=lambda routes: "+".join(routes) or "none")
@pytest.mark.parametrize("severity", Severity)
@pytest.mark.parametrize("kind", Kind)
def test_exactly_one_automation_fires(routes, severity, kind):
    """The one that the policy says, to the block that it says, for every mixture of routes."""
    policy = Policy(receiver="custom-webhook/all", routes=routes)
    bodies = desired_automations(policy, routed_ids(policy), monitor="default")

    (body,) = firing(bodies, told("default", kind, "x", severity=str(severity)))

    assert body["name"] == automation_of_incident(policy, kind, severity, "default")
    field = route_field(severity) if severity in routes else "receiver"
    assert [action["block_document_id"] for action in body["actions"]] == [field]
    assert receiver_of(policy, severity) == routes.get(severity, "custom-webhook/all")
    (failed,) = [b for b in bodies if b["name"] == f"{PREFIX}notification failed"]
    assert body["name"] in failed["trigger"]["match"]["prefect.resource.name"]


def test_without_routes_all_is_as_it_was():
    """No label more, no name more: an upgrade updates nothing, since that forgets cooldowns."""
    bodies = desired_automations(Policy(), Receivers(receiver="r"), monitor="default")

    assert [body["name"].removeprefix(PREFIX) for body in bodies] == [
        *("incident opened", "incident reminded", "incident resolved", "incident digest"),
        *("monitor silent", "monitor still silent", "notification failed"),
    ]
    for body in bodies[:3]:
        assert body["trigger"]["match"] == {
            "crash-monitor.monitor": "default",
            "crash-monitor.notify": "alone",
        }


def test_a_new_route_changes_what_it_must():
    """Each routed severity has its own set; the receiver's goes on without it."""
    before = Policy(receiver="a/a", routes={CRITICAL: "a/b"})
    after = Policy(receiver="a/a", routes={CRITICAL: "a/b", INFO: "a/c"})
    server = [
        {**body, "id": body["name"], "created": "2026"}
        for body in desired_automations(before, routed_ids(before), monitor="default")
    ]

    plan = difference(
        desired_automations(after, routed_ids(after), monitor="default"), server, monitor="default"
    )

    kinds = [f"{PREFIX}incident {kind}" for kind in TOLD]
    assert [body["name"] for body in plan.create] == [f"{name}, info" for name in kinds]
    assert [id_ for id_, _ in plan.update] == [*kinds[:3], f"{PREFIX}notification failed"]
    assert {f"{name}, critical" for name in kinds} < set(plan.unchanged)
    assert plan.remove == ()


def test_what_would_tell_an_unusable_block_stays_as_it_is():
    """Neither created nor changed nor removed: it may tell the block named before."""
    bodies = desired_automations(Policy(), Receivers(receiver="old"), monitor="default")
    server = [{**body, "id": body["name"], "created": "2026"} for body in bodies]
    broken = desired_automations(
        Policy(), Receivers(receiver=UNUSABLE, failure_receiver="new"), monitor="default"
    )

    plan = difference(broken, server, monitor="default")

    failed = f"{PREFIX}notification failed"
    assert ([id_ for id_, _ in plan.update], plan.create, plan.remove) == ([failed], (), ())
    assert [b["name"] for b in difference(broken, [], monitor="default").create] == [failed]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"receiver": "a/b"}, ()),
        ({"receiver": "a/b", "routes": {"critical": "a/c"}}, ()),
        ({}, (NOBODY_IS_TOLD,)),
        ({"routes": {"critical": "a/c"}}, ("severity warning and info, and of a monitor",)),
        ({"routes": dict.fromkeys(Severity, "a/c")}, ("Nobody is notified of a monitor that",)),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_nobody_is_told_of_is_said(values, words):
    """A route is no receiver: severities without one, and a silent monitor, need it."""
    said = untold(Policy(**values))

    assert len(said) == len(words)
    assert all(word in text for word, text in zip(words, said, strict=True))


@pytest.mark.parametrize(
    ("routes", "message"),
    [
        ({"fatal": "a/b"}, "routes.fatal"),
        ({"critical": "slack"}, "'slack' is no block-type/name"),
        ({"critical": None}, "routes.critical"),
        ("slack-webhook/a", "routes: Input should be a valid dictionary"),
    ],
)
def test_odd_routes_are_refused(routes, message):
    """With the severity that is wrong."""
    with pytest.raises(BadInput, match=message):
        parse_policy({"routes": routes})


# On a real server.


@pytest.fixture
def monitor(world: World) -> Iterator[str]:
    """A monitor of this test alone; its automations are gone afterwards."""
    name = unique("routes")
    yield name
    for automation in everything(world):
        if automation["name"].endswith(f"({name})"):
            world.http.delete(f"/automations/{automation['id']}")


async def registered(policy: Policy, monitor: str) -> Registration:
    """Registers over a connection of its own."""
    async with open_api() as api:
        return await register(api, policy, monitor=monitor)


def actions(world: World, monitor: str) -> dict[str, Any]:
    """Ids of the blocks told, by automation."""
    return {
        automation["name"]: automation["actions"][0].get("block_document_id")
        for automation in everything(world)
        if automation["name"].endswith(f"({monitor})")
    }


def block_id(world: World, block: str) -> str:
    """The id of a block named as block-type/name."""
    slug, name = block.split("/")
    path = f"/block_types/slug/{slug}/block_documents/name/{name}"
    return str(world.http.get(path).raise_for_status().json()["id"])


@pytest.mark.server
async def test_each_severity_reaches_its_receiver_only(api_url, world, monitor, wait_until):
    """Also where the severity changes during the episode: each event goes one way."""
    with webhook() as pager, webhook() as chat:
        await save_webhook(f"{monitor}-pager", pager.url)
        await save_webhook(f"{monitor}-chat", chat.url)
        policy = Policy(
            receiver=f"custom-webhook/{monitor}-chat",
            routes={CRITICAL: f"custom-webhook/{monitor}-pager"},
        )
        first = await registered(policy, monitor)
        second = await registered(policy, monitor)
        events = [
            told(monitor, Kind.OPENED, "warning opened"),
            told(monitor, Kind.OPENED, "info opened", id="2" * 12, severity="info"),
            told(monitor, Kind.OPENED, "critical opened", id="3" * 12, severity="critical"),
            # Its rule has become critical meanwhile.
            told(monitor, Kind.REMINDED, "critical reminded", reminders=1, severity="critical"),
            told(monitor, Kind.RESOLVED, "critical resolved", severity="critical"),
        ]
        async with open_api() as api:
            await send(api, events)
            wait_until(lambda: len(pager.messages + chat.messages) >= len(events), what="all")
            last = [
                told(monitor, Kind.OPENED, "the last", id="4" * 12, severity=severity)
                for severity in ("critical", "warning")
            ]
            await send(api, last)
            wait_until(lambda: "the last" in subjects(pager), what="the last on the pager")
            wait_until(lambda: "the last" in subjects(chat), what="the last in the chat")

    assert subjects(chat) == ["info opened", "the last", "warning opened"]
    assert subjects(pager) == [
        *("critical opened", "critical reminded", "critical resolved", "the last"),
    ]
    assert set(second.unchanged) == set(first.created)
    assert (second.created, second.updated, second.removed) == ((), (), ())


@pytest.mark.server
async def test_a_broken_route_falls_back_on_the_receiver(world, monitor):
    """The others are registered, the error names the route; repaired, it is told itself."""
    good, later = notification_block(world), unique("later")
    policy = Policy(
        receiver=good, routes={CRITICAL: "slack-webhook/nobody", INFO: f"custom-webhook/{later}"}
    )

    with pytest.raises(UnsuitableBlock) as refused:
        await registered(policy, monitor)

    message = str(refused.value)
    assert "The policy's routes.critical is slack-webhook/nobody, which does not exist." in message
    assert f"The policy's routes.info is custom-webhook/{later}, which does not exist." in message
    assert message.count("Until that is repaired the receiver is told instead.") == 2
    assert message.count(good) == 1
    critical = named("incident opened, critical", monitor)
    assert actions(world, monitor)[critical] == block_id(world, good)
    assert len(actions(world, monitor)) == 12 + 3

    repaired = Policy(receiver=good, routes={CRITICAL: notification_block(world)})
    result = await registered(repaired, monitor)

    assert critical in result.updated
    assert actions(world, monitor)[critical] == block_id(world, repaired.routes[CRITICAL])
    assert sorted(result.removed) == sorted(named(f"incident {k}, info", monitor) for k in TOLD)


@pytest.mark.server
async def test_a_broken_receiver_leaves_the_routes_alone(world, monitor):
    """What tells the receiver is not made; the routes are."""
    good = notification_block(world)
    policy = Policy(receiver="slack-webhook/nobody", routes={CRITICAL: good})

    with pytest.raises(UnsuitableBlock, match="receiver is slack-webhook/nobody"):
        await registered(policy, monitor)

    made = {named(f"incident {kind}, critical", monitor) for kind in TOLD}
    assert set(actions(world, monitor)) == made | {named("notification failed", monitor)}
    assert actions(world, monitor)[min(made)] == block_id(world, good)
