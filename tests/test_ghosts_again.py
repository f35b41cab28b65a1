"""Known ghosts on a real server: looked at again, given up, proven, marked; the living let be."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.trouble import Answer, FakeProxy, fake_proxy
from tests.support.world import PENDING, RUNNING, World, unique
from tests.test_ghosts import LATER, Scene, beat, beats, event_of_run, event_of_worker, new_scene
from typer.testing import CliRunner

from prefect_crash_monitor.cli import handlers as commands
from prefect_crash_monitor.cli.app import app
from prefect_crash_monitor.explain import Confidence
from prefect_crash_monitor.ghosts.read_last_event import last_heard
from prefect_crash_monitor.prefect_api.client import open_api

MINUTE = timedelta(minutes=1)
SUBMITTED, EXECUTED, STOPPED = (
    "prefect.worker.submitted-flow-run",
    "prefect.worker.executed-flow-run",
    "prefect.worker.stopped",
)


@pytest.fixture
def scene(world: World, wait_until: Any) -> Scene:
    """A flow of this test's own; what others left unfinished on the server is gone."""
    return new_scene(world, wait_until)


def log(scene: Scene, run: str, at: datetime) -> None:
    """A line that the run's own code logs."""
    line = {
        "name": "prefect.flow_runs",
        "level": 20,
        "message": "on I go",
        "timestamp": at.isoformat(),
        "flow_run_id": run,
    }
    scene.world.post("/logs/", [line])


def test_a_likely_ghost_that_logs_on_is_none_any_more(scene: Scene):
    """An older image sends no heartbeats; its worker's namesake was stopped."""
    run, now, worker = scene.run(RUNNING), datetime.now(UTC), unique("worker")
    scene.send(
        event_of_worker(SUBMITTED, worker, run, now),
        event_of_worker(STOPPED, worker, "", now + MINUTE / 2),
    )
    known = tuple(scene.ghosts(3 * MINUTE).values())
    assert [one.why.confidence for one in known] == [Confidence.MEDIUM]
    log(scene, run, now + 4 * MINUTE)
    assert not scene.ghosts(8 * MINUTE, known=known, most=100)


@pytest.mark.parametrize("sign", ["log", "task"])
def test_a_certain_ghost_that_shows_life_is_none_any_more(scene: Scene, sign: str):
    """Anybody may send the event by which it was certain."""
    run, now, worker = scene.run(RUNNING), datetime.now(UTC), unique("worker")
    scene.send(event_of_worker(EXECUTED, worker, run, now))
    known = tuple(scene.ghosts(6 * MINUTE).values())
    assert [one.certain for one in known] == [True]
    if sign == "log":
        log(scene, run, now + 7 * MINUTE)
    else:
        about = {
            "prefect.resource.id": f"prefect.flow-run.{run}",
            "prefect.resource.role": "flow-run",
        }
        task = event_of_run("prefect.task-run.Completed", unique("task"), now + 7 * MINUTE)
        task["resource"]["prefect.resource.id"] = f"prefect.task-run.{unique('task')}"
        scene.send({**task, "related": [about]})
    assert not scene.ghosts(10 * MINUTE, known=known, most=100)


def test_a_doubtful_ghost_becomes_a_certain_one_when_proof_arrives(scene: Scene):
    """Nobody could tell whether it lived, until its worker saw its process end."""
    run, now, worker = scene.run(RUNNING), datetime.now(UTC), unique("worker")
    known = tuple(scene.ghosts(10 * MINUTE).values())
    assert [one.why.cause for one in known] == ["unobservable"]
    scene.send(event_of_worker(EXECUTED, worker, run, now + 40 * MINUTE))
    (one,) = scene.ghosts(60 * MINUTE, known=known, most=100).values()
    assert (one.why.cause, one.why.confidence) == ("ghost-running", Confidence.HIGH)


def test_what_is_certain_or_doubtful_costs_two_requests_while_nothing_is_heard_of_it(scene: Scene):
    """However many there are: a look at each takes five."""
    runs = [scene.run(RUNNING) for _ in range(6)]
    scene.send(*(one for run in runs[:3] for one in beats(run, datetime.now(UTC))))

    def requests(**more: Any) -> int:
        from prefect_crash_monitor.ghosts.read_ghosts import sweep

        async def work() -> int:
            async with open_api() as api:
                await sweep(api, datetime.now(UTC) + LATER, **more)
                return api.requests

        return asyncio.run(work())

    known = tuple(scene.ghosts().values())
    assert len(known) == 6
    assert requests(known=known, most=100) == requests(known=known, most=0)
    assert requests(known=known, most=100) < requests() - 20


def test_one_of_several_workers_of_a_name_is_stopped_and_the_run_of_the_other_is_none(scene: Scene):
    """Replicas with a fixed name; both started before the run did."""
    run, now, worker = scene.run(RUNNING), datetime.now(UTC), unique("worker")
    started = "prefect.worker.started"
    scene.send(
        event_of_worker(started, worker, "", now - 2 * MINUTE),
        event_of_worker(started, worker, "", now - MINUTE),
    )
    scene.send(event_of_worker(SUBMITTED, worker, run, now))
    scene.send(event_of_worker(STOPPED, worker, "", now + MINUTE / 2))
    assert not scene.ghosts(4 * MINUTE)
    scene.send(event_of_worker(STOPPED, worker, "", now + MINUTE))
    assert scene.ghosts(4 * MINUTE)


def test_a_worker_that_takes_runs_after_its_namesake_was_stopped_is_there(scene: Scene):
    """Its start is out of Prefect's retention; what it took since says so."""
    run, now, worker = scene.run(RUNNING), datetime.now(UTC), unique("worker")
    other = scene.run(PENDING)
    scene.send(
        event_of_worker(SUBMITTED, worker, run, now),
        event_of_worker(STOPPED, worker, "", now + MINUTE / 2),
        event_of_worker(SUBMITTED, worker, other, now + MINUTE),
    )
    assert run not in scene.ghosts(4 * MINUTE)


@pytest.mark.parametrize("sign", ["heartbeat", "log", "state"])
def test_a_living_run_is_not_marked_by_a_forged_event(scene: Scene, sign: str):
    """Neither while its next heartbeat is due, nor when it has shown life since the sweep."""
    run, now, worker = scene.run(RUNNING), datetime.now(UTC), unique("worker")
    scene.send(beat(run, now), event_of_worker(EXECUTED, worker, run, now + MINUTE))
    early = scene.ghosts(3 * MINUTE)[run]
    assert "not certain" in scene.mark(early, later=3 * MINUTE)
    certain = scene.ghosts(6 * MINUTE)[run]
    assert certain.certain
    if sign == "heartbeat":
        scene.send(beat(run, now + 5 * MINUTE))
    elif sign == "log":
        log(scene, run, now + 5 * MINUTE)
    else:
        scene.world.go(run, {"type": "RUNNING", "name": "Running"} | {"message": "again"})
    why_not = scene.mark(certain, later=6 * MINUTE)
    assert ("changed meanwhile" if sign == "state" else "sign of life") in why_not
    assert scene.state(run)["type"] == "RUNNING"


def test_on_a_busy_server_someone_is_heard(scene: Scene):
    """The newest 50 events of the span arrived only after it; older ones arrived in time."""
    run = scene.run(RUNNING)
    scene.send(beat(run, datetime.now(UTC) - 2 * MINUTE))
    until = datetime.now(UTC)
    late = [beat(run, until - timedelta(milliseconds=n)) for n in range(1, 61)]
    scene.send(*late[:30])
    scene.send(*late[30:])

    async def heard(since: datetime) -> datetime | None:
        async with open_api() as api:
            return await last_heard(api, since, until)

    assert asyncio.run(heard(until - 6 * MINUTE)) is not None
    assert asyncio.run(heard(until - timedelta(milliseconds=65))) is None


@pytest.fixture
def proxy(api_url: str) -> Iterator[FakeProxy]:
    """The server behind a proxy, to which the active profile points."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with fake_proxy(api_url) as proxy, temporary_settings({PREFECT_API_URL: proxy.url}):
        yield proxy


@pytest.mark.parametrize("status", [403, 500])
def test_what_was_marked_is_said_also_where_a_later_one_is_refused(
    scene: Scene, proxy: FakeProxy, monkeypatch: pytest.MonkeyPatch, status: int
):
    """On stdout as JSON; the trouble on stderr, with exit code 3."""
    runs = [scene.run(RUNNING) for _ in range(3)]
    now = datetime.now(UTC)
    scene.send(*(one for run in runs for one in beats(run, now)))
    scene.send(beat(unique("other"), now + LATER - 4 * MINUTE))  # Prefect was there
    clock = type("Clock", (datetime,), {"now": classmethod(lambda _, tz: now + LATER)})
    monkeypatch.setattr(commands, "datetime", clock)
    proxy.trouble(f"{runs[1]}/set_state", always=Answer(status, b'{"detail": "no"}'))

    told = CliRunner().invoke(app, ["ghosts", "--mark", "--json"])

    assert told.exit_code == 3
    marked = {one["flow_run_id"]: one for one in json.loads(told.stdout)}
    assert [marked[run]["marked"] for run in runs] == [True, False, status == 500]
    assert str(status) in marked[runs[1]]["not_marked"]
    assert str(status) in told.stderr
    types = [scene.state(run)["type"] for run in runs]
    assert types == ["CRASHED", "RUNNING", "CRASHED" if status == 500 else "RUNNING"]
