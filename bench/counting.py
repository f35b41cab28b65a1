"""What counting costs on a Prefect server that holds so many runs, and is it right.

Makes the server, its database and their past, measures each piece of work in a process of its
own, and compares every answer with the truth.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import database, mix
from bench.history import Run, differences, truth
from bench.server import database_of, server
from prefect_crash_monitor.config.policy import Policy
from prefect_crash_monitor.demo.processes import Sandbox, sandbox
from prefect_crash_monitor.model.interval import aligned

INTERVAL = Policy().interval
ROUNDS = 5
"""Floor requests, of which the median counts; the first ones warm the server's caches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One piece of work to be measured."""

    title: str
    kind: str
    since: datetime
    until: datetime


def tasks(runs: list[Run], end: datetime) -> list[Task]:
    """Spans before `end`, a boundary of intervals, whose last `mix.QUIET` is without crashes."""
    busy = _busy_interval(runs, end)
    spans = [
        ("count, quiet 5 minutes", end - INTERVAL, end),
        ("count, normal 5 minutes", busy, busy + INTERVAL),
        ("count, 1 hour", busy - timedelta(hours=1), busy + INTERVAL),
        ("count, 24 hours", end - mix.QUIET - timedelta(days=1), end - mix.QUIET),
    ]
    counts = [Task(title=t, kind="count", since=since, until=until) for t, since, until in spans]
    return [
        *counts,
        Task(title="cycle, with crashes", kind="cycle", since=busy, until=busy + INTERVAL),
        Task(title="cycle, quiet", kind="cycle", since=end - INTERVAL, until=end),
    ]


def _busy_interval(runs: list[Run], end: datetime) -> datetime:
    """The start of the latest interval that has a crash."""
    latest = max((c.at for run in runs for c in run.crashes if c.at < end), default=end)
    return aligned(latest, INTERVAL)


def measure(task: Task, box: Sandbox, now: datetime) -> dict[str, Any]:
    """The measurement of one task, made by a process of its own."""
    order = {
        "kind": task.kind,
        "since": task.since.isoformat(),
        "until": task.until.isoformat(),
        "now": now.isoformat(),
        "rounds": ROUNDS,
    }
    done = subprocess.run(
        [sys.executable, "-m", "bench.work"],
        cwd=Path(__file__).parent.parent,
        env=box.environment(),
        input=json.dumps(order),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{task.title} failed:\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def table(number: int) -> Table:
    """The table without rows."""
    made = Table(title=f"{number:,} flow runs on SQLite; floor: one bare count of crash events")
    for column in ("work", "crashes", "requests", "kB", "ms", "floor ms", "ratio", "peak MB"):
        made.add_column(column, justify="left" if column == "work" else "right")
    made.add_column("count equals truth")
    return made


def row(task: Task, cost: dict[str, Any], wrong: dict[str, Any]) -> list[str]:
    """One line of the table."""
    took, floor = cost["seconds"] * 1000, cost["floor_seconds"] * 1000
    return [
        task.title,
        str(cost["answer"]["crashed"]),
        str(cost["requests"]),
        f"{cost['bytes'] / 1000:.1f}",
        f"{took:.0f}",
        f"{floor:.1f}",
        f"{took / floor:.1f}",
        f"{cost['peak_kib'] / 1024:.0f}",
        "no" if wrong else "yes",
    ]


def bench_counting(number: int, console: Console) -> int:
    """Makes a past of so many runs and measures on it; 1 where a count is wrong."""
    with sandbox() as box:
        with server(box):
            pass  # makes every table
        end = aligned(datetime.now(UTC) - Policy().settle, INTERVAL)  # settled when counted
        runs = list(mix.past(number, end))
        start = time.monotonic()
        database.write(database_of(box), runs)
        console.print(f"{number:,} flow runs written in {time.monotonic() - start:.0f} s")
        with server(box):
            return _bench(runs, end, box, console)


def _bench(runs: list[Run], end: datetime, box: Sandbox, console: Console) -> int:
    """The table, and below it what is wrong; 1 where anything is."""
    now = datetime.now(UTC)
    made = table(len(runs))
    wrong: list[str] = []
    for task in tasks(runs, end):
        cost = measure(task, box, now)
        expected = truth(runs, task.since, task.until) | {"complete": True}
        found = differences(cost["answer"], expected)
        made.add_row(*row(task, cost, found))
        wrong += [f"{task.title}: (answer, truth) {found}"] if found else []
    console.print(made)
    for line in wrong:
        console.print(line, markup=False)
    return 1 if wrong else 0
