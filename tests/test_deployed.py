"""What deployed flows call, within real flow runs: whose run it is, and where its log lines go."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from flows.crash_monitor import crash_monitor
from prefect import Flow, flow
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow
from prefect.logging.handlers import APILogHandler
from tests.support.world import World, unique

from prefect_crash_monitor.blocks import CrashPolicy
from prefect_crash_monitor.config.policy import Policy
from prefect_crash_monitor.deployed import _logs_to_run, monitor
from prefect_crash_monitor.model.own import OWN_TAG
from prefect_crash_monitor.notify.automations.register_automations import register
from prefect_crash_monitor.prefect_api.client import open_api
from prefect_crash_monitor.state.ledger_store import LedgerStore

pytestmark = [
    pytest.mark.server,
    # Prefect's own event worker leaves its sockets to the garbage collector when a flow ends.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
PACKAGE = logging.getLogger("prefect_crash_monitor")
SECRET = "postgresql://app:hunter2hunter2@db/prod"


@pytest.fixture(autouse=True)
def sockets_of_prefect() -> Iterator[None]:
    """Collects what Prefect leaves behind here, where the warning is ignored, not in others."""
    yield
    gc.collect()


@pytest.fixture
async def policy(api_url: str) -> AsyncIterator[str]:
    """The saved policy of a monitor of this test alone, by name."""
    name, second = unique("deployed"), timedelta(seconds=1)
    spans = {"interval": 10 * second, "settle": 6 * second, "cooldown": 10 * second}
    await CrashPolicy(**spans, rules=[], triage=False).save(name)
    yield name
    async with open_api() as api:
        await register(api, Policy(), monitor=name, remove=True)


async def run_deployed(world: World, flow: Flow[Any, Any], policy: str, *tags: str) -> str:
    """Runs a flow as a worker does that got a run of its deployment; the deployment's id."""
    deployment = world.deployment(flow.name, unique("deployment"), tags=list(tags))
    run = world.deployed_run(deployment)
    async with get_client() as client:
        flow_run = await client.read_flow_run(UUID(run))
    await run_flow(flow, flow_run=flow_run, parameters={"policy": policy})
    return deployment


async def own_deployments(policy: str) -> tuple[str, ...]:
    """Deployments that the monitor takes for its own."""
    async with open_api() as api:
        return (await LedgerStore(api, policy).read(datetime.now(UTC))).own_deployments


async def test_its_own_deployment_is_known_by_its_id(world, policy):
    """So that its runs are known even where somebody takes the tag away."""
    deployment = await run_deployed(world, crash_monitor, policy)

    assert await own_deployments(policy) == (deployment,)


async def test_a_deployment_under_another_name_is_known_by_the_tag(world, policy):
    """A project may rename the flow; prefect.yaml has the tag."""

    @flow(name=unique("watchdog"))
    async def renamed(policy: str) -> None:
        await monitor(policy)

    deployment = await run_deployed(world, renamed, policy, OWN_TAG)

    assert await own_deployments(policy) == (deployment,)


async def test_a_flow_that_runs_the_monitor_as_a_subflow_is_not_the_monitors(world, policy):
    """Its crashes used to be left out of the count, and its long runs to be set CRASHED."""

    @flow(name=unique("nightly"))
    async def nightly(policy: str) -> None:
        await crash_monitor(policy=policy)

    await run_deployed(world, nightly, policy)

    assert await own_deployments(policy) == ()


async def test_a_flow_that_calls_the_monitor_among_other_things_is_not_the_monitors(world, policy):
    """Neither its name nor a tag says so."""

    @flow(name=unique("nightly"))
    async def nightly(policy: str) -> None:
        await monitor(policy)

    await run_deployed(world, nightly, policy)

    assert await own_deployments(policy) == ()


# Log lines.


class Lines(logging.Handler):
    """Keeps the text of what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps one line."""
        self.said.append(record.getMessage())


@contextmanager
def listening(to: logging.Logger) -> Iterator[list[str]]:
    """What a handler of the user's gets to see of a logger."""
    lines = Lines()
    to.addHandler(lines)
    try:
        yield lines.said
    finally:
        to.removeHandler(lines)


@flow(name="logs")
async def logs(text: str, other: str = "") -> str:
    """Logs a line of this package, runs the same flow within where asked, logs once more."""
    from prefect.runtime import flow_run

    with _logs_to_run():
        PACKAGE.getChild("somewhere").info("%s, first", text)
        if other:
            await asyncio.gather(logs(other), logs(other))
        PACKAGE.getChild("somewhere").warning("%s, last", text)
    return str(flow_run.id)


def logged(world: World, run: str) -> list[str]:
    """The log lines of a run that this test made, as Prefect's UI shows them."""
    body = {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC"}
    lines = (line["message"] for line in world.post("/logs/filter", body))
    return [line for line in lines if line.endswith((", first", ", last"))]


async def test_a_line_is_shown_once_and_redacted_everywhere(world, wait_until):
    """On a terminal each line used to appear twice, the second time with its secrets."""
    with listening(logging.getLogger()) as terminal:
        run = await logs(f"connecting to {SECRET}")

    wait_until(lambda: len(logged(world, run)) >= 2, what="log lines")
    redacted = SECRET.replace("hunter2hunter2", "***")
    expected = [f"connecting to {redacted}, {end}" for end in ("first", "last")]
    assert logged(world, run) == expected
    assert [line for line in terminal if "connecting" in line] == expected


async def test_runs_in_one_process_have_each_their_own_lines(world, wait_until):
    """As several triages do that one flow runs as subflows."""
    mine, theirs = unique("mine"), unique("theirs")

    run = await logs(mine, theirs)

    wait_until(lambda: len(logged(world, run)) >= 2, what="log lines")
    assert logged(world, run) == [f"{mine}, first", f"{mine}, last"]


async def test_prefects_own_setting_for_extra_loggers_repeats_nothing(world, wait_until):
    """With `PREFECT_LOGGING_EXTRA_LOGGERS` Prefect hangs a handler of its own on our logger."""
    text, prefects = unique("extra"), APILogHandler()
    PACKAGE.addHandler(prefects)
    try:
        run = await logs(text)
        wait_until(lambda: len(logged(world, run)) >= 2, what="log lines")
        assert prefects in PACKAGE.handlers
    finally:
        PACKAGE.removeHandler(prefects)

    assert logged(world, run) == [f"{text}, first", f"{text}, last"]


async def test_the_logger_is_left_as_it_was(api_url):
    """Runs that overlap included: the last one to end takes the handler away."""
    before = (PACKAGE.level, PACKAGE.propagate, list(PACKAGE.handlers))

    await asyncio.gather(logs("a", "b"), logs("c", "d"))

    assert (PACKAGE.level, PACKAGE.propagate, list(PACKAGE.handlers)) == before


async def test_a_level_that_somebody_chose_stays(world, wait_until):
    """DEBUG brings tracebacks of parts that failed; WARNING leaves the decisions out."""
    text = unique("chosen")
    PACKAGE.setLevel(logging.WARNING)
    try:
        run = await logs(text)
        assert PACKAGE.level == logging.WARNING
    finally:
        PACKAGE.setLevel(logging.NOTSET)

    wait_until(lambda: logged(world, run), what="log lines")
    assert logged(world, run) == [f"{text}, last"]
