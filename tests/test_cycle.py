"""Whole cycles on a real server: counted once, told once, whatever happens in between."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.mortal import Killed, MortalApi
from tests.support.world import COMPLETED, CRASHED, PENDING, RUNNING, SCHEDULED, World, unique

from prefect_crash_monitor.config.policy import Policy, Rule, Scope
from prefect_crash_monitor.config.read_policy import Settings
from prefect_crash_monitor.cycle.result import Result
from prefect_crash_monitor.cycle.run_cycle import run_cycle
from prefect_crash_monitor.model.interval import Window, aligned
from prefect_crash_monitor.model.own import Place
from prefect_crash_monitor.notify.automations.register_automations import register
from prefect_crash_monitor.prefect_api.client import Api, open_api
from prefect_crash_monitor.publish.events import INCIDENT_EVENTS, INTERVAL_COUNTED, MONITOR_LABEL
from prefect_crash_monitor.state.ledger_store import LEDGER_TYPE, LedgerStore

pytestmark = pytest.mark.server
SECOND = timedelta(seconds=1)
TEN = 10 * SECOND


def settings(flow: str, **more: Any) -> Settings:
    """A policy quick enough for a test, whose only rule sees the crashes of this flow's tag."""
    rule = Rule(
        name="loop",
        scope=Scope.DIMENSION,
        dimension=flow,
        crashes=2,
        within=600 * SECOND,
        quiet_for=60 * SECOND,
    )
    values: dict[str, Any] = {
        "interval": TEN,
        "settle": 6 * SECOND,
        "grace": 0 * SECOND,
        "cooldown": TEN,
        "late_horizon": 60 * SECOND,
        "rules": [rule],
    }
    return Settings(name=flow, policy=Policy(**{**values, **more}))


async def cycle(api: Api, setting: Settings, now: datetime) -> Result:
    """One cycle at a time of our choice."""
    return await run_cycle(api, setting, Place(), now)


async def begin(api: Api, setting: Settings, start: datetime) -> None:
    """A first cycle, after which everything from `start` on is still to be counted."""
    await cycle(api, setting, start + setting.policy.settle)


@pytest.fixture
def crashed(world, wait_until):
    """Makes runs of a flow crash, waits for their events; whole intervals around the crashes."""

    def make(flow: str, number: int = 1) -> Window:
        start = datetime.now(UTC)
        for _ in range(number):
            world.run(RUNNING, CRASHED, flow=flow, tags=[f"{flow}:acme"])
        wait_until(lambda: own_crashes(world, flow, start) >= number, what="crash events")
        return Window(aligned(start, TEN), aligned(datetime.now(UTC), TEN) + TEN)

    return make


def own_crashes(world: World, flow: str, since: datetime) -> int:
    """How many crash events of runs with a tag there are."""
    filter_ = {
        "event": {"prefix": ["prefect.flow-run."]},
        "resource": {"labels": {"prefect.state-type": "CRASHED"}},
        "related": {"id": [f"prefect.tag.{flow}:acme"]},
        "occurred": {"since": since.isoformat()},
    }
    return int(world.post("/events/filter", {"filter": filter_, "limit": 0})["total"])


def now() -> str:
    """The time, as the API takes it."""
    return datetime.now(UTC).isoformat()


def told(world: World, monitor: str) -> list[dict[str, Any]]:
    """All events of a monitor that are stored, oldest first."""
    filter_ = {
        "event": {"prefix": ["crash-monitor."]},
        "resource": {"labels": {MONITOR_LABEL: monitor}},
        "order": "ASC",
    }
    page = world.post("/events/filter", {"filter": filter_, "limit": 50})
    return list(page["events"])


def kinds(world: World, monitor: str) -> list[str]:
    """The names of the incident events of a monitor."""
    filter_ = {
        "event": {"prefix": ["crash-monitor.incident"]},
        "resource": {"labels": {MONITOR_LABEL: monitor}},
        # Some cycles of these tests are ahead of the clock.
        "occurred": {"until": (datetime.now(UTC) + timedelta(days=1)).isoformat()},
        "order": "ASC",
    }
    page = world.post("/events/filter", {"filter": filter_, "limit": 50})
    return [event["event"] for event in page["events"]]


async def test_a_crash_is_counted_in_one_interval_only(crashed):
    """Cycles one after another, early, late and doubled, count a crash once."""
    flow = unique("once")
    span = crashed(flow)
    async with open_api() as api:
        await begin(api, settings(flow), span.start)
        times = [span.end + (6 + 5 * i) * SECOND for i in range(-4, 4)]
        results = [await cycle(api, settings(flow), now) for now in times]

    records = [record for result in results for record in result.records]
    assert sum(record.by["flow"].get(flow, 0) for record in records) == 1
    assert len({record.window for record in records}) == len(records)


@pytest.mark.parametrize("after", [False, True], ids=["before the request", "after it"])
async def test_killed_at_any_step_and_run_again(world, crashed, wait_until, after):
    """Each cycle dies at another request; the next one does its work, nothing is told twice."""
    flow = unique("killed")
    crashes = crashed(flow, 2)
    now = crashes.end + 6 * SECOND
    async with open_api() as api:
        setting = settings(flow)
        await begin(api, setting, crashes.start)
        deaths = 0
        for request in range(1, 100):
            try:
                await cycle(MortalApi(api, request, after=after), setting, now)
                break
            except Killed:
                deaths += 1
        result = await cycle(api, setting, now)
        ledger = await LedgerStore(api, flow).read(now)

    assert deaths >= 8
    assert not result.records
    wait_until(lambda: kinds(world, flow), what="the incident event")
    assert kinds(world, flow) == [INCIDENT_EVENTS["opened"]]
    wait_until(lambda: len(told(world, flow)) == len(ledger.counted) + 1, what="all events")
    intervals = [e["payload"] for e in told(world, flow) if e["event"] == INTERVAL_COUNTED]
    assert sum(interval["by"]["flow"].get(flow, 0) for interval in intervals) == 2
    counted = {c.window.start.isoformat(): c.crashed for c in ledger.counted}
    assert counted == {interval["since"]: interval["crashed"] for interval in intervals}
    assert len({i["since"] for i in intervals}) == len(intervals)


async def test_cycles_at_the_same_time_count_once(world, crashed, wait_until):
    """Five cycles at once, as after an outage: one ledger, each event once."""
    flow = unique("racing")
    span = crashed(flow, 2)
    async with open_api() as api:
        setting = settings(flow)
        await begin(api, setting, span.start)
        racers = [cycle(api, setting, span.end + 6 * SECOND) for _ in range(5)]
        results = await asyncio.gather(*racers)

    wait_until(lambda: kinds(world, flow), what="the incident event")
    assert kinds(world, flow) == [INCIDENT_EVENTS["opened"]]
    assert len({result.record.window for result in results}) == 1


async def test_an_event_that_never_arrived_is_sent_again(world, crashed, wait_until):
    """What the last cycle handed over and Prefect lost is found missing by the next one."""
    flow = unique("lost")
    end = crashed(flow, 2).end
    async with open_api() as api:
        deaf = DeafApi(api)
        await cycle(deaf, settings(flow), end + 6 * SECOND)
        assert deaf.swallowed
        assert not kinds(world, flow)
        await cycle(api, settings(flow), end + TEN + 6 * SECOND)

    wait_until(lambda: kinds(world, flow), what="the incident event")
    assert kinds(world, flow) == [INCIDENT_EVENTS["opened"]]


class DeafApi(Api):
    """Says yes to events and loses them, as a server that is killed before its flush."""

    def __init__(self, api: Api) -> None:
        super().__init__(api._client)
        self.swallowed = 0

    async def post(self, path: str, body: object) -> Any:
        """Loses events."""
        if path == "/events":
            self.swallowed += 1
            return None
        return await super().post(path, body)


async def test_a_lost_ledger_is_rebuilt_from_the_monitors_own_events(world, crashed, wait_until):
    """With every ledger deleted the next cycle goes on where the last one stopped."""
    flow = unique("rebuilt")
    end = crashed(flow, 2).end
    async with open_api() as api:
        await cycle(api, settings(flow), end + 6 * SECOND)
        wait_until(lambda: len(told(world, flow)) >= 2, what="the monitor's events")
        body = {"artifacts": {"type": {"any_": [f"{LEDGER_TYPE}.{flow}"]}}}
        for artifact in await api.post("/artifacts/filter", body):
            await api.delete(f"/artifacts/{artifact['id']}")
        ledger = await LedgerStore(api, flow).read(end + TEN)
        result = await cycle(api, settings(flow), end + TEN + 6 * SECOND)

    assert ledger.watermark == end
    assert [i.is_open for i in ledger.incidents] == [True]
    assert [record.window.start for record in result.records] == [end]
    assert result.judgement.transitions == ()


async def test_a_late_event_corrects_its_interval(world, crashed, wait_until):
    """Counted as one, then a second event turns up: a new revision, said in the report."""
    flow = unique("late")
    span = crashed(flow)
    end = span.end
    async with open_api() as api:
        await begin(api, settings(flow), span.start)
        first = await cycle(api, settings(flow), end + 6 * SECOND)
        crash = next(r for r in first.records if r.crashed)
        late = crash_event(flow, crash.window.start + SECOND)
        world.post("/events", [late])
        wait_until(lambda: own_crashes(world, flow, crash.window.start) == 2)
        second = await cycle(api, settings(flow), end + TEN + 6 * SECOND)
        third = await cycle(api, settings(flow), end + 2 * TEN + 6 * SECOND)

    corrected = [record for record in second.records if record.revision]
    assert [(r.window, r.crashed, r.revision) for r in corrected] == [
        (crash.window, crash.crashed + 1, 1)
    ]
    assert any("Corrected" in notice for notice in second.notices)
    assert not [record for record in third.records if record.revision]


def crash_event(flow: str, at: datetime) -> dict[str, Any]:
    """A crash event as Prefect emits it, of a run that is gone."""
    import uuid

    run = uuid.uuid4()
    return {
        "id": str(uuid.uuid4()),
        "event": "prefect.flow-run.Crashed",
        "occurred": at.isoformat(),
        "resource": {
            "prefect.resource.id": f"prefect.flow-run.{run}",
            "prefect.resource.name": "late",
            "prefect.run-count": "1",
            "prefect.state-name": "Crashed",
            "prefect.state-type": "CRASHED",
            "prefect.state-message": "late",
            "prefect.state-timestamp": at.isoformat(),
        },
        "related": [
            {
                "prefect.resource.id": f"prefect.tag.{flow}:acme",
                "prefect.resource.role": "tag",
            }
        ],
        "payload": {},
    }


async def test_a_crash_that_recovers_within_its_grace_opens_nothing(world, wait_until):
    """Crashed, retried, running again within the grace, completed long after: nobody is told."""
    flow, start = unique("grace"), datetime.now(UTC)
    for _ in range(2):
        again = [SCHEDULED, PENDING, RUNNING, COMPLETED]
        world.run(RUNNING, CRASHED, *again, flow=flow, tags=[f"{flow}:acme"])
    wait_until(lambda: own_crashes(world, flow, start) == 2)
    end = aligned(datetime.now(UTC), TEN) + TEN
    async with open_api() as api:
        result = await cycle(api, settings(flow, grace=5 * SECOND), end + 16 * SECOND)

    assert result.judgement.incidents == ()


async def test_own_allowance_of_requests(world):
    """A quiet cycle in its steady state costs a fixed number of requests, however long it runs."""
    flow = unique("cost")
    far = aligned(datetime.now(UTC), TEN) - timedelta(days=170)  # no crash of any test is there
    async with open_api() as api:
        setting = settings(flow, reports_kept=2)
        for minute in range(4):
            await cycle(api, setting, far + minute * timedelta(minutes=1))
        # Else the next cycle sends again what is stored a moment too late; and what a busy server
        # lost comes with a further cycle only.
        for _ in range(20):
            if len(told(world, flow)) >= 19:
                break
            await asyncio.sleep(3)
            await cycle(api, setting, far + timedelta(minutes=3))
        before = api.requests
        result = await cycle(api, setting, far + timedelta(minutes=4))

    assert result.record.crashed == 0
    observing, policy_and_stranded = 3, 2
    assert api.requests - before == observing + 16 - policy_and_stranded


async def test_the_artifacts_are_pruned(world, crashed):
    """No more versions stay than the policy keeps."""
    flow = unique("pruned")
    far = datetime(2020, 6, 1, tzinfo=UTC)
    async with open_api() as api:
        for minute in range(5):
            now = far + minute * timedelta(minutes=1)
            await cycle(api, settings(flow, reports_kept=2), now)
        body = {"artifacts": {"key": {"any_": [f"crash-report-{flow}"]}}}
        reports = await api.post("/artifacts/filter", body)
        body = {"artifacts": {"type": {"any_": [f"{LEDGER_TYPE}.{flow}"]}}}
        ledgers = await api.post("/artifacts/filter", body)

    assert len(reports) == 2
    assert len(ledgers) <= 3


async def test_many_incidents_at_once_are_one_digest(world, crashed, wait_until):
    """Seven deployments crash: one notification; then one all-clear for all of them."""
    from prefect.blocks.notifications import CustomWebhookNotificationBlock
    from tests.support.webhook import webhook

    flow = unique("flood")
    each = Rule(name="each", scope=Scope.TAG, crashes=1, quiet_for=TEN, within=TEN)
    only = each.model_copy(update={"only": {"flow": flow}})
    with webhook() as hook:
        block = CustomWebhookNotificationBlock.model_validate(
            {"name": "t", "url": hook.url, "json_data": {"text": "{{subject}}"}}
        )
        await block.save(flow)
        receiver = f"custom-webhook/{flow}"
        setting = settings(flow, receiver=receiver, silent_after=100, rules=[only])
        start = datetime.now(UTC)
        for number in range(7):
            world.run(RUNNING, CRASHED, flow=flow, tags=[f"{flow}:{number}"])
        wait_until(lambda: world.crash_events(start.isoformat(), now()) >= 7)
        end = aligned(datetime.now(UTC), TEN) + TEN
        async with open_api() as api:
            await begin(api, setting, start)
            await cycle(api, setting, end + 6 * SECOND)
            wait_until(lambda: len(hook.messages) >= 1, what="the digest")
            await cycle(api, setting, end + timedelta(minutes=15))
            wait_until(lambda: len(hook.messages) >= 2, what="the all-clear")
            await register(api, setting.policy, monitor=flow, remove=True)

    subjects = [message["text"] for message in hook.messages]
    assert subjects == [
        "🔴 7 incidents at once: 7 opened [warning]",
        "✅ 7 incidents at once: 7 resolved [warning]",
    ]
    assert sorted(kinds(world, flow)) == [
        *["crash-monitor.incident.opened"] * 7,
        *["crash-monitor.incident.resolved"] * 7,
        *["crash-monitor.incidents.digest"] * 2,
    ]


async def test_a_burst_is_told_once_and_ends_with_an_all_clear(world, crashed, wait_until):
    """From crashes to a real webhook by the registered automations, once per kind."""
    from prefect.blocks.notifications import CustomWebhookNotificationBlock
    from tests.support.webhook import webhook

    flow = unique("burst")
    with webhook() as hook:
        block = CustomWebhookNotificationBlock.model_validate(
            {
                "name": "t",
                "url": hook.url,
                "json_data": {"subject": "{{subject}}", "text": "{{body}}"},
            }
        )
        await block.save(flow)
        setting = settings(flow, receiver=f"custom-webhook/{flow}", silent_after=100)
        end = crashed(flow, 3).end
        async with open_api() as api:
            await cycle(api, setting, end + 6 * SECOND)
            wait_until(lambda: len(hook.messages) >= 1, what="the notification")
            await cycle(api, setting, end + 6 * SECOND)
            await cycle(api, setting, end + timedelta(minutes=15))
            wait_until(lambda: len(hook.messages) >= 2, what="the all-clear")
            registered = await register(api, setting.policy, monitor=flow, remove=True)

    assert len(registered.removed) == 7
    assert [m["subject"].split()[0] for m in hook.messages] == ["🔴", "✅"]
    assert "3 crashes in acme" in hook.messages[0]["text"]


async def test_a_dimension_is_taken_from_the_labels_of_a_run(world, wait_until):
    """Without such a tag the run's own label counts, which no event carries."""
    flow, start = unique("labelled"), datetime.now(UTC)
    for _ in range(2):
        world.run(RUNNING, CRASHED, flow=flow, labels={flow: "acme"})

    def stored() -> bool:
        return world.crash_events(start.isoformat(), datetime.now(UTC).isoformat()) >= 2

    wait_until(stored, what="crash events")
    end = aligned(datetime.now(UTC), TEN) + TEN
    async with open_api() as api:
        await begin(api, settings(flow), aligned(start, TEN))
        result = await cycle(api, settings(flow), end + 6 * SECOND)

    assert [(i.group, i.crashes) for i in result.judgement.open] == [("acme", 2)]
