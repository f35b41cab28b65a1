"""A server that refuses one kind of request for ever: what can be counted and sent still is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from tests.support.refusing import ListeningApi, RefusingApi
from tests.support.webhook import webhook
from tests.support.world import CRASHED, RUNNING, World, unique
from tests.test_cycle import SECOND, TEN, kinds, own_crashes

from prefect_crash_monitor.config.policy import Policy, Rule, Scope
from prefect_crash_monitor.config.read_policy import Settings
from prefect_crash_monitor.cycle.result import Result
from prefect_crash_monitor.cycle.run_cycle import run_cycle
from prefect_crash_monitor.errors import ApiTrouble
from prefect_crash_monitor.model.interval import EPOCH, Window, aligned
from prefect_crash_monitor.model.own import Place
from prefect_crash_monitor.notify.automations.register_automations import register
from prefect_crash_monitor.prefect_api.client import Api, open_api
from prefect_crash_monitor.publish.events import INCIDENT_EVENTS
from prefect_crash_monitor.state.ledger_store import LedgerStore

pytestmark = pytest.mark.server

UNCLEAR = CRASHED | {"message": "it stopped"}
"""A message that tells no cause, so that logs and events are read."""

REQUIRED = {
    "the ledger is read": "POST /artifacts/filter artifacts.type",
    "a first ledger is rebuilt": "POST /events/filter name=crash-monitor.interval.counted",
    "and its incidents": "POST /events/filter name=crash-monitor.incident.opened",
    "the ledger is written": "POST /artifacts/ type=crash-monitor-ledger",
    "crash events": "POST /events/filter prefix=prefect.flow-run. filter.resource",
    "any events": "POST /events/filter prefix=prefect.flow-run. filter.event.exclude_name",
    "runs without crash event": "POST /flow_runs/filter flow_runs.end_time",
    "as many runs as are listed": "POST /flow_runs/count flow_runs.id.not_any_",
    "crashed runs by id": "POST /flow_runs/filter flow_runs.id.any_",
}
"""What a cycle cannot do without, by words of the request's kind."""


def required(kind: str) -> list[str]:
    """For what a kind of request is required."""
    return [what for what, words in REQUIRED.items() if not set(words.split()) - set(kind.split())]


def monitor(flow: str, name: str) -> Settings:
    """One of several monitors that watch the same flow, with all that is optional switched on."""
    only = {"tag": f"{flow}:acme"}
    loop = Rule(name="loop", scope=Scope.DIMENSION, dimension=flow, crashes=2, within=600 * SECOND)
    row = Rule(name="row", kind="consecutive", scope=Scope.FLOW, crashes=2, only=only)
    policy: dict[str, Any] = {
        "interval": TEN,
        "settle": 6 * SECOND,
        "grace": 0 * SECOND,
        "cooldown": TEN,
        "late_horizon": 60 * SECOND,
        "rules": [loop, row],
        "receiver": f"custom-webhook/{flow}",
        "silent_after": 100,
        "actions": {"retry": {"mode": "dry_run", "only": only}, "free_slots": {"mode": "dry_run"}},
    }
    return Settings(name=name, policy=Policy(**policy))


async def three_cycles(api: Api, setting: Settings, span: Window) -> list[Result]:
    """A first one, one that counts the crashes, one that looks back at what that one did."""
    times = [span.start, span.end, span.end + TEN]
    place = Place()
    return [await run_cycle(api, setting, place, at + setting.policy.settle) for at in times]


async def crash_twice(world: World, flow: str, wait_until: Any) -> Window:
    """Two runs crash, alike; whole intervals around them."""
    start = datetime.now(UTC)
    for state in (UNCLEAR, UNCLEAR):
        world.run(RUNNING, state, flow=flow, tags=[f"{flow}:acme"])
    wait_until(lambda: own_crashes(world, flow, start) >= 2, what="crash events")
    return Window(aligned(start, TEN), aligned(datetime.now(UTC), TEN) + TEN)


async def test_what_is_refused_for_ever_stops_only_what_needs_it(world, wait_until):
    """Each kind of request is refused in turn; counts, incidents and events arrive all the same."""
    flow = unique("refused")
    span = await crash_twice(world, flow, wait_until)
    with webhook() as hook:
        block = CustomWebhookNotificationBlock.model_validate(
            {"name": "t", "url": hook.url, "json_data": {"text": "{{subject}}"}}
        )
        await block.save(flow)
        async with open_api() as api:
            heard = ListeningApi(api)
            await three_cycles(heard, monitor(flow, f"{flow}-all"), span)
            stopped = {
                kind
                for kind in heard.kinds
                if await stops(api, world, flow, kind, span, wait_until)
            }
            await register(api, Policy(), monitor=f"{flow}-all", remove=True)

    assert len(heard.kinds) >= 20
    assert [kind for kind in stopped if not required(kind)] == []
    assert {what for kind in stopped for what in required(kind)} == set(REQUIRED)


async def stops(
    api: Api, world: World, flow: str, kind: str, span: Window, wait_until: Any
) -> bool:
    """Whether a monitor that is refused this cannot count; else it must have done all the rest."""
    setting = monitor(flow, unique(f"{flow}-"))
    refusing = RefusingApi(api, kind)
    try:
        results = await three_cycles(refusing, setting, span)
    except ApiTrouble:
        return True
    assert refusing.refusals, kind
    records = [record for result in results for record in result.records]
    assert sum(record.by["flow"].get(flow, 0) for record in records) == 2, kind
    ledger = await LedgerStore(api, setting.name).read(span.end)
    assert sum(counted.crashed for counted in ledger.counted) >= 2, kind
    assert [incident.rule for incident in ledger.incidents] == ["loop"], kind
    assert (ledger.watermark or EPOCH) == span.end + TEN, kind
    said = [notice for result in results for notice in result.notices]
    assert kind.startswith("DELETE") or any("refuses" in notice for notice in said), kind
    if kind != "POST /events":
        wait_until(lambda: kinds(world, setting.name), what=f"the incident event without {kind}")
        assert kinds(world, setting.name) == [INCIDENT_EVENTS["opened"]], kind
    return False
