"""The story of the demo, from an empty folder to the all-clear."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    PREFECT_HOME,
    temporary_settings,
)

from prefect_crash_monitor.config.write_project import write_project
from prefect_crash_monitor.demo import steps
from prefect_crash_monitor.demo.processes import Sandbox, background, sandbox
from prefect_crash_monitor.demo.receiver import Receiver, receive
from prefect_crash_monitor.demo.screen import Screen
from prefect_crash_monitor.demo.ways import HEALTHY, RETRIED, WAYS
from prefect_crash_monitor.model.crash import Diagnosis
from prefect_crash_monitor.model.incident import Kind
from prefect_crash_monitor.model.interval import Window
from prefect_crash_monitor.prefect_api.client import Api, open_api

INTERRUPTED = 130
PATIENT = {PREFECT_CLIENT_MAX_RETRIES: 6}
"""With growing pauses, two minutes: an SQLite database under seven starting runs answers 503 for
longer than a cycle would wait."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the story plays."""

    box: Sandbox
    screen: Screen
    receiver: Receiver
    processes: ExitStack


def run_demo(*, as_json: bool, look: Callable[[str], None] | None = None) -> int:
    """Plays the demo; leaves no process and no file behind, however it ends.

    Stays up for a look at the UI where stdout is a terminal; `look` is called with the UI's URL
    instead.

    Raises:
        DemoFailed: a step did not do what it should.
    """
    screen = Screen(results=not as_json)
    try:
        with _stage(screen) as stage:
            screen.begin()
            result = asyncio.run(_play(stage))
            if as_json:
                sys.stdout.write(json.dumps(result, ensure_ascii=False) + "\n")
            if look is not None:
                look(stage.box.ui_url)
            elif sys.stdout.isatty() and not as_json:
                _stay(stage)
    except KeyboardInterrupt:
        screen.line("Stopped; nothing is left behind.")
        return INTERRUPTED
    return 0


@contextmanager
def _stage(screen: Screen) -> Iterator[Stage]:
    """An empty stage, cleared at the end; that takes seconds, which nobody can interrupt."""
    # Ctrl-C is ours, too: asyncio's handler waits for the step at hand.
    before = {n: signal.signal(n, _interrupt) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        with ExitStack() as stack:
            box = stack.enter_context(sandbox())
            receiver = stack.enter_context(receive())
            own = {PREFECT_API_URL: box.api_url, PREFECT_HOME: box.folder / "prefect"}
            stack.enter_context(temporary_settings(own))
            try:
                yield Stage(box, screen, receiver, stack)
            finally:
                for number in before:
                    signal.signal(number, signal.SIG_IGN)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stay(stage: Stage) -> None:
    """Leaves the server up for a look, until it is enough."""
    stage.screen.line(f"The server stays up until Ctrl-C: {stage.box.ui_url}")
    with suppress(KeyboardInterrupt):
        signal.pause()


async def _play(stage: Stage) -> dict[str, Any]:
    """A server, a deployed monitor, crashes, a count, one notification, the all-clear."""
    box, screen = stage.box, stage.screen
    with screen.step("prefect server start"):
        server = background(box, "server", ["prefect", "server", "start"])
        stage.processes.enter_context(server)
        await steps.wait_for(lambda: steps.is_healthy(box), "the Prefect server", box)
    async with open_api() as api:
        with temporary_settings(PATIENT):
            return await _crash_and_tell(api, await _deploy(api, stage), stage)


async def _deploy(api: Api, stage: Stage) -> str:
    """Deploys the monitor as the README says, and starts a worker; the deployment's id."""
    box, screen = stage.box, stage.screen
    with screen.step("prefect deploy --all, and a policy that names a webhook"):
        write_project(box.project)
        await steps.save_blocks(stage.receiver.url)
        box.command("prefect", "work-pool", "create", steps.POOL, "--type", "process")
        box.command("prefect", "--no-prompt", "deploy", "--all")
        monitor = await steps.deployment_id(api, "crash-monitor/crash-monitor")
        await steps.pause_schedule(api, monitor)
    with screen.step("prefect worker start; a first cycle, nothing has crashed yet"):
        worker = ["prefect", "worker", "start", "--pool", steps.POOL, "--limit", "4"]
        stage.processes.enter_context(background(box, "worker", worker))
        await steps.cycle(api, monitor, box)
    return monitor


async def _crash_and_tell(api: Api, monitor: str, stage: Stage) -> dict[str, Any]:
    box, screen = stage.box, stage.screen
    since = datetime.now(UTC)
    with screen.step(f"Flow runs crash in {len(WAYS)} ways"):
        runs = await _crash(api, box)
    with screen.step("The deployed monitor counts them, explains them, and tells of them once"):
        until = await steps.settle(datetime.now(UTC))
        await steps.cycle(api, monitor, box)
        await _until_told(api, Kind.OPENED, stage)
    made = _explained(runs, await steps.diagnoses(api, Window(since, until)))
    screen.made(made)
    _show_news(stage)
    screen.look_at(box.ui_url, made[-1]["flow_run_id"])
    opened = steps.incidents(box)
    with screen.step("It is still open: a reminder (here after seconds, really after hours)"):
        await _until_reminded(api, monitor, stage)
    _show_news(stage)
    with screen.step("Nothing more crashes: the all-clear (after about a minute)"):
        await _until_resolved(api, monitor, stage)
    _show_news(stage)
    count = steps.count(box, since, until)
    screen.numbers(count)
    return {
        "ui": box.ui_url,
        "made": made,
        "crashed": count["crashed"],
        "notifications": steps.told(stage.receiver.messages, await steps.incident_events(api)),
        "incidents": opened,
    }


def _explained(runs: Mapping[str, str], diagnoses: Mapping[str, Diagnosis]) -> list[dict[str, str]]:
    """What was done to each run, beside what the monitor found; nothing where it found no crash."""
    nothing = Diagnosis(cause="", confidence="", fingerprint="")
    found = {way: diagnoses.get(run, nothing) for way, run in runs.items()}
    return [
        {
            "flow_run_id": run,
            "way": way,
            "did": WAYS[way],
            "cause": found[way].cause,
            "title": found[way].title,
            "evidence": found[way].evidence,
        }
        for way, run in runs.items()
    ]


def _show_news(stage: Stage) -> None:
    """Prints what arrived at the webhook since it was last asked for."""
    for message in stage.receiver.news():
        stage.screen.notification(message)


async def _crash(api: Api, box: Sandbox) -> dict[str, str]:
    """Runs every victim to its end, and the retried one to its second; crashed runs by way."""
    deployments = await steps.deploy_victims(api, box)
    runs = {way: await steps.run_deployment(api, id_) for way, id_ in deployments.items()}
    retried = runs[RETRIED]
    await steps.until_ended(api, [retried], "the run that is retried", box)
    await steps.wait_for(lambda: steps.is_let_go(api, retried), "the worker to let it go", box)
    await steps.retry(api, retried)
    await steps.until_ended(api, list(runs.values()), "the crashing runs", box)
    return {way: run for way, run in runs.items() if way != HEALTHY}


async def _until_told(api: Api, kind: Kind, stage: Stage) -> None:
    """Waits for the notification of a kind to arrive at the receiver."""

    async def arrived() -> bool:
        told = steps.told(stage.receiver.messages, await steps.incident_events(api))
        return any(message["kind"] == kind for message in told)

    await steps.wait_for(arrived, f"the notification that an incident is {kind}", stage.box)


async def _until_reminded(api: Api, monitor: str, stage: Stage) -> None:
    """Lets the monitor find that it still burns, in the first interval that may remind of it."""
    counted_before = datetime.now(UTC) - steps.POLICY["settle"]
    await steps.settle(counted_before)
    await steps.cycle(api, monitor, stage.box)
    await _until_told(api, Kind.REMINDED, stage)


async def _until_resolved(api: Api, monitor: str, stage: Stage) -> None:
    """Waits out the quiet period, then lets the monitor find that it is over."""
    latest = steps.incidents(stage.box)[0]["last_crash_at"]
    quiet = datetime.fromisoformat(latest) + steps.RULE.within + steps.RULE.quiet_for
    await steps.settle(quiet)
    await steps.cycle(api, monitor, stage.box)
    await _until_told(api, Kind.RESOLVED, stage)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt
