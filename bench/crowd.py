"""The runs of a flood: there beforehand, and crashed by events at their time.

The rows of all runs are written before the server starts, each already in the state in which it
will be; so far ahead of its time nobody asks for it. Their events come in by the API when they are
due, in Prefect's own shape. A real transition by the API takes a server on two cores some 25 ms, a
flood of 10,000 would be spread over five minutes.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from bench import database
from bench.history import Place, Run, Step
from bench.messages import BEGIN, Told

MOST_AT_ONCE = 100
PAUSE_SECONDS = 0.2
PATIENCE_SECONDS = 60.0

SECOND = timedelta(seconds=1)
STARTED = timedelta(minutes=30)
"""How long the runs have been running: events that follow older ones name no leader."""


def crowd(crashes: Sequence[Told], begin: datetime) -> list[Run]:
    """The runs of these crashes, the first of which comes at `begin`."""
    return [_run(told, begin + (told.crash.at - BEGIN)) for told in crashes]


def _run(told: Told, at: datetime) -> Run:
    crash = told.crash
    before = [("SCHEDULED", "Scheduled"), ("PENDING", "Pending"), ("RUNNING", "Running")]
    begun = at - STARTED
    steps = [
        Step(id=_id(crash.state_id, type_), at=begun + second * SECOND, type=type_, name=name)
        for second, (type_, name) in enumerate(before if crash.run_count else before[:2])
    ]
    last = Step(
        id=crash.state_id,
        at=at,
        type="CRASHED",
        name="Crashed",
        message=crash.message,
        event_lost=True,  # until it is sent
    )
    place = Place(
        flow=crash.flow,
        deployment=crash.deployment.partition("/")[2],
        pool=crash.work_pool,
        tags=("prod",),
    )
    name = crash.flow_run_name
    return Run(id=crash.flow_run_id, name=name, place=place, steps=(*steps, last))


def _id(*words: str) -> str:
    return str(uuid.uuid5(database.NAMESPACE, "/".join(words)))


@dataclass(slots=True)
class Sent:
    """How the sending went."""

    events: int = 0
    most_late: float = 0.0
    """Seconds from the time of an event to when the server had taken it."""
    refused: int = 0
    """Requests without a success; sent again."""


@dataclass(slots=True)
class Sender:
    """Sends the events of crashes, each when it is due."""

    api_url: str
    runs: Sequence[Run]
    sent: Sent = field(default_factory=Sent)

    def send(self) -> None:
        """Returns when all are sent."""
        with httpx.Client(base_url=self.api_url, timeout=PATIENCE_SECONDS) as client:
            while self.sent.events < len(self.runs):
                start = self.sent.events
                now = datetime.now(UTC)
                some = self.runs[start : start + MOST_AT_ONCE]
                due = [run for run in some if run.steps[-1].at <= now]
                if due:
                    self._post(client, due)
                else:
                    time.sleep(PAUSE_SECONDS)

    def _post(self, client: httpx.Client, runs: Sequence[Run]) -> None:
        try:
            client.post("/events", json=[event_of(run) for run in runs]).raise_for_status()
        except httpx.HTTPError:
            self.sent.refused += 1
            time.sleep(1)
            return
        self.sent.events += len(runs)
        late = (datetime.now(UTC) - runs[0].steps[-1].at).total_seconds()
        self.sent.most_late = max(self.sent.most_late, late)


def event_of(run: Run) -> dict[str, Any]:
    """The event of its crash as Prefect itself sends it."""
    *_, before, crash = run.steps
    count = sum(step.type == "RUNNING" for step in run.steps)
    return database.state_event(run, crash, before, count, database.related_resources(run))


@contextmanager
def sending(api_url: str, runs: Sequence[Run]) -> Iterator[Sent]:
    """Sends in the background; waits for the end of it."""
    sender = Sender(api_url, runs)
    thread = threading.Thread(target=sender.send, daemon=True)
    thread.start()
    try:
        yield sender.sent
    finally:
        thread.join()
