"""Builds histories of runs in a line each, for databases that a test fills itself."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bench import database
from bench.history import Place, Run, Step

NAMES = {"AWAITING": ("SCHEDULED", "AwaitingRetry")}
ETL = Place(flow="etl", deployment="daily", pool="vm", tags=("prod",))
SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Crash:
    """A crash in a history: its state's name, and whether its event was lost."""

    name: str = "Crashed"
    lost: bool = False
    after: timedelta = SECOND
    """How long after the state before."""


def history(
    start: datetime, *states: str | Crash, place: Place = ETL, unwritten: bool = False, **more: Any
) -> Run:
    """A run that goes through these states, one a second; `unwritten`: none of its events was."""
    at, steps = start, []
    for state in states:
        crash = state if isinstance(state, Crash) else None
        at += crash.after if crash else SECOND
        word = state if isinstance(state, str) else "CRASHED"
        type_, name = NAMES.get(word, (word, crash.name if crash else word.capitalize()))
        lost = unwritten or (crash is not None and crash.lost)
        steps.append(Step(id=str(uuid.uuid4()), at=at, type=type_, name=name, event_lost=lost))
    id_ = str(uuid.uuid4())
    return Run(id=id_, name=f"run-{id_[:4]}", place=place, steps=tuple(steps), **more)


def crash_at(at: datetime, name: str = "Crashed", **more: Any) -> Run:
    """A run that crashes at this very moment."""
    return history(at - 3 * SECOND, "PENDING", "RUNNING", Crash(name), **more)


def repeated(run: Run, crash: Step, **changes: Any) -> dict[str, Any]:
    """The event of a crash once more, under another id, with some of its fields changed."""
    event = database.state_event(run, crash, None, 1, database.related_resources(run))
    return {**event, "id": str(uuid.uuid4()), **changes}


def claimed(run_id: str, at: datetime) -> dict[str, Any]:
    """A crash event as anyone may send it, about any run."""
    resource = {
        "prefect.resource.id": f"prefect.flow-run.{run_id}",
        "prefect.state-type": "CRASHED",
    }
    return {
        "id": str(uuid.uuid4()),
        "occurred": at.isoformat(),
        "event": "prefect.flow-run.Crashed",
        "resource": resource,
        "related": [],
        "payload": {},
        "follows": None,
    }


def traffic(start: datetime, end: datetime, every: timedelta, **more: Any) -> Iterable[Run]:
    """Runs that complete, one after another, with a sign of life each."""
    while start < end:
        states = ("SCHEDULED", "PENDING", "RUNNING", "COMPLETED")
        yield history(start, *states, heartbeats=(start + 4 * SECOND,), **more)
        start += every
