"""A made-up but realistic past: mostly runs that complete, some that crash, in every way they can.

The same number gives the same past. Times are relative to its end, so that the recent hours are
recent on any day.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bench.history import Place, Run, Step

SPAN = timedelta(days=6)
"""Within Prefect's default retention of events, 7 days."""

QUIET = timedelta(hours=6)
"""The end of the past, in which runs go on but nothing crashes."""

CRASHED_SHARE = 0.02
OWN = Place(flow="crash-monitor", deployment="crash-monitor", tags=("managed-by:crash-monitor",))

SCHEDULED = ("SCHEDULED", "Scheduled")
PENDING = ("PENDING", "Pending")
RUNNING = ("RUNNING", "Running")
COMPLETED = ("COMPLETED", "Completed")
FAILED = ("FAILED", "Failed")
CRASHED = ("CRASHED", "Crashed")
RETRY = ("SCHEDULED", "AwaitingRetry")
START = (SCHEDULED, PENDING, ("PENDING", "Submitting"), RUNNING)
AGAIN = (RETRY, PENDING, RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way in which a run goes; `weight` is how often among its like."""

    weight: float
    states: tuple[tuple[str, str], ...]
    in_process: bool = False
    deleted: bool = False
    own: bool = False
    lost: bool = False
    """The events of its crashes were never written."""


UNHARMED = (
    Way(weight=90, states=(*START, COMPLETED)),
    Way(weight=7, states=(*START, FAILED)),
    Way(weight=1, states=(*START, ("FAILED", "Crashed"))),
    Way(weight=1, states=(*START, RETRY, RUNNING, COMPLETED)),
    Way(weight=1, states=(SCHEDULED, ("CANCELLED", "Cancelled"))),
)
CRASHING = (
    Way(weight=40, states=(*START, CRASHED)),
    Way(weight=6, states=(*START, ("CRASHED", "Evicted"))),
    Way(weight=8, states=(SCHEDULED, PENDING, CRASHED)),
    Way(weight=5, states=(PENDING, RUNNING, CRASHED), in_process=True),
    Way(weight=4, states=(*START, CRASHED), deleted=True),
    Way(weight=2, states=(*START, CRASHED), lost=True),
    Way(weight=1, states=(*START, CRASHED), own=True),
    Way(weight=1, states=(*START, COMPLETED, CRASHED)),
    Way(weight=20, states=(*START, CRASHED, *AGAIN, COMPLETED)),
    Way(weight=6, states=(*START, CRASHED, *AGAIN, CRASHED)),
    Way(weight=4, states=(*START, CRASHED, *AGAIN, CRASHED, *AGAIN, FAILED)),
    Way(weight=3, states=(*START, CRASHED, RETRY)),
)
"""A third of them is retried afterwards."""


def past(number: int, end: datetime, seed: int = 1) -> Iterator[Run]:
    """So many runs, evenly spread over `SPAN` before `end`, the oldest first.

    What they would do after `end` is cut off: they are still at it.
    """
    rng = random.Random(seed)
    places = _places(rng)
    for index in range(number):
        at = end - SPAN * ((number - index - rng.random()) / number)
        crashes = rng.random() < CRASHED_SHARE and at < end - QUIET
        ways = CRASHING if crashes else UNHARMED
        way = rng.choices(ways, [way.weight for way in ways])[0]
        run = _run(rng, index, way, rng.choice(places), at)
        yield replace(run, steps=tuple(step for step in run.steps if step.at <= end))


def _places(rng: random.Random) -> list[Place]:
    """Where runs belong: deployments of a few flows and pools, and flows without deployment."""
    flows = [f"flow-{index}" for index in range(20)]
    deployed = [
        Place(flow=flow, deployment=name, pool=rng.choice(["k8s", "vm", "ecs"]), tags=("prod",))
        for flow in flows
        for name in ("daily", "hourly")
    ]
    return deployed + [Place(flow=flow) for flow in flows[:5]]


def _run(rng: random.Random, index: int, way: Way, place: Place, at: datetime) -> Run:
    steps: list[Step] = []
    for type_, name in way.states:
        lost = way.lost and type_ == "CRASHED"
        message = "Process for flow run exited with status code: -9" if type_ == "CRASHED" else ""
        id_ = _uuid(rng)
        steps.append(Step(id=id_, at=at, type=type_, name=name, message=message, event_lost=lost))
        at += timedelta(seconds=rng.uniform(0.5, 5 if name != "Running" else 300))
    run = Run(
        id=_uuid(rng),
        name=f"run-{index}",
        place=OWN if way.own else Place(flow=place.flow) if way.in_process else place,
        steps=tuple(steps),
        in_process=way.in_process,
        deleted=way.deleted,
        own=way.own,
    )
    return replace(run, heartbeats=_heartbeats(run))


def _heartbeats(run: Run) -> tuple[datetime, ...]:
    """One at the start and one each 180 s, as long as a run is running."""
    beats: list[datetime] = []
    for step, after in zip(run.steps, run.steps[1:], strict=False):
        at = step.at
        while step.type == "RUNNING" and at < after.at:
            beats.append(at)
            at += timedelta(seconds=180)
    return tuple(beats)


def _uuid(rng: random.Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))
