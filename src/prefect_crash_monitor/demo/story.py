"""The story of the demo, from an empty folder to the all-clear."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

from prefect_crash_monitor.api import Api, open_api
from prefect_crash_monitor.demo import steps
from prefect_crash_monitor.demo.processes import Sandbox, background, sandbox
from prefect_crash_monitor.demo.receiver import Receiver, receive
from prefect_crash_monitor.demo.screen import Screen
from prefect_crash_monitor.model import Kind
from prefect_crash_monitor.project import write_project

INTERRUPTED = 130


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
    before the end.

    Raises:
        DemoFailed: a step did not do what it should.
    """
    screen = Screen(results=not as_json)
    stays = sys.stdout.isatty() and not as_json
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with ExitStack() as stack:
            box = stack.enter_context(sandbox())
            receiver = stack.enter_context(receive(screen.notification))
            own = {PREFECT_API_URL: box.api_url, PREFECT_HOME: box.folder / "prefect"}
            stack.enter_context(temporary_settings(own))
            stage = Stage(box, screen, receiver, stack)
            result = asyncio.run(_play(stage))
            if as_json:
                sys.stdout.write(json.dumps(result, ensure_ascii=False) + "\n")
            if look is not None:
                look(box.ui_url)
            elif stays:
                screen.line("The server stays up until Ctrl-C.")
                signal.pause()
    except KeyboardInterrupt:
        screen.line("Stopped; nothing is left behind.")
        return 0 if stays else INTERRUPTED
    return 0


async def _play(stage: Stage) -> dict[str, Any]:
    """A server, a deployed monitor, crashes, a count, one notification, the all-clear."""
    box, screen = stage.box, stage.screen
    with screen.step("prefect server start"):
        server = background(box, "server", ["prefect", "server", "start"])
        stage.processes.enter_context(server)
        await steps.wait_for(lambda: steps.is_healthy(box), "the Prefect server", box)
    async with open_api() as api:
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
        return await _crash_and_tell(api, monitor, stage)


async def _crash_and_tell(api: Api, monitor: str, stage: Stage) -> dict[str, Any]:
    box, screen = stage.box, stage.screen
    since = datetime.now(UTC)
    with screen.step(f"Flow runs crash in {len(steps.WAYS)} ways"):
        made = await _crash(api, box)
    screen.made(made)
    with screen.step("The interval settles; the monitor counts and judges"):
        until = await steps.settle(datetime.now(UTC))
        await steps.cycle(api, monitor, box)
        await _until_told(api, Kind.OPENED, stage)
    opened = steps.incidents(box)
    with screen.step("Quiet again: the all-clear (compressed, about a minute)"):
        await _until_resolved(api, monitor, stage)
    count = steps.count(box, since, until)
    screen.numbers(count)
    screen.look_at(box.ui_url)
    return {
        "ui": box.ui_url,
        "made": made,
        "crashed": count["crashed"],
        "notifications": steps.told(stage.receiver.messages, await steps.incident_events(api)),
        "incidents": opened,
    }


async def _crash(api: Api, box: Sandbox) -> list[dict[str, str]]:
    """Runs every victim to its end, and the retried one to its second."""
    deployments = await steps.deploy_victims(api, box)
    runs = {way: await steps.run_deployment(api, id_) for way, id_ in deployments.items()}
    retried = runs[steps.RETRIED]
    await steps.until_ended(api, [retried], "the run that is retried", box)
    await steps.wait_for(lambda: steps.is_let_go(api, retried), "the worker to let it go", box)
    await steps.retry(api, retried)
    await steps.until_ended(api, list(runs.values()), "the crashing runs", box)
    return [{"flow_run_id": run, "way": way} for way, run in runs.items() if way != steps.HEALTHY]


async def _until_told(api: Api, kind: Kind, stage: Stage) -> None:
    """Waits for the notification of a kind to arrive at the receiver."""

    async def arrived() -> bool:
        told = steps.told(stage.receiver.messages, await steps.incident_events(api))
        return any(message["kind"] == kind for message in told)

    await steps.wait_for(arrived, f"the notification that an incident is {kind}", stage.box)


async def _until_resolved(api: Api, monitor: str, stage: Stage) -> None:
    """Waits out the quiet period, then lets the monitor find that it is over."""
    latest = steps.incidents(stage.box)[0]["last_crash_at"]
    quiet = datetime.fromisoformat(latest) + steps.RULE.within + steps.RULE.quiet_for
    await steps.settle(quiet)
    await steps.cycle(api, monitor, stage.box)
    await _until_told(api, Kind.RESOLVED, stage)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt
