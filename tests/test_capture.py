"""Capturing from a real server: the evidence is all there, and no secret is."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.world import COMPLETED, CRASHED, PENDING, RUNNING, SCHEDULED, unique

from prefect_crash_monitor.errors import BadInput, Unreachable
from prefect_crash_monitor.explain.read_bundle import LOG_LINES, capture_bundle
from prefect_crash_monitor.prefect_api.client import open_api

pytestmark = pytest.mark.server
SECRET = "hunter2-a1B2c3D4"


async def captured(run_id):
    """A bundle, and the requests it took."""
    async with open_api() as api:
        return await capture_bundle(api, run_id, datetime.now(UTC)), api.requests


def write_logs(world, run_id, lines):
    """Log lines `(level, message)`, a millisecond apart."""
    start = datetime.now(UTC) - timedelta(minutes=5)
    logs = [
        {
            "name": "prefect.flow_runs",
            "level": level,
            "message": message,
            "timestamp": (start + timedelta(milliseconds=number)).isoformat(),
            "flow_run_id": run_id,
        }
        for number, (level, message) in enumerate(lines)
    ]
    for at in range(0, len(logs), 500):
        world.post("/logs/", logs[at : at + 500])


def events_of(world, run_id):
    """How many events the server has about a run."""
    body = {"filter": {"any_resource": {"id": [f"prefect.flow-run.{run_id}"]}}, "limit": 0}
    return world.post("/events/filter", body)["total"]


def emit(world, run_id, names):
    """Events about a run, as engines and workers send them."""
    start = datetime.now(UTC) - timedelta(minutes=5)
    events = [
        {
            "id": str(uuid.uuid4()),
            "event": name,
            "occurred": (start + timedelta(milliseconds=number)).isoformat(),
            "resource": {"prefect.resource.id": f"prefect.flow-run.{run_id}"},
            "payload": payload,
        }
        for number, (name, payload) in enumerate(names)
    ]
    for at in range(0, len(events), 100):
        world.post("/events", events[at : at + 100])


async def test_a_crashed_run_is_captured_whole_without_its_secrets(world, wait_until):
    """Run, states, logs and events, in the words of Prefect's API; secrets are gone everywhere."""
    flow = unique("capture")
    deployment = world.deployment(flow, "nightly")
    run = world.deployed_run(
        deployment,
        PENDING,
        RUNNING,
        CRASHED | {"message": f"cannot reach postgres://etl:{SECRET}@db/x"},
        job_variables={"env": {"CUSTOMER": SECRET, "PREFECT_LOGGING_LEVEL": "DEBUG"}},
        parameters={"api_key": SECRET, "note": SECRET},
    )
    write_logs(world, run, [(20, "start"), (40, f"login failed: password={SECRET}")])
    emit(
        world,
        run,
        [
            (
                "prefect.flow-run.pull-step.failed",
                {"qualified_name": "git_clone", "inputs": {"script": SECRET, "branch": "main"}},
            )
        ],
    )
    wait_until(lambda: events_of(world, run) == 5, what="the run's events")

    bundle, requests = await captured(run)

    assert SECRET not in json.dumps(bundle)
    assert requests == 4
    assert bundle["flow_run"]["id"] == run
    assert bundle["flow_run"]["state_type"] == "CRASHED"
    assert bundle["flow_run"]["job_variables"]["env"] == {
        "CUSTOMER": "***",
        "PREFECT_LOGGING_LEVEL": "DEBUG",
    }
    assert "parameters" not in bundle["flow_run"]
    assert [s["type"] for s in bundle["states"]] == ["SCHEDULED", "PENDING", "RUNNING", "CRASHED"]
    assert bundle["states"][-1]["message"] == "cannot reach postgres://etl:***@db/x"
    assert [log["message"] for log in bundle["logs"]] == ["start", "login failed: password=***"]
    inputs = [e["payload"]["inputs"] for e in bundle["events"] if "pull-step" in e["event"]]
    assert inputs == [{"script": "***", "branch": "main"}]
    assert {e["event"] for e in bundle["events"]} >= {"prefect.flow-run.Crashed"}
    assert "notes" not in bundle
    assert datetime.fromisoformat(bundle["captured_at"]).tzinfo


async def test_a_long_log_keeps_both_ends_and_every_warning(world):
    """What is left out is said."""
    run = world.run(RUNNING, COMPLETED, flow=unique("long"))
    lines = [(20, f"line {number}") for number in range(1_000)]
    lines[500] = (30, "a warning in the middle")
    lines[0] = (20, "x" * 50_000)
    write_logs(world, run, lines)

    bundle, _ = await captured(run)

    messages = [log["message"] for log in bundle["logs"]]
    assert len(messages) == 2 * LOG_LINES + 1
    assert messages[LOG_LINES] == "a warning in the middle"
    assert messages[-1] == "line 999"
    assert len(messages[0]) < 21_000
    assert any("left out" in note for note in bundle["notes"])


async def test_a_log_of_two_pages_is_whole(world):
    """First and last page overlap, so that nothing is missing."""
    run = world.run(RUNNING, COMPLETED, flow=unique("two-pages"))
    write_logs(world, run, [(20, f"line {number}") for number in range(LOG_LINES + 50)])

    bundle, _ = await captured(run)

    assert [log["message"] for log in bundle["logs"]] == [
        f"line {number}" for number in range(LOG_LINES + 50)
    ]
    assert "notes" not in bundle


async def test_many_events_keep_the_telling_ones(world, wait_until):
    """Task runs and heartbeats give way; states, workers and pods stay."""
    run = world.run(RUNNING, CRASHED, flow=unique("events"))
    noise = [("prefect.flow-run.heartbeat", {}), ("prefect.task-run.Completed", {})] * 150
    telling = [("prefect.kubernetes.pod.evicted", {})]
    emit(world, run, [*noise[:150], *telling, *noise[150:]])
    wait_until(lambda: events_of(world, run) == 304, what="the events")

    bundle, requests = await captured(run)

    names = [event["event"] for event in bundle["events"]]
    assert names.count("prefect.kubernetes.pod.evicted") == 1
    assert names[-1] == "prefect.flow-run.Crashed"
    assert len(names) < 304
    assert bundle["notes"] == [f"{304 - len(names)} of 304 events are left out."]
    assert requests < 12


async def test_a_deleted_run_is_known_from_its_events(world, wait_until):
    """The bundle says so, and still has what happened."""
    run = world.run(RUNNING, CRASHED, flow=unique("deleted"), name="brave-fox")
    wait_until(lambda: events_of(world, run) == 3, what="the run's events")
    world.delete_run(run)

    bundle, _ = await captured(run)

    assert bundle["flow_run"] == {"id": run, "name": "brave-fox"}
    assert bundle["states"] == []
    assert [e["event"] for e in bundle["events"]][-1] == "prefect.flow-run.Crashed"
    assert "deleted" in bundle["notes"][0]


async def test_a_scheduled_run_is_captured(world):
    """It has no logs and no end yet."""
    run = world.run(flow=unique("scheduled"), state=SCHEDULED | {"name": "Scheduled"})

    bundle, _ = await captured(run)

    assert bundle["flow_run"]["state_type"] == "SCHEDULED"
    assert bundle["logs"] == []


async def test_the_id_of_a_task_run_is_refused_with_the_flow_run(world):
    """The message names the run to ask about."""
    run = world.run(RUNNING, flow=unique("task"))
    body = {"flow_run_id": run, "task_key": "t", "dynamic_key": "0"}
    task_run = world.post("/task_runs/", body)["id"]

    with pytest.raises(BadInput, match=f"is a task run of flow run {run}"):
        await captured(task_run)


async def test_an_unknown_id_is_refused(world):
    """The message says where it was looked for."""
    with pytest.raises(BadInput, match="knows no flow run"):
        await captured(str(uuid.uuid4()))


async def test_a_server_that_is_gone_is_no_bad_input(world):
    """Not being able to look is not the same as nothing being there."""
    from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    nowhere = {PREFECT_API_URL: "http://127.0.0.1:9/api", PREFECT_CLIENT_MAX_RETRIES: 0}
    with temporary_settings(nowhere), pytest.raises(Unreachable):
        await captured(str(uuid.uuid4()))
