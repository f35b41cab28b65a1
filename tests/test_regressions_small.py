"""Defects of the edges that were found, each with the smallest case that shows it."""

from __future__ import annotations

import json
import signal
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from tests.support.simulator import NOON, Shop, Simulator, crash
from tests.support.world import PENDING, RUNNING, World, unique

from prefect_crash_monitor.config.policy import Policy, Rule
from prefect_crash_monitor.demo.processes import background, sandbox
from prefect_crash_monitor.model.own import OWN_TAG, Place
from prefect_crash_monitor.notify.compose import events_to_tell
from prefect_crash_monitor.notify.notification import notification
from prefect_crash_monitor.notify.routing import shares
from prefect_crash_monitor.prefect_api.client import open_api
from prefect_crash_monitor.publish.events import incident_event
from prefect_crash_monitor.remediate.free_own_slots import free_stranded

MINUTE = timedelta(minutes=1)


def state_of(world: World, run: str) -> str:
    """The type of the state that a run is in."""
    return str(world.http.get(f"/flow_runs/{run}").raise_for_status().json()["state"]["type"])


@pytest.mark.server
async def test_a_ledger_that_calls_a_users_deployment_ours_ends_none_of_its_runs(world):
    """Anybody may write an artifact: our tag on the server, or this very run, has to agree."""
    tags = {"users": [], "tagged": [OWN_TAG], "this run's": []}
    ids = {
        name: world.deployment(unique("flow"), "x", tags=list(tagged))
        for name, tagged in tags.items()
    }
    runs = {name: world.deployed_run(id_, PENDING, RUNNING) for name, id_ in ids.items()}

    async with open_api() as api:
        place = Place(deployment_id=ids["this run's"])
        now = datetime.now(UTC) + 20 * MINUTE
        freed = await free_stranded(api, place, list(ids.values()), Policy(), now)

    assert freed == 2
    assert {name: state_of(world, run) for name, run in runs.items()} == {
        "users": "RUNNING",
        "tagged": "CRASHED",
        "this run's": "CRASHED",
    }


def test_what_one_cycle_tells_keeps_its_order():
    """An opening and its all-clear had one time, so the order of both was anybody's guess."""
    shop = Shop(crashes=[crash(minute) for minute in (1, 2, 3, 4, 5, 6)])
    policy = Policy(rules=[Rule(name="loop")])
    monitor = Simulator(shop, policy)
    monitor.cycle(0)
    transitions = monitor.cycle(12 * 60)
    now = NOON + 12 * 60 * MINUTE

    events = events_to_tell(
        [],
        transitions,
        shares(policy),
        digest_above=5,
        monitor="m",
        ui_url="",
        now=now,
    )

    assert [event.payload["kind"] for event in events] == ["opened", "resolved"]
    assert events[0].occurred == now
    assert all(one.occurred < later.occurred for one, later in pairwise(events))
    # The ids are those of what is told, whatever its time: no order makes a notification twice.
    texts = [notification(transition, ui_url="", monitor="m") for transition in transitions]
    assert [event.id for event in events] == [
        incident_event(transition, text, monitor="m", now=now).id
        for transition, text in zip(transitions, texts, strict=True)
    ]


def test_an_opening_that_is_over_says_so():
    """Prefect runs two actions at once: the all-clear may arrive before the opening."""
    shop = Shop(crashes=[crash(minute) for minute in (1, 2, 3, 4, 5, 6)])
    monitor = Simulator(shop, Policy(rules=[Rule(name="loop")]))
    monitor.cycle(0)

    opened, resolved = monitor.cycle(12 * 60)

    over = f"Over since {resolved.at:%Y-%m-%d %H:%M}"
    assert over in notification(opened, ui_url="", monitor="m")["text"]


def test_the_demo_starts_processes_without_code_between_fork_and_exec():
    """Such code may deadlock beside threads; Ctrl-C reaches the process all the same."""
    says = "import json, signal, sys\nprint(json.dumps([sys.argv[1:], signal.getsignal(2) == 1]))"
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell's background job
    try:
        with sandbox() as box:
            (box.project / "says.py").write_text(f"{says}\n")
            with background(box, "says", ["says", "--flag", "x y"]) as process:
                code = process.wait(60)
            said = box.end_of_logs()
    finally:
        signal.signal(signal.SIGINT, before)

    assert code == 0, said
    assert json.dumps([["--flag", "x y"], False]) in said
