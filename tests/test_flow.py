"""`flows/crash_monitor.py` as real flow runs on a real server; and its OpenTelemetry counter."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flows.crash_monitor import crash_monitor
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prefect.client.schemas.objects import State
from tests.support.world import CRASHED, RUNNING, World, unique

from prefect_crash_monitor.blocks import CrashPolicy
from prefect_crash_monitor.config.policy import Policy, Rule, Scope
from prefect_crash_monitor.config.read_policy import Settings
from prefect_crash_monitor.cycle.run_cycle import run_cycle
from prefect_crash_monitor.errors import BadInput, UnsuitableBlock
from prefect_crash_monitor.model.interval import aligned
from prefect_crash_monitor.model.own import Place, artifact_key
from prefect_crash_monitor.notify.automations.register_automations import register
from prefect_crash_monitor.prefect_api.client import open_api
from prefect_crash_monitor.publish.events import INCIDENT_EVENTS, INTERVAL_COUNTED, MONITOR_LABEL

pytestmark = [
    pytest.mark.server,
    # Prefect's own event worker leaves its sockets to the garbage collector when a flow ends.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
SECOND = timedelta(seconds=1)
QUICK: dict[str, Any] = {
    "interval": 10 * SECOND,
    "settle": 6 * SECOND,
    "grace": 0 * SECOND,
    "cooldown": 10 * SECOND,
    "silent_after": 100,
}


@pytest.fixture(autouse=True)
def sockets_of_prefect() -> Iterator[None]:
    """Collects what Prefect leaves behind here, where the warning is ignored, not in others."""
    yield
    gc.collect()


@pytest.fixture
async def monitor(api_url: str) -> AsyncIterator[str]:
    """A monitor of this test alone; its automations are gone afterwards."""
    name = unique("flow")
    yield name
    await forget(name)


async def forget(name: str) -> None:
    """Removes a monitor's automations."""
    async with open_api() as api:
        await register(api, Policy(), monitor=name, remove=True)


async def run_of(**parameters: Any) -> State[Any]:
    """The final state of a flow run."""
    return await crash_monitor(**parameters, return_state=True)


def rule_for(dimension: str) -> Rule:
    """Two crashes of runs with this tag open an incident."""
    return Rule(name="loop", scope=Scope.DIMENSION, dimension=dimension, crashes=2)


def events(world: World, monitor: str, name: str) -> list[dict[str, Any]]:
    """The stored events of a monitor."""
    filter_ = {"event": {"name": [name]}, "resource": {"labels": {MONITOR_LABEL: monitor}}}
    found: list[dict[str, Any]] = world.post("/events/filter", {"filter": filter_})["events"]
    return found


def crash_events(world: World, tag: str) -> int:
    """How many crash events of runs with a tag are stored."""
    filter_ = {
        "event": {"prefix": ["prefect.flow-run."]},
        "resource": {"labels": {"prefect.state-type": "CRASHED"}},
        "related": {"id": [f"prefect.tag.{tag}"]},
    }
    return int(world.post("/events/filter", {"filter": filter_, "limit": 0})["total"])


@pytest.mark.slow
async def test_flow_runs_count_report_and_tell(world, monitor, wait_until):
    """Two runs, crashes in between: artifacts of that run, its events, its result."""
    await CrashPolicy(**QUICK, rules=[rule_for(monitor)]).save(monitor)
    first = await (await run_of(policy=monitor)).result()
    for _ in range(2):
        world.run(RUNNING, CRASHED, flow=monitor, tags=[f"{monitor}:acme"])
    wait_until(lambda: crash_events(world, f"{monitor}:acme") == 2, what="crash events")
    settled = aligned(datetime.now(UTC), 10 * SECOND) + 16 * SECOND
    wait_until(lambda: datetime.now(UTC) >= settled, what="the interval to settle")

    state = await run_of(policy=monitor)

    result = await state.result()
    assert first["since"] < first["until"] <= result["since"]
    by_flow = [record["by"]["flow"].get(monitor, 0) for record in result["counted"]]
    assert sum(by_flow) == 2
    assert [t["kind"] for t in result["transitions"]] == ["opened"]
    run_id = str(state.state_details.flow_run_id)
    for key, kind in (("crash-report", "markdown"), ("crash-runs", "table")):
        body = {
            "artifacts": {
                "key": {"any_": [artifact_key(key, monitor)]},
                "flow_run_id": {"any_": [run_id]},
            },
            "sort": "CREATED_DESC",
        }
        (artifact,) = world.post("/artifacts/filter", body)
        assert artifact["type"] == kind
        assert "1 open incident" in artifact["description"]
    number = 1 + len(result["counted"])
    wait_until(lambda: len(events(world, monitor, INTERVAL_COUNTED)) == number, what="events")
    opened = events(world, monitor, INCIDENT_EVENTS["opened"])
    assert [event["payload"]["incident"]["crashes"] for event in opened] == [2]
    assert all(event["related"] == [] for event in opened)  # the run itself is not involved


async def test_decisions_and_failures_are_among_the_logs_of_the_run(world, monitor, wait_until):
    """Whoever looks at the run in Prefect's UI sees what was counted, without any setting."""
    await CrashPolicy(**QUICK, rules=[rule_for(monitor)]).save(monitor)
    run = str((await run_of(policy=monitor)).state_details.flow_run_id)

    body = {"logs": {"flow_run_id": {"any_": [run]}}, "limit": 200}

    def lines() -> str:
        return "\n".join(line["message"] for line in world.post("/logs/filter", body))

    wait_until(lambda: "Counted " in lines(), what="the cycle's log lines")
    wait_until(lambda: "incidents open" in lines(), what="the last line")


async def test_it_works_with_no_block_saved(world):
    """The built-in default, said in the result; overrides for this run, said too."""
    try:
        overrides = {"interval": "PT10S", "settle": 6, "reports_kept": 3}
        result = await crash_monitor(overrides=overrides)
        length = datetime.fromisoformat(result["until"]) - datetime.fromisoformat(result["since"])
    finally:
        await forget("default")

    assert length <= 10 * SECOND
    notices = " ".join(result["notices"])
    assert "built-in default policy is in force" in notices
    assert "Overridden for this run: interval, reports_kept, settle." in notices
    assert "Nobody is notified" in notices


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"overrides": {"gracee": 1}}, "gracee: Extra inputs are not permitted"),
        ({"overrides": {"interval": "PT7M"}}, "interval 0:07:00 does not divide a day"),
        ({"overrides": {"rules": []}}, "`rules` cannot be overridden for one run"),
        ({"policy": "no-such-policy"}, "There is no block crash-policy/no-such-policy"),
        ({"policy": "No such policy"}, "is no name of a block"),
    ],
    ids=["unknown field", "odd interval", "other rules", "missing block", "impossible name"],
)
async def test_bad_parameters_fail_clearly(api_url, parameters, words):
    """The run fails with the message, before anything is read or written."""
    state = await run_of(**parameters)

    assert state.is_failed()
    assert words in str(state.message)
    with pytest.raises(BadInput):
        await state.result()


async def test_an_unsuitable_receiver_fails_the_run_but_counts(world, monitor, wait_until):
    """Somebody must see it, and nothing may be lost because of it."""
    await CrashPolicy(**QUICK, receiver="slack-webhook/nobody").save(monitor)

    state = await run_of(policy=monitor)

    assert state.is_failed()
    assert "receiver is slack-webhook/nobody, which does not exist" in str(state.message)
    with pytest.raises(UnsuitableBlock):
        await state.result()
    wait_until(lambda: events(world, monitor, INTERVAL_COUNTED), what="the interval's event")


# The counter.


@pytest.fixture(scope="module")
def reader() -> Iterator[InMemoryMetricReader]:
    """What a user's own OpenTelemetry SDK would get to see; a process has one provider only."""
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader])
    metrics.set_meter_provider(provider)
    yield reader
    provider.shutdown()


def added(reader: InMemoryMetricReader, flow: str) -> dict[str, Any]:
    """What was added to the counter for a flow: the unit, and numbers by state name."""
    found: dict[str, Any] = {}
    data = reader.get_metrics_data()
    for resource in data.resource_metrics if data else ():
        for metric in (m for scope in resource.scope_metrics for m in scope.metrics):
            for point in metric.data.data_points:
                if point.attributes["prefect.flow"] == flow:
                    assert (metric.name, metric.unit) == ("prefect.flow_run.crash", "{flow_run}")
                    found[str(point.attributes["prefect.state_name"])] = point.value
    return found


async def test_the_counter_gets_each_crash_once(world, monitor, wait_until, reader):
    """By what a dashboard groups by; the same cycle again, and the next one, add nothing."""
    setting = Settings(name=monitor, policy=Policy(**QUICK, rules=[]))
    start, tags = datetime.now(UTC), [f"{monitor}:x"]
    async with open_api() as api:
        await run_cycle(api, setting, Place(), aligned(start, 10 * SECOND) + 6 * SECOND)
        world.run(RUNNING, CRASHED, flow=monitor, tags=tags)
        world.run(RUNNING, CRASHED, flow=monitor, tags=tags)
        world.run(RUNNING, CRASHED | {"name": "Evicted"}, flow=monitor, tags=tags)
        wait_until(lambda: crash_events(world, tags[0]) == 3, what="crash events")
        end = aligned(datetime.now(UTC), 10 * SECOND) + 10 * SECOND
        for late in (6, 7, 16, 26):
            await run_cycle(api, setting, Place(), end + late * SECOND)

    assert added(reader, monitor) == {"Crashed": 2, "Evicted": 1}
