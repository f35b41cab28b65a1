"""The steps of the demo, each against the real server."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx
from prefect.blocks.notifications import CustomWebhookNotificationBlock

from prefect_crash_monitor.blocks import CrashPolicy
from prefect_crash_monitor.config.policy import Rule, Scope, Severity
from prefect_crash_monitor.demo.processes import DemoFailed, Sandbox
from prefect_crash_monitor.demo.ways import HEALTHY, MISSING_FILE, WAYS
from prefect_crash_monitor.explain.read_evidence import explain_crashes
from prefect_crash_monitor.model.crash import Diagnosis
from prefect_crash_monitor.model.interval import Window, aligned
from prefect_crash_monitor.observe.read_crashes import observe
from prefect_crash_monitor.prefect_api.client import Api
from prefect_crash_monitor.publish.events import INCIDENT_EVENTS

PATIENCE_SECONDS = 180.0
"""Of one step; on two cores each takes well below a minute."""

POOL = "crash-monitor"
ENDED = {"CRASHED", "COMPLETED", "FAILED", "CANCELLED"}
SECOND = timedelta(seconds=1)
RECEIVER = "crash-monitor-demo"
RULE = Rule(
    name="crash-storm",
    scope=Scope.EVERYTHING,
    crashes=3,
    # Long enough that the next cycle still finds it burning, on a machine several times slower.
    within=90 * SECOND,
    quiet_for=10 * SECOND,
    severity=Severity.CRITICAL,
)
# Time-compressed: ten seconds stand for five minutes, and for the four hours of a reminder.
POLICY: Mapping[str, Any] = {
    "interval": 10 * SECOND,
    "settle": 6 * SECOND,
    "grace": 0 * SECOND,
    "cooldown": 10 * SECOND,
    "remind_after": 10 * SECOND,
    "silent_after": 60,  # the story itself makes the monitor wait
    "receiver": f"custom-webhook/{RECEIVER}",
    "rules": [RULE],
}

Found = TypeVar("Found")


async def wait_for(
    ask: Callable[[], Awaitable[Found]],
    what: str,
    box: Sandbox,
    *,
    seconds: float = PATIENCE_SECONDS,
) -> Found:
    """Asks until the answer is something.

    Raises:
        DemoFailed: after so many seconds, with the end of the logs.
    """
    deadline = time.monotonic() + seconds
    while not (found := await ask()):
        if time.monotonic() > deadline:
            raise DemoFailed(f"Waited {seconds:.0f} s for {what}.\n{box.end_of_logs()}")
        await asyncio.sleep(0.5)
    return found


async def is_healthy(box: Sandbox) -> bool:
    """Whether the server answers."""
    async with httpx.AsyncClient() as client:
        try:
            return (await client.get(f"{box.api_url}/health")).is_success
        except httpx.TransportError:
            return False


async def save_blocks(url: str) -> None:
    """The webhook that is told, and the policy that names it."""
    message = {"subject": "{{subject}}", "text": "{{body}}"}
    webhook = CustomWebhookNotificationBlock.model_validate(
        {"name": "demo", "url": url, "json_data": message}
    )
    await webhook.save(RECEIVER, overwrite=True)
    await CrashPolicy(**POLICY).save("default", overwrite=True)


async def pause_schedule(api: Api, deployment: str) -> None:
    """Cycles run when the story wants them."""
    await api.post(f"/deployments/{deployment}/pause_deployment", {})


async def deployment_id(api: Api, name: str) -> str:
    """The id of `flow/deployment`."""
    return str((await api.get(f"/deployments/name/{name}"))["id"])


async def deploy_victims(api: Api, box: Sandbox) -> dict[str, str]:
    """One deployment for each way to die and one that lives; ids by way."""
    shutil.copy(Path(__file__).with_name("victims.py"), box.project / "victims.py")
    flow = (await api.post("/flows/", {"name": "demo"}))["id"]
    pull = {"prefect.deployments.steps.set_working_directory": {"directory": str(box.project)}}
    deployments = {}
    for way in (*WAYS, HEALTHY):
        file = "no_such_file.py" if way == MISSING_FILE else "victims.py"
        body = {
            "flow_id": flow,
            "name": way,
            "entrypoint": f"{file}:victim",
            "parameters": {"way": way},
            "work_pool_name": POOL,
            "pull_steps": [pull],
        }
        deployments[way] = (await api.post("/deployments/", body))["id"]
    return deployments


async def run_deployment(api: Api, deployment: str) -> str:
    """A new flow run; its id."""
    # With the key a repeat is harmless: a server under load may say 503 after it is done.
    body = {"state": {"type": "SCHEDULED"}, "idempotency_key": str(uuid.uuid4())}
    return str((await api.post(f"/deployments/{deployment}/create_flow_run", body))["id"])


async def state_of(api: Api, run: str) -> Mapping[str, Any]:
    """The state that a run is in."""
    state: Mapping[str, Any] = (await api.get(f"/flow_runs/{run}"))["state"]
    return state


async def until_ended(api: Api, runs: Sequence[str], what: str, box: Sandbox) -> list[str]:
    """Waits until all runs are in a terminal state; returns the states' types."""

    async def types() -> list[str]:
        found = [(await state_of(api, run))["type"] for run in runs]
        return found if ENDED.issuperset(found) else []

    return await wait_for(types, what, box)


async def is_let_go(api: Api, run: str) -> bool:
    """Whether the worker is done with a run.

    Runner and worker both report a dead process. Retried in between, the run would be set
    CRASHED a second time by the later of them.
    """
    filter_ = {
        "event": {"name": ["prefect.worker.executed-flow-run"]},
        "related": {"id": [f"prefect.flow-run.{run}"]},
    }
    page = await api.post("/events/filter", {"filter": filter_, "limit": 0})
    return bool(page["total"])


async def retry(api: Api, run: str) -> None:
    """Schedules a crashed run again, as `prefect flow-run retry` does."""
    state = {"type": "SCHEDULED", "name": "AwaitingRetry", "message": "Retried by the demo"}
    await api.post(f"/flow_runs/{run}/set_state", {"state": state})


async def cycle(api: Api, monitor: str, box: Sandbox) -> None:
    """One run of the deployed monitor by the real worker."""
    run = await run_deployment(api, monitor)
    types = await until_ended(api, [run], "a cycle of the monitor", box)
    if types != ["COMPLETED"]:
        message = (await state_of(api, run)).get("message")
        raise DemoFailed(f"The monitor's cycle ended {types[0]}: {message}\n{box.end_of_logs()}")


async def settle(since: datetime) -> datetime:
    """Waits until the interval that a moment lies in can be counted; returns its end."""
    interval: timedelta = POLICY["interval"]
    end = aligned(since, interval) + interval
    pause = end + POLICY["settle"] + SECOND - datetime.now(UTC)
    await asyncio.sleep(max(pause.total_seconds(), 0))
    return end


async def diagnoses(api: Api, window: Window) -> dict[str, Diagnosis]:
    """Why runs crashed, by run: what the monitor finds, who is not told what was done to them."""
    now, settle = datetime.now(UTC), POLICY["settle"]
    crashes = (await observe(api, window, now=now, settle=settle)).crashes
    explained = await explain_crashes(api, crashes, {}, settled_before=window.start)
    return {crash.flow_run_id: explained.diagnoses[crash.state_id] for crash in crashes}


async def incident_events(api: Api) -> list[Mapping[str, Any]]:
    """What the monitor has told of incidents, oldest first."""
    filter_ = {"event": {"name": sorted(INCIDENT_EVENTS.values())}, "order": "ASC"}
    page = await api.post("/events/filter", {"filter": filter_, "limit": 50})
    return [event["payload"] for event in page["events"]]


def told(messages: Sequence[Mapping[str, Any]], events: Sequence[Mapping[str, Any]]) -> list[Any]:
    """What arrived, with the incident and the kind of event that it came from."""
    by_text = {event["text"].strip(): event for event in events}
    found = [(message, by_text.get(str(message["text"]).strip())) for message in messages]
    return [
        {
            "incident": event["incident"]["incident"] if event else "",
            "kind": event["kind"] if event else "",
            "text": message["text"],
        }
        for message, event in found
    ]


def count(box: Sandbox, since: datetime, until: datetime) -> dict[str, Any]:
    """What `crash-monitor count` prints, by the real command."""
    window = ["--since", since.isoformat(), "--until", until.isoformat(), "--json"]
    answer: dict[str, Any] = json.loads(box.command(*COMMAND, "count", *window))
    return answer


def incidents(box: Sandbox) -> list[Any]:
    """What `crash-monitor incidents` prints, by the real command."""
    answer: list[Any] = json.loads(box.command(*COMMAND, "incidents", "--json"))
    return answer


COMMAND = ("prefect_crash_monitor",)
