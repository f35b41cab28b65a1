"""A flood: crashes by the thousand within a minute on a real server, and what comes of it.

Server, webhook receiver, automations and cycles are real; the crashes are those of
`bench.crowd`. While it goes on the API is asked all the time. What must be true of it: each
crash is counted once, each incident is told of once, no flow run is started.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings
from rich.console import Console

from bench import database
from bench.crowd import Sent, crowd, sending
from bench.flood_report import FloodReport, show
from bench.history import Run, differences, truth
from bench.messages import SPAN, storm
from bench.prober import Prober, probing
from bench.server import database_of, server
from prefect_crash_monitor.blocks import CrashPolicy
from prefect_crash_monitor.config.policy import Policy
from prefect_crash_monitor.demo.processes import Sandbox, sandbox
from prefect_crash_monitor.demo.receiver import Receiver, receive
from prefect_crash_monitor.model.incident import Kind
from prefect_crash_monitor.model.interval import aligned
from prefect_crash_monitor.publish.events import DIGEST, INCIDENT_EVENTS, NOTIFY_LABEL

DEPLOYMENTS = 200
RECEIVER = "crash-monitor-bench"
SECOND = timedelta(seconds=1)
POLICY: dict[str, Any] = {
    # Time-compressed: a minute stands for five. Rules, cooldown and all else are the default.
    "interval": SPAN,
    "grace": SPAN,
    "silent_after": 100,  # the flood itself makes the monitor wait
    "receiver": f"custom-webhook/{RECEIVER}",
}
SETTLE = Policy().settle

LEAD, LEAD_PER_THOUSAND = 45 * SECOND, 2 * SECOND
"""Before the first crash all rows are written, the server starts, the monitor counts once."""

QUIET_SECONDS = 10
"""Before the flood, for comparison."""

MOST_CYCLES = 12
TOLD_SECONDS = 240
"""Most that is waited for notifications after the last cycle. The server sends some three a second,
and hundreds of them at once make SQLite lock itself up for a minute, and again."""

TWICE_SECONDS = 5
"""Waited for what comes once too often."""


@dataclass(slots=True)
class Flood:
    """One flood in the making."""

    box: Sandbox
    receiver: Receiver
    runs: Sequence[Run]
    begin: datetime
    prober: Prober
    sent: Sent
    cycles: list[dict[str, Any]] = field(default_factory=list)

    @property
    def end(self) -> datetime:
        """After the last crash; like the beginning a boundary of intervals."""
        return self.begin + SPAN


def bench_flood(number: int, kinds: int | None, console: Console) -> int:
    """Makes the flood and prints what came of it; 1 where anything is not as it must be."""
    with ExitStack() as stack:
        box = stack.enter_context(sandbox())
        receiver = stack.enter_context(receive())
        own = {PREFECT_API_URL: box.api_url, PREFECT_HOME: box.folder / "prefect"}
        stack.enter_context(temporary_settings(own))
        with server(box):
            asyncio.run(_save_blocks(receiver.url))
        runs = crowd(storm(number, DEPLOYMENTS, kinds), _begin(number))
        database.write(database_of(box), runs)
        stack.enter_context(server(box))
        report = _play(box, receiver, runs)
    show(report, console)
    return 1 if report.wrong else 0


def _begin(number: int) -> datetime:
    """A boundary of intervals, late enough for all that comes before."""
    ready = datetime.now(UTC) + LEAD + LEAD_PER_THOUSAND * (number / 1_000)
    return aligned(ready, SPAN) + SPAN


async def _save_blocks(url: str) -> None:
    """The webhook that is told, and the policy that names it."""
    message = {"subject": "{{subject}}", "text": "{{body}}"}
    webhook = CustomWebhookNotificationBlock.model_validate(
        {"name": "bench", "url": url, "json_data": message}
    )
    await webhook.save(RECEIVER, overwrite=True)
    await CrashPolicy(**POLICY).save("default", overwrite=True)


def _play(box: Sandbox, receiver: Receiver, runs: Sequence[Run]) -> FloodReport:
    first, begin = _cycle(box), runs[0].crashes[0].at  # registers, and sets the watermark
    _wait_until(begin - QUIET_SECONDS * SECOND)
    if datetime.now(UTC) > begin:
        raise SystemExit("The server was not ready in time for the flood: a busy machine?")
    with probing(box.api_url) as prober:
        _wait_until(begin)
        flooding = time.monotonic()
        with sending(box.api_url, runs) as sent:
            flood = Flood(box, receiver, runs, begin, prober, sent, [first])
            _monitor(flood)
        told = _told(flood)
        opened = sum(event["event"] == INCIDENT_EVENTS[Kind.OPENED] for event in told)
    return FloodReport(
        made=len(runs),
        deployments=DEPLOYMENTS,
        begun=flooding,
        flooded_seconds=SPAN.total_seconds() + sent.most_late,
        sent=sent,
        answers=prober.answers,
        cycles=flood.cycles,
        told=[event["payload"] for event in told if _is_told_by_itself(event)],
        opened_events=opened,
        received=[str(message.get("text")) for message in receiver.messages],
        runs_started=_post(box, "/flow_runs/count", {}) - len(runs),
        counted=_counted(flood),
        differences=_differences(flood),
    )


def _monitor(flood: Flood) -> None:
    """One cycle for each interval as soon as it is settled, until the grace of all is over."""
    until = flood.begin
    while until < flood.end + SPAN and len(flood.cycles) <= MOST_CYCLES:
        _wait_until(until + SPAN + SETTLE + SECOND)
        flood.cycles.append(_cycle(flood.box))
        until = datetime.fromisoformat(flood.cycles[-1]["result"]["until"])


def _cycle(box: Sandbox) -> dict[str, Any]:
    """The measurement of one cycle, made by a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.cycle"],
        cwd=Path(__file__).parent.parent,
        env=box.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"A cycle failed:\n{done.stderr}\n{box.end_of_logs()}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _told(flood: Flood) -> list[dict[str, Any]]:
    """The monitor's incident events and digests, once each has had time to be sent on."""
    decided = sum(len(cycle["result"]["transitions"]) for cycle in flood.cycles)
    deadline = time.monotonic() + TOLD_SECONDS
    events = list(_incident_events(flood.box))
    while time.monotonic() < deadline:
        stored = sum(event["event"] != DIGEST for event in events)
        if stored >= decided and len(flood.receiver.messages) >= sum(
            map(_is_told_by_itself, events)
        ):
            break
        time.sleep(1)
        events = list(_incident_events(flood.box))
    time.sleep(TWICE_SECONDS)
    return events


def _is_told_by_itself(event: Mapping[str, Any]) -> bool:
    """Whether a notification is sent of an event: of an incident in a digest only the digest's."""
    return bool(event["event"] == DIGEST or event["resource"][NOTIFY_LABEL] == "alone")


def _incident_events(box: Sandbox) -> Iterator[dict[str, Any]]:
    filter_ = {"event": {"name": [*INCIDENT_EVENTS.values(), DIGEST]}, "order": "ASC"}
    page = _post(box, "/events/filter", {"filter": filter_, "limit": 50})
    yield from page["events"]
    while page["next_page"]:
        page = httpx.get(page["next_page"], timeout=60).raise_for_status().json()
        yield from page["events"]


def _counted(flood: Flood) -> int:
    """What the records of the cycles add up to, a corrected one taking the place of the first."""
    latest: dict[str, int] = {}
    for cycle in flood.cycles:
        for record in cycle["result"]["counted"]:
            latest[record["since"]] = record["crashed"]
    return sum(latest.values())


def _differences(flood: Flood) -> dict[str, Any]:
    """Where `crash-monitor count` over the whole flood is not the truth."""
    window = ["--since", flood.begin.isoformat(), "--until", flood.end.isoformat(), "--json"]
    answer = json.loads(flood.box.command("prefect_crash_monitor", "count", *window))
    expected = truth(flood.runs, flood.begin, flood.end) | {"complete": True}
    # Which read found a crash depends on how late its event came.
    del expected["sources"]
    return differences(answer, expected)


def _post(box: Sandbox, path: str, body: object) -> Any:
    return httpx.post(f"{box.api_url}{path}", json=body, timeout=60).raise_for_status().json()


def _wait_until(moment: datetime) -> None:
    time.sleep(max((moment - datetime.now(UTC)).total_seconds(), 0))
