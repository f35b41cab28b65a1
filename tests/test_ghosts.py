"""Ghosts on a real server: found, not cried of, marked once, and then counted."""

from __future__ import annotations

import asyncio
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.world import CRASHED, PENDING, RUNNING, World, unique
from typer.testing import CliRunner

from prefect_crash_monitor.cli import handlers as commands
from prefect_crash_monitor.cli.app import app
from prefect_crash_monitor.config.policy import Policy, Rule
from prefect_crash_monitor.config.read_policy import Settings
from prefect_crash_monitor.config.rule import RuleKind
from prefect_crash_monitor.cycle.result import Result
from prefect_crash_monitor.cycle.run_cycle import run_cycle
from prefect_crash_monitor.explain import Confidence, evidence_of_bundle, explain
from prefect_crash_monitor.ghosts.candidates import UNFINISHED, of_this_turn, suspects
from prefect_crash_monitor.ghosts.ghost import Ghost
from prefect_crash_monitor.ghosts.mark_crashed import mark_crashed
from prefect_crash_monitor.ghosts.read_ghosts import Sweep, sweep
from prefect_crash_monitor.ghosts.read_last_event import last_heard, why_unheard
from prefect_crash_monitor.model.own import Place
from prefect_crash_monitor.observe.outcomes import RunNow
from prefect_crash_monitor.prefect_api.client import open_api

TEN = timedelta(seconds=10)
NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
LATER = timedelta(minutes=20)
"""So much later than it all happened the sweeps look."""


def event_of_run(name: str, run: str, occurred: datetime) -> dict[str, Any]:
    """An event of a flow run, as its own process sends it."""
    return {
        "id": str(uuid.uuid4()),
        "event": name,
        "occurred": occurred.isoformat(),
        "resource": {"prefect.resource.id": f"prefect.flow-run.{run}"},
    }


def event_of_worker(name: str, worker: str, run: str, occurred: datetime) -> dict[str, Any]:
    """An event of a process worker, about a flow run where one is given."""
    about = {
        "prefect.resource.id": f"prefect.flow-run.{run}",
        "prefect.resource.role": "flow-run",
    }
    return {
        "id": str(uuid.uuid4()),
        "event": name,
        "occurred": occurred.isoformat(),
        "resource": {
            "prefect.resource.id": f"prefect.worker.process.{worker}",
            "prefect.resource.name": worker,
            "prefect.worker-type": "process",
        },
        "related": [about] if run else [],
    }


def beat(run: str, occurred: datetime) -> dict[str, Any]:
    """A heartbeat."""
    return event_of_run("prefect.flow-run.heartbeat", run, occurred)


def beats(run: str, occurred: datetime) -> list[dict[str, Any]]:
    """Two heartbeats, which show their period; the second is the last."""
    return [beat(run, occurred), beat(run, occurred + timedelta(minutes=3))]


class Scene:
    """Runs of one flow, and what a sweep finds of them."""

    def __init__(self, world: World, wait_until: Any) -> None:
        self.world, self.wait_until = world, wait_until
        self.flow = unique("ghostly")

    def run(self, *states: dict[str, str], **more: Any) -> str:
        """A run that goes through these states."""
        return self.world.run(*states, flow=self.flow, **more)

    def send(self, *events: dict[str, Any]) -> None:
        """Events that arrive before anything goes on."""
        self.world.post("/events", list(events))
        ids = [event["id"] for event in events]

        def stored() -> bool:
            until = {"until": (datetime.now(UTC) + timedelta(days=1)).isoformat()}
            filter_ = {"id": {"id": ids}, "occurred": until}
            page = self.world.post("/events/filter", {"filter": filter_, "limit": 0})
            return bool(page["total"] == len(ids))

        self.wait_until(stored, what="the events")

    def sweep(self, later: timedelta = LATER, **more: Any) -> Sweep:
        """What a sweep finds so much later."""

        async def work() -> Sweep:
            async with open_api() as api:
                return await sweep(api, datetime.now(UTC) + later, **more)

        return asyncio.run(work())

    def ghosts(self, later: timedelta = LATER, **more: Any) -> dict[str, Ghost]:
        """Those of this scene, by flow run id; other tests leave theirs on the server."""
        found = self.sweep(later, **more).ghosts
        return {ghost.flow_run_id: ghost for ghost in found if ghost.left_in.flow == self.flow}

    def mark(self, ghost: Ghost, unheard: str = "", later: timedelta = LATER) -> str:
        """Why it was not marked, so much later."""

        async def work() -> str:
            async with open_api() as api:
                return await mark_crashed(api, ghost, unheard, datetime.now(UTC) + later)

        return asyncio.run(work())

    def state(self, run: str) -> dict[str, Any]:
        """The state that a run is in."""
        state: dict[str, Any] = self.world.http.get(f"/flow_runs/{run}").json()["state"]
        return state


@pytest.fixture
def scene(world: World, wait_until: Any) -> Scene:
    """A flow of this test's own; what others left unfinished on the server is gone."""
    return new_scene(world, wait_until)


def new_scene(world: World, wait_until: Any) -> Scene:
    """A flow of its own, on a server without anything unfinished."""
    unfinished = {"state": {"type": {"any_": list(UNFINISHED)}}}
    while left := world.post("/flow_runs/filter", {"flow_runs": unfinished, "limit": 200}):
        for run in left:
            world.delete_run(run["id"])
    return Scene(world, wait_until)


def test_a_run_whose_heartbeats_stopped_is_a_ghost_and_one_that_sends_them_is_none(scene: Scene):
    """One that crashed says so itself."""
    dead, alive, done = scene.run(RUNNING), scene.run(RUNNING), scene.run(RUNNING, CRASHED)
    now = datetime.now(UTC)
    scene.send(*beats(dead, now), beat(alive, now), beat(alive, now + LATER - timedelta(minutes=2)))
    ghosts = scene.ghosts()
    assert set(ghosts) == {dead}
    why = ghosts[dead].why
    assert (why.cause, why.confidence) == ("ghost-running", Confidence.HIGH)
    assert "no sign of life" in why.evidence[0].text
    assert done not in ghosts


def test_silence_shorter_than_three_periods_is_no_ghost(scene: Scene):
    """As Prefect's heartbeats come each 180 s."""
    run = scene.run(RUNNING)
    scene.send(beat(run, datetime.now(UTC)))
    assert not scene.ghosts(timedelta(minutes=8))
    assert scene.ghosts(timedelta(minutes=10))


def test_a_run_with_long_periods_is_looked_at_and_found_alive(scene: Scene):
    """Three of its own periods count, not three of the default."""
    run, now = scene.run(RUNNING), datetime.now(UTC)
    scene.send(*(beat(run, now + timedelta(minutes=10 * n)) for n in range(3)))
    assert not scene.ghosts(timedelta(minutes=35))
    assert scene.ghosts(timedelta(minutes=55))


def test_a_run_that_never_sent_a_heartbeat_is_unobservable_and_is_never_marked(scene: Scene):
    """Nobody can tell whether it lives."""
    run = scene.run(RUNNING)
    ghost = scene.ghosts()[run]
    assert (ghost.why.cause, ghost.why.confidence) == ("unobservable", Confidence.LOW)
    assert "look for its process" in scene.mark(ghost)
    assert scene.state(run)["type"] == "RUNNING"


def test_a_worker_that_saw_its_process_end_is_believed_at_once(scene: Scene):
    """As likely after a minute, as certain once a heartbeat is missed: others may have sent it."""
    run, now = scene.run(RUNNING), datetime.now(UTC)
    worker = unique("worker")
    scene.send(
        beat(run, now),
        event_of_worker("prefect.worker.submitted-flow-run", worker, run, now),
        event_of_worker("prefect.worker.executed-flow-run", worker, run, now),
    )
    assert not scene.ghosts(timedelta(seconds=30))
    assert scene.ghosts(timedelta(minutes=2))[run].is_likely
    ghost = scene.ghosts(timedelta(minutes=5))[run]
    assert ghost.certain
    assert not ghost.is_silent


def test_a_stopped_worker_takes_its_runs_with_it(scene: Scene):
    """Only its own, and long before their heartbeats are missed."""
    lost, other, now = scene.run(RUNNING), scene.run(RUNNING), datetime.now(UTC)
    worker = unique("worker")
    scene.send(
        beat(lost, now),
        beat(other, now),
        event_of_worker("prefect.worker.submitted-flow-run", worker, lost, now),
        event_of_worker("prefect.worker.submitted-flow-run", unique("other"), other, now),
        event_of_worker("prefect.worker.stopped", worker, "", now + timedelta(seconds=30)),
    )
    ghost = scene.ghosts(timedelta(minutes=3))
    assert set(ghost) == {lost}
    assert "prefect.worker.stopped" in " ".join(line.text for line in ghost[lost].why.evidence)


def test_a_run_that_outlives_its_worker_is_none(scene: Scene):
    """A killed worker may leave its runs alive."""
    run, now, worker = scene.run(RUNNING), datetime.now(UTC), unique("worker")
    scene.send(
        event_of_worker("prefect.worker.submitted-flow-run", worker, run, now),
        event_of_worker("prefect.worker.stopped", worker, "", now + timedelta(seconds=30)),
        beat(run, now + timedelta(seconds=90)),
    )
    assert not scene.ghosts(timedelta(minutes=3))


def test_a_run_pending_for_long_is_listed_but_may_still_come(scene: Scene):
    """A pull step may install for long."""
    run = scene.run(PENDING)
    ghost = scene.ghosts()[run]
    assert ghost.why.cause == "ghost-pending"
    assert ghost.is_likely
    assert "look for its process" in scene.mark(ghost)


def test_of_a_states_message_a_sample_without_secrets_is_kept(scene: Scene):
    """It goes into the ledger."""
    message = "cannot reach postgresql://shop:hunter2@db/shop\n" + "x" * 50_000
    run = scene.run({**RUNNING, "message": message})
    kept = scene.ghosts()[run].left_in.message
    assert kept.startswith("cannot reach")
    assert "hunter2" not in kept
    assert len(kept) <= 500


def test_a_process_that_ended_before_its_flow_began_is_a_ghost(scene: Scene):
    """Its run is stuck for good: PENDING, with its slot."""
    run, now, worker = scene.run(PENDING), datetime.now(UTC), unique("worker")
    scene.send(
        event_of_worker("prefect.worker.submitted-flow-run", worker, run, now),
        event_of_worker("prefect.worker.executed-flow-run", worker, run, now),
    )
    ghost = scene.ghosts(timedelta(minutes=5))[run]
    assert (ghost.why.verdict, ghost.why.cause) == ("ghost", "exited-without-running")
    assert scene.mark(ghost) == ""
    assert scene.state(run)["type"] == "CRASHED"


def test_a_run_that_still_pulls_its_code_is_none(scene: Scene):
    """What it logs and does shows that something is alive."""
    run, now = scene.run(PENDING), datetime.now(UTC)
    scene.send(event_of_run("prefect.flow-run.pull-step.executed", run, now + TEN * 60))
    assert not scene.ghosts(timedelta(minutes=15))
    assert scene.ghosts(timedelta(minutes=25))


def test_what_is_known_is_not_looked_at_again_and_what_moved_on_is_forgotten(scene: Scene):
    """Allowed to look at none, the sweep still knows those."""
    runs = [scene.run(RUNNING) for _ in range(2)]
    scene.send(*(one for run in runs for one in beats(run, datetime.now(UTC))))
    known = tuple(scene.ghosts().values())
    again = scene.ghosts(known=known, most=0)
    assert [ghost.left_in.state_id for ghost in again.values()] == [
        ghost.left_in.state_id for ghost in known
    ]
    scene.world.go(runs[0], CRASHED)
    assert set(scene.ghosts(known=known, most=0)) == {runs[1]}


def test_a_ghost_that_beat_just_before_its_end_is_not_forgotten_for_want_of_a_look(scene: Scene):
    """It would be told of and counted again as soon as it has its turn."""
    run, now, worker = scene.run(RUNNING), datetime.now(UTC), unique("worker")
    scene.send(
        beat(run, now),
        event_of_worker("prefect.worker.executed-flow-run", worker, run, now),
    )
    known = tuple(scene.ghosts(timedelta(minutes=2)).values())
    assert set(scene.ghosts(timedelta(minutes=2), known=known, most=0)) == {run}
    assert scene.sweep(timedelta(minutes=2), known=known, most=0).left_out == 0
    scene.send(beat(run, now + timedelta(minutes=1)))
    assert not scene.ghosts(timedelta(minutes=3), known=known)


def test_more_suspects_than_may_be_looked_at_are_said_to_be_left_out(scene: Scene):
    """So that a report can say that it is partial."""
    runs = [scene.run(RUNNING) for _ in range(3)]
    scene.send(*(one for run in runs for one in beats(run, datetime.now(UTC))))
    assert scene.sweep(most=0).left_out >= len(runs)
    assert scene.sweep().left_out == 0


def test_a_marked_ghost_is_crashed_explained_as_such_and_marked_once(scene: Scene):
    """The crash then says what it is; a second mark changes nothing."""
    run = scene.run(RUNNING)
    scene.send(*beats(run, datetime.now(UTC)))
    ghost = scene.ghosts()[run]
    assert scene.mark(ghost) == ""
    state = scene.state(run)
    assert state["type"] == "CRASHED"
    assert "ghost-running" in state["message"]
    assert "no sign of life" in state["message"]
    assert "changed meanwhile" in scene.mark(ghost)
    (bundle,) = asyncio.run(commands.capture_runs([run]))
    why = explain(evidence_of_bundle(bundle))
    assert (why.verdict, why.cause, why.confidence) == ("crashed", "zombie-marked", "high")


def test_a_run_that_went_on_or_ended_meanwhile_keeps_its_state(scene: Scene):
    """What was judged is what is marked, or nothing."""
    run = scene.run(RUNNING)
    scene.send(*beats(run, datetime.now(UTC)))
    ghost = scene.ghosts()[run]
    scene.world.go(run, {"type": "COMPLETED", "name": "Completed"})
    assert "changed meanwhile" in scene.mark(ghost)
    assert scene.state(run)["type"] == "COMPLETED"


def test_silence_while_prefect_heard_of_nobody_marks_nothing(scene: Scene):
    """After an outage of Prefect all are silent, and most alive."""
    run = scene.run(RUNNING)
    now = datetime.now(UTC)
    scene.send(*beats(run, now))

    async def unheard(at: datetime) -> str:
        async with open_api() as api:
            return await why_unheard(api, at)

    async def heard_through(until: datetime) -> datetime | None:
        async with open_api() as api:
            return await last_heard(api, now - timedelta(days=2), until)

    assert asyncio.run(unheard(now + timedelta(minutes=4))) == ""
    why_not = asyncio.run(unheard(now + timedelta(minutes=30)))
    scene.send(beat(run, now - timedelta(days=1)))
    at = asyncio.run(heard_through(now - timedelta(hours=12)))
    assert at is None, "what came much later than it is dated proves nothing"
    assert "outage" in why_not
    assert scene.mark(scene.ghosts()[run], why_not) == why_not
    assert scene.state(run)["type"] == "RUNNING"


def test_the_command_lists_and_exits_one_where_there_is_a_ghost(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
):
    """And marks, after which there is none."""
    run, now = scene.run(RUNNING), datetime.now(UTC)
    worker = unique("worker")
    scene.send(
        beat(run, now - timedelta(minutes=30)),
        event_of_worker(
            "prefect.worker.executed-flow-run", worker, run, now + timedelta(seconds=1)
        ),
    )
    clock = type("Clock", (datetime,), {"now": classmethod(lambda _, tz: now + LATER)})
    monkeypatch.setattr(commands, "datetime", clock)
    told = CliRunner().invoke(app, ["ghosts", "--json"])
    assert told.exit_code == 1
    (mine,) = [item for item in json.loads(told.stdout) if item["flow_run_id"] == run]
    assert (mine["verdict"], mine["cause"]) == ("ghost", "ghost-running")
    marked = CliRunner().invoke(app, ["ghosts", "--mark", "--json"])
    (mine,) = [item for item in json.loads(marked.stdout) if item["flow_run_id"] == run]
    assert (mine["marked"], mine["not_marked"]) == (True, "")
    text = CliRunner().invoke(app, ["ghosts"]).stdout
    assert run not in text


def run_now(state_type: str, age: timedelta, id_: str = "run") -> RunNow:
    """A run that has been in its state for so long."""
    return RunNow(id=id_, state_id=f"{id_}-state", state_type=state_type, state_at=NOW - age)


@pytest.mark.parametrize(
    ("state_type", "minutes", "beating", "ended", "suspect"),
    [
        ("RUNNING", 10, False, False, True),
        ("RUNNING", 10, True, False, False),
        ("RUNNING", 9, False, False, False),
        ("CANCELLING", 10, False, False, True),
        ("RUNNING", 2, True, True, True),
        ("PENDING", 9.9, False, False, False),
        ("PENDING", 10, False, False, True),
        ("PENDING", 2, False, True, True),
    ],
)
def test_who_is_looked_at(
    state_type: str, minutes: float, beating: bool, ended: bool, suspect: bool
):
    """The edges of every rule."""
    run = run_now(state_type, timedelta(minutes=minutes))
    found = suspects(
        [run], beating={"run"} if beating else (), ended={"run"} if ended else (), now=NOW
    )
    assert bool(found) is suspect


@pytest.mark.parametrize("number", [0, 5, 10, 11, 37, 100])
def test_those_that_live_do_not_keep_others_from_being_looked_at(number: int):
    """A hundred that send no heartbeats and log now and then are suspects at each turn."""
    found = [run_now("RUNNING", timedelta(hours=1), f"run-{n}") for n in range(number)]
    turns = [of_this_turn(found, 10, turn) for turn in range(5_000, 5_000 + number // 10 + 1)]

    assert {run.id for turn in turns for run in turn} == {run.id for run in found}
    assert all(len({run.id for run in turn}) == min(number, 10) for turn in turns)


def test_a_cycle_tells_of_a_ghost_once_and_of_its_end(scene: Scene):
    """Event, incident, report; marked it is a crash that the next interval counts."""
    run = scene.run(RUNNING)
    scene.send(*beats(run, datetime.now(UTC)))
    rule = Rule(name="ghost-runs", kind=RuleKind.GHOSTS, only={"flow": scene.flow})
    policy = Policy(interval=TEN, settle=timedelta(seconds=6), grace=timedelta(0), rules=[rule])
    setting = Settings(name=scene.flow, policy=policy)
    start = datetime.now(UTC) + LATER
    scene.send(beat(str(uuid.uuid4()), start - timedelta(minutes=4)))  # Prefect was there

    def cycle(at: datetime) -> Result:
        async def work() -> Result:
            async with open_api() as api:
                return await run_cycle(api, setting, Place(), at)

        return asyncio.run(work())

    first, again = cycle(start), cycle(start + timedelta(minutes=5))
    (opened,) = first.judgement.transitions
    assert (opened.kind, opened.incident.group) == ("opened", scene.flow)
    assert (opened.incident.cause, opened.incident.sample_run_id) == ("ghost-running", run)
    assert again.judgement.transitions == ()

    ghost = scene.ghosts()[run]
    assert scene.mark(ghost) == ""
    over = cycle(start + timedelta(hours=1))
    assert [t.kind for t in over.judgement.transitions] == ["resolved"]

    until = {"until": (datetime.now(UTC) + timedelta(days=1)).isoformat()}
    resource = {"id": [f"crash-monitor.ghost.{run}"]}
    filter_ = {"resource": resource, "occurred": until}
    page = scene.world.post("/events/filter", {"filter": filter_, "limit": 50})
    (event,) = page["events"]
    assert event["event"] == "crash-monitor.ghost.found"
    assert event["resource"]["crash-monitor.cause"] == "ghost-running"
    reports = scene.world.post(
        "/artifacts/filter",
        {"artifacts": {"key": {"any_": [f"crash-report-{scene.flow}"]}}, "sort": "CREATED_DESC"},
    )
    assert "Ended without saying so" not in reports[0]["data"]
    assert "Ended without saying so" in reports[1]["data"]
    assert "1 ghost run" in reports[1]["description"]
