"""The deployed triage on a real server: an incident opens, a worker looks at it, once."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.server import Server, server_with_project, world_of
from tests.support.world import COMPLETED, CRASHED, PENDING, RUNNING, World, unique

from prefect_crash_monitor.config.policy import Policy, Rule, Scope
from prefect_crash_monitor.config.read_policy import Settings
from prefect_crash_monitor.cycle.result import Result
from prefect_crash_monitor.cycle.run_cycle import run_cycle
from prefect_crash_monitor.demo.processes import background
from prefect_crash_monitor.model.interval import aligned
from prefect_crash_monitor.model.own import OWN_TAG, Place
from prefect_crash_monitor.notify.automations.register_automations import Registration, register
from prefect_crash_monitor.notify.automations.triage import NOT_DEPLOYED
from prefect_crash_monitor.prefect_api.client import open_api
from prefect_crash_monitor.publish.events import INCIDENT_EVENTS, MONITOR_LABEL, NOTIFY_LABEL
from prefect_crash_monitor.state.ledger_store import LedgerStore

pytestmark = [pytest.mark.server, pytest.mark.slow]
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
TEN = 10 * SECOND
NAME = "/deployments/name/crash-triage/crash-triage"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server for this file, with the project written and nothing deployed yet."""
    with server_with_project() as server:
        yield server


@pytest.fixture
def there(server: Server) -> Iterator[World]:
    """The world of that server; our own API goes there, too."""
    with world_of(server) as world:
        yield world


def deploy(server: Server, there: World) -> None:
    """By the real command; the monitor's own schedule is paused, so that only the tests count."""
    server.box.command("prefect", "--no-prompt", "deploy", "--all")
    monitor = there.http.get("/deployments/name/crash-monitor/crash-monitor").json()["id"]
    there.post(f"/deployments/{monitor}/pause_deployment", {})


async def registered(**policy: Any) -> Registration:
    """Registers the default monitor."""
    async with open_api() as api:
        return await register(api, Policy(**policy), monitor="default")


def automations(there: World) -> list[dict[str, Any]]:
    """Those that start a triage."""
    body = {"automations": {"name": {"any_": ["Crash monitor: triage"]}}}
    return list(there.post("/automations/filter", body))


def triages(there: World) -> list[dict[str, Any]]:
    """Runs of the triage."""
    return list(there.post("/flow_runs/filter", {"flows": {"name": {"any_": ["crash-triage"]}}}))


def open_incident(there: World, incident: str, run_id: str, notify: str = "alone") -> None:
    """An event as the monitor sends it."""
    event = {
        "id": str(uuid.uuid4()),
        "event": INCIDENT_EVENTS["opened"],
        "occurred": datetime.now(UTC).isoformat(),
        "resource": {
            "prefect.resource.id": f"crash-monitor.incident.{incident}",
            MONITOR_LABEL: "default",
            NOTIFY_LABEL: notify,
        },
        "payload": {"incident": {"incident": incident, "sample_run_id": run_id}},
    }
    there.post("/events", [event])


async def test_the_automation_follows_the_deployment(server, there):
    """None before it is deployed, and a warning; then one, kept by a redeploy, and updated by a
    deployment made anew; a deployment of somebody else's, or a policy against it, removes it."""
    first = await registered()
    deploy(server, there)
    second = await registered()
    (made,) = automations(there)
    deploy(server, there)
    third = await registered()
    (kept,) = automations(there)
    id_ = there.http.get(NAME).json()["id"]
    there.http.delete(f"/deployments/{id_}").raise_for_status()
    gone = await registered()
    there.deployment("crash-triage", "crash-triage")
    strangers = await registered()
    there.http.delete(f"/deployments/{there.http.get(NAME).json()['id']}").raise_for_status()
    deploy(server, there)
    again = await registered()
    unwanted = await registered(triage=False)
    back = await registered()

    assert (NOT_DEPLOYED in first.warnings, NOT_DEPLOYED in second.warnings) == (True, False)
    assert second.created == ("Crash monitor: triage",)
    assert "Crash monitor: triage" in third.unchanged
    assert kept == made  # with its trigger's id, hence its cooldown
    assert gone.removed == ("Crash monitor: triage",)
    assert NOT_DEPLOYED in strangers.warnings
    assert (strangers.created, strangers.removed) == ((), ())
    assert again.created == back.created == ("Crash monitor: triage",)
    assert unwanted.removed == ("Crash monitor: triage",)
    assert NOT_DEPLOYED not in unwanted.warnings
    (now,) = automations(there)
    assert now["actions"][0]["deployment_id"] == there.http.get(NAME).json()["id"] != id_


async def test_a_deployment_made_anew_is_followed(server, there):
    """Its new id is put in place of the old one; the automation stays."""
    deploy(server, there)
    await registered()
    (before,) = automations(there)
    there.http.delete(f"/deployments/{there.http.get(NAME).json()['id']}").raise_for_status()
    deploy(server, there)

    result = await registered()

    assert result.updated == ("Crash monitor: triage",)
    (after,) = automations(there)
    assert after["id"] == before["id"]
    assert after["actions"][0]["deployment_id"] == there.http.get(NAME).json()["id"]


def settings(name: str = "default") -> Settings:
    """One crash of any flow opens an incident."""
    rule = Rule(name="one", scope=Scope.FLOW, crashes=1)
    policy = Policy(interval=TEN, settle=6 * SECOND, grace=0 * SECOND, rules=[rule])
    return Settings(name=name, policy=policy)


async def cycle(setting: Settings, now: datetime) -> Result:
    """One cycle at a time of our choice."""
    async with open_api() as api:
        return await run_cycle(api, setting, Place(), now)


def crash_events(there: World, flow: str) -> int:
    """How many crash events of a flow are stored."""
    filter_ = {
        "resource": {"labels": {"prefect.state-type": "CRASHED"}},
        "related": {"labels": {"prefect.resource.role": "flow", "prefect.resource.name": flow}},
    }
    return int(there.post("/events/filter", {"filter": filter_, "limit": 0})["total"])


def edits(there: World, deployment: str) -> int:
    """How many changes of a deployment are stored."""
    resource = {"id": [f"prefect.deployment.{deployment}"]}
    filter_ = {"event": {"name": ["prefect.deployment.updated"]}, "resource": resource}
    return int(there.post("/events/filter", {"filter": filter_, "limit": 0})["total"])


async def test_an_incident_is_looked_at_once(server, there, wait_until):
    """A crash, a real cycle, its event, a real worker: the artifact is there; the same incident
    again and one of a digest start nothing, another one does; and a crashed triage
    opens no incident."""
    deploy(server, there)
    flow = unique("victim")
    setting = settings()
    await cycle(setting, aligned(datetime.now(UTC), TEN) + 6 * SECOND)
    deployment = there.deployment(
        flow, "daily", work_pool_name="crash-monitor", job_variables={"env": {"TOKEN": "hunter1-x"}}
    )
    there.deployed_run(deployment, PENDING, RUNNING, COMPLETED)
    there.patch(f"/deployments/{deployment}", {"job_variables": {"env": {"TOKEN": "hunter2-x"}}})
    run = there.deployed_run(deployment, PENDING, RUNNING, CRASHED)
    wait_until(lambda: crash_events(there, flow), what="the crash event")
    wait_until(lambda: edits(there, deployment), what="the event of the edit")
    end = aligned(datetime.now(UTC), TEN) + TEN

    worker = ["prefect", "worker", "start", "--pool", "crash-monitor"]
    with background(server.box, "worker", worker):
        result = await cycle(setting, end + 6 * SECOND)
        (opened,) = result.judgement.transitions
        incident = f"{opened.incident.id}.{opened.incident.episode}"
        wait_until(lambda: triages(there), what="a triage")
        (triage,) = wait_until(lambda: done(there, 1), what="the triage to end")
        open_incident(there, incident, run)
        open_incident(there, "one-of-many.1", run, notify="digest")
        open_incident(there, "other.1", run)
        both = wait_until(lambda: done(there, 2), what="the triage of the other incident")

    assert (triage["state_type"], triage["created_by"]["type"]) == ("COMPLETED", "AUTOMATION")
    assert triage["parameters"] == {"flow_run_id": run, "incident": incident, "policy": "default"}
    assert {t["parameters"]["incident"] for t in both} == {incident, "other.1"}
    artifact = there.http.get(f"/artifacts/crash-triage-{run}/latest").raise_for_status().json()
    versions = there.post("/artifacts/filter", {"artifacts": {"key": {"any_": [artifact["key"]]}}})
    assert len(versions) == 2
    first = next(v for v in versions if v["flow_run_id"] == triage["id"])
    assert first["type"] == "markdown"
    for words in (
        f"incident {incident}",
        "job_variables.env.TOKEN",
        "killed-oom-or-sigkill",
        "1 run right before it completed",
        "prefect flow-run logs",
    ):
        assert words in first["data"]
    assert "hunter" not in json.dumps(versions)

    own = there.http.get(NAME).json()
    assert own["tags"] == [OWN_TAG]
    crashed = there.deployed_run(
        own["id"], PENDING, RUNNING, CRASHED, parameters={"flow_run_id": run}
    )
    wait_until(lambda: crash_events(there, "crash-triage"), what="the crash of the triage")
    end = aligned(datetime.now(UTC), TEN) + TEN
    quiet = await cycle(setting, end + MINUTE)
    assert sum(record.monitor_crashed for record in quiet.records) == 1
    assert quiet.judgement.transitions == ()
    assert {t["id"] for t in triages(there)} == {crashed, *(t["id"] for t in both)}


def done(there: World, number: int) -> list[dict[str, Any]]:
    """The triages, once so many have ended."""
    ended = [t for t in triages(there) if t["state_type"] in {"COMPLETED", "FAILED", "CRASHED"}]
    return ended if len(ended) >= number else []


async def test_a_cycle_knows_the_triage_as_its_own(server, there):
    """Its deployment is remembered, so that slots of stranded triages are freed by the monitor."""
    deploy(server, there)
    setting = settings(unique("own"))
    await cycle(setting, aligned(datetime.now(UTC), TEN) + 6 * SECOND)
    async with open_api() as api:
        ledger = await LedgerStore(api, setting.name).read(datetime.now(UTC))
        await register(api, setting.policy, monitor=setting.name, remove=True)

    assert ledger.own_deployments == (there.http.get(NAME).json()["id"],)


def test_by_hand_without_a_deployment(server, there):
    """The flow file runs as a script, too."""
    run = there.run(RUNNING, CRASHED, flow=unique("script"))

    done = subprocess.run(
        [sys.executable, "flows/crash_triage.py", run],
        cwd=server.box.project,
        env=server.box.environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert there.http.get(f"/artifacts/crash-triage-{run}/latest").is_success
