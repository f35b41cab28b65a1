"""What happened to flow runs, as plain values; and what a count of them has to say.

The truth is told from the histories alone, by the rules of the project's contract; nothing of the
product is used, so that the two can disagree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

RECOVERED_TYPES = frozenset({"COMPLETED", "FAILED", "CANCELLED", "RUNNING", "PAUSED", "CANCELLING"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a run belongs to; an empty name means that it has none."""

    flow: str
    deployment: str = ""
    pool: str = ""
    tags: tuple[str, ...] = ()

    @property
    def deployment_key(self) -> str:
        """`flow name/deployment name`."""
        return f"{self.flow}/{self.deployment}" if self.deployment else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One state of a run."""

    id: str
    """Of the state and of its event."""
    at: datetime
    type: str
    name: str
    message: str = ""
    event_lost: bool = False
    """The server was killed before it wrote the event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The whole history of one run."""

    id: str
    name: str
    place: Place
    steps: tuple[Step, ...]
    in_process: bool = False
    """A subflow within its parent's process: it has a parent task run."""
    deleted: bool = False
    """The run and its states are gone; its events stay."""
    own: bool = False
    """A run of the crash monitor itself."""
    heartbeats: tuple[datetime, ...] = ()
    """Events of the run that are not of a state."""

    @property
    def crashes(self) -> list[Step]:
        """Its states of type CRASHED."""
        return [step for step in self.steps if step.type == "CRASHED"]

    def fate(self, crash: Step) -> str:
        """What became of one of its crashes."""
        last = self.steps[-1]
        if self.deleted:
            return "deleted"
        if last is crash:
            return "still_crashed"
        if self.crashes[-1] is not crash:
            return "superseded"
        return "recovered" if last.type in RECOVERED_TYPES else "still_crashed"


@dataclass(slots=True)
class Truth:
    """The numbers of one window."""

    fates: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    by: dict[str, Counter[str]] = field(default_factory=dict)
    in_process: int = 0
    own: int = 0

    def add(self, run: Run, crash: Step) -> None:
        """Counts one crash."""
        if run.own:
            self.own += 1
            return
        self.fates[run.fate(crash)] += 1
        self.sources["flow_runs" if crash.event_lost else "events"] += 1
        self.in_process += run.in_process
        names = {
            "deployment": run.place.deployment_key,
            "flow": run.place.flow,
            "work_pool": run.place.pool,
            "state_name": crash.name,
        }
        for group, name in names.items():
            self.by.setdefault(group, Counter())[name] += 1

    def to_json(self) -> dict[str, Any]:
        """As `crash-monitor count --json` has to say it."""
        fates = ("still_crashed", "superseded", "recovered", "deleted")
        return {
            "crashed": self.fates.total(),
            **{fate: self.fates[fate] for fate in fates},
            "in_process_subflows": self.in_process,
            "monitor_crashed": self.own,
            "sources": {name: self.sources[name] for name in ("events", "flow_runs")},
            "by": {
                group: dict(self.by.get(group, {}))
                for group in ("deployment", "flow", "work_pool", "state_name")
            },
        }


def truth(runs: Iterable[Run], since: datetime, until: datetime) -> dict[str, Any]:
    """What a count of `[since, until)` must say, all its losses being visible ones."""
    told = Truth()
    for run in runs:
        for crash in run.crashes:
            if since <= crash.at < until:
                told.add(run, crash)
    return told.to_json()


def differences(answer: Mapping[str, Any], expected: Mapping[str, Any]) -> dict[str, Any]:
    """Where an answer is not what was expected: key -> (answer, expected)."""
    told = {key: answer.get(key) for key in expected}
    if isinstance(by := told.get("by"), Mapping):  # further groupings do no harm
        told["by"] = {name: counts for name, counts in by.items() if name in expected["by"]}
    return {key: (told[key], value) for key, value in expected.items() if told[key] != value}
