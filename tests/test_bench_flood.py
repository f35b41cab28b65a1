"""The flood of the benchmark: its crashes look like Prefect's own, and what is wrong is said."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from bench.crowd import Sent, crowd, event_of
from bench.flood_report import FloodReport
from bench.messages import BEGIN, SPAN, storm
from tests.support.world import CRASHED, RUNNING, unique

TOLD = {"kind": "opened", "text": "three crashes\n"}
OPENED = {"incident": "a.1", "kind": "opened"}
RIGHT = FloodReport(
    made=5,
    deployments=2,
    begun=0.0,
    flooded_seconds=60.0,
    sent=Sent(),
    answers=[],
    cycles=[{"result": {"transitions": [OPENED]}}, {"result": {"transitions": []}}],
    told=[TOLD],
    opened_events=1,
    received=["three crashes"],
    runs_started=0,
    counted=5,
    differences={},
)


@pytest.mark.server
def test_crash_events_have_the_shape_of_prefects_own(world, wait_until):
    """Names, labels, roles and payload, in the same order."""
    pool = unique("pool")
    world.post("/work_pools/", {"name": pool, "type": "process"})
    deployment = world.deployment("etl", unique("flood"), work_pool_name=pool, tags=["prod"])
    run = world.deployed_run(deployment, RUNNING, CRASHED)
    filter_ = {
        "event": {"name": ["prefect.flow-run.Crashed"]},
        "resource": {"id": [f"prefect.flow-run.{run}"]},
    }
    page = wait_until(
        lambda: world.post("/events/filter", {"filter": filter_})["events"], what="the crash event"
    )

    made = next(run for run in crowd(storm(50), BEGIN) if len(run.steps) == 4)

    assert shape(event_of(made)) == shape(page[0])


def shape(event):
    """What of an event is the same in all of its kind."""
    resource, payload = event["resource"], event["payload"]
    return {
        "event": event["event"],
        "resource": sorted(resource),
        "counts": resource["prefect.run-count"],
        "related": [
            (related["prefect.resource.role"], sorted(related)) for related in event["related"]
        ],
        "tag": event["related"][-1]["prefect.resource.id"],
        "intended": payload["intended"],
        "states": [sorted({*payload[key]} - {"message"}) for key in sorted(payload)[1:]],
    }


def test_a_flood_is_within_its_span():
    """From the beginning on, in order, each crash of another run and state."""
    begin = BEGIN + timedelta(days=1)
    runs = crowd(storm(500, deployments=40), begin)
    times = [run.crashes[0].at for run in runs]

    assert begin == times[0] <= times[-1] < begin + SPAN
    assert times == sorted(times)
    assert len({run.id for run in runs}) == len({run.crashes[0].id for run in runs}) == 500
    assert len({run.place for run in runs}) == 40


def test_a_flood_as_it_must_be_is_not_wrong():
    """All crashes counted, the one incident told of once."""
    assert RIGHT.wrong == []


@pytest.mark.parametrize(
    "change",
    [
        {"counted": 4},
        {"differences": {"crashed": (4, 5)}},
        {"runs_started": 1},
        {"received": []},
        {"received": ["three crashes", "three crashes"]},
        {"received": ["another"]},
        {"opened_events": 0},
    ],
    ids=["miscounted", "miscounted later", "run", "not told", "told twice", "odd", "no event"],
)
def test_each_defect_of_a_flood_is_said(change):
    """Whatever goes wrong, the benchmark fails."""
    assert replace(RIGHT, **change).wrong
