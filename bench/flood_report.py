"""What is said of a flood, and what of it is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.crowd import Sent
from bench.prober import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class FloodReport:
    """All that was seen of a flood; times on the monotonic clock."""

    made: int
    deployments: int
    begun: float
    flooded_seconds: float
    sent: Sent
    answers: Sequence[Answer]
    cycles: Sequence[Mapping[str, Any]]
    told: Sequence[Mapping[str, Any]]
    """Payloads of the events that are notified of: incidents told alone, and digests."""
    opened_events: int
    """Events of opened incidents, those in a digest with them."""
    received: Sequence[str]
    """Texts that arrived at the webhook."""
    runs_started: int
    counted: int
    differences: Mapping[str, Any]
    """Where the count of the whole flood is not the truth."""

    @property
    def opened(self) -> int:
        """Incidents that the cycles opened."""
        transitions = (t for cycle in self.cycles for t in cycle["result"]["transitions"])
        return sum(t["kind"] == "opened" for t in transitions)

    @property
    def wrong(self) -> list[str]:
        """What is not as it must be, in words."""
        return list(_wrong(self))


def _wrong(report: FloodReport) -> Iterator[str]:
    if report.counted != report.made:
        yield f"{report.made} crashes were made, the cycles counted {report.counted}"
    if report.differences:
        yield f"crash-monitor count: (answer, truth) {dict(report.differences)}"
    if report.runs_started:
        yield f"{report.runs_started} flow runs were started"
    told = Counter(str(payload["text"]).strip() for payload in report.told)
    received = Counter(text.strip() for text in report.received)
    if missing := told - received:
        yield f"{missing.total()} notifications never arrived: {next(iter(missing))[:200]!r}"
    if twice := received - told:
        yield f"{twice.total()} notifications too many arrived: {next(iter(twice))[:200]!r}"
    if report.opened != report.opened_events:
        yield f"{report.opened} incidents were opened, {report.opened_events} events tell of them"


def show(report: FloodReport, console: Console) -> None:
    """Prints it."""
    console.print(_cycles(report))
    console.print(_answers(report))
    checked = "[checked]"
    lines = [
        f"crashes made           {report.made:,} on {report.deployments} deployments, their events "
        f"at most {report.sent.most_late:.1f} s late, {report.sent.refused} requests sent again",
        f"crashes counted        {report.counted:,} {checked}",
        f"incidents opened       {report.opened:,}",
        f"notifications received {len(report.received):,} {checked}: one an incident or digest",
        f"flow runs started      {report.runs_started} {checked}: none",
        f"slowest API answer     {_slowest(report)}, "
        f"{sum(not a.ok for a in report.answers)} of {len(report.answers):,} answers failed",
    ]
    for line in lines:
        console.print(line, markup=False, highlight=False)
    for line in report.wrong:
        console.print(f"WRONG: {line}", markup=False)


def _slowest(report: FloodReport) -> str:
    answer = max(report.answers, key=lambda one: one.seconds)
    after = answer.begun - report.begun
    return f"{answer.seconds:.2f} s, of {answer.path} {after:.0f} s after the first crash"


def _cycles(report: FloodReport) -> Table:
    made = Table(title=f"{report.made:,} crashes within a minute on SQLite: the monitor's cycles")
    for column in ("after s", "intervals", "crashes", "opened", "requests", "MB read", "s"):
        made.add_column(column, justify="right")
    for column in ("own processor s", "peak MB"):
        made.add_column(column, justify="right")
    for cycle in report.cycles:
        result = cycle["result"]
        made.add_row(
            f"{cycle['begun'] - report.begun:.0f}",
            str(len(result["counted"])),
            f"{sum(record['crashed'] for record in result['counted']):,}",
            str(sum(t["kind"] == "opened" for t in result["transitions"])),
            str(cycle["requests"]),
            f"{cycle['bytes'] / 1e6:.1f}",
            f"{cycle['seconds']:.1f}",
            f"{cycle['processor_seconds']:.1f}",
            f"{cycle['peak_kib'] / 1024:.0f}",
        )
    return made


def _answers(report: FloodReport) -> Table:
    made = Table(title="What others get from the API: GET /health, POST /flow_runs/filter in turn")
    made.add_column("while", min_width=50)
    for column in ("answers", "median ms", "99 % ms", "slowest ms"):
        made.add_column(column, justify="right")
    for phase, seconds in _by_phase(report).items():
        made.add_row(
            phase,
            f"{len(seconds):,}",
            f"{median(seconds) * 1000:.0f}",
            f"{quantiles(seconds, n=100, method='inclusive')[-1] * 1000:.0f}"
            if len(seconds) > 1
            else "",
            f"{max(seconds) * 1000:.0f}",
        )
    return made


def _by_phase(report: FloodReport) -> dict[str, list[float]]:
    phases: dict[str, list[float]] = {
        "nothing goes on": [],
        "crashes come in": [],
        "they do, and a cycle runs": [],
        "a cycle runs": [],
    }
    names = list(phases)
    flood = (report.begun, report.begun + report.flooded_seconds)
    cycles = [(cycle["begun"], cycle["begun"] + cycle["seconds"]) for cycle in report.cycles]
    for answer in report.answers:
        at = (answer.begun, answer.begun + answer.seconds)
        flooding, cycling = _meet(at, flood), any(_meet(at, span) for span in cycles)
        phase = {(False, False): 0, (True, False): 1, (True, True): 2, (False, True): 3}
        phases[names[phase[(flooding, cycling)]]].append(answer.seconds)
    return {name: seconds for name, seconds in phases.items() if seconds}


def _meet(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[0] < other[1] and other[0] < one[1]
