"""What rules remember beyond the crashes that a cycle reads: streaks, and causes seen before.

A daily deployment that crashes three days in a row never has three crashes in one reading. So the
crashes since its last completed run are kept, shortened, in the ledger; each is taken in once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from prefect_crash_monitor import tallies
from prefect_crash_monitor.fingerprint import VERSION
from prefect_crash_monitor.matching import matches
from prefect_crash_monitor.model import Crash, Diagnosis
from prefect_crash_monitor.policy import Rule
from prefect_crash_monitor.reading import moment
from prefect_crash_monitor.rule import RuleKind, Scope
from prefect_crash_monitor.standing import groups_of
from prefect_crash_monitor.tallies import Tallies
from prefect_crash_monitor.windows import EPOCH

STREAKS_KEPT = 2_000
"""Streaks remembered, the latest; at 150 bytes a crash the ledger stays below 1 MB."""

CAUSES_KEPT = 2_000
FORGOTTEN_AFTER = timedelta(days=90)
"""A kind of crash that was not seen for so long is new again."""


class Streaked(NamedTuple):
    """Whose streak it is: a rule and one of its groups."""

    rule: str
    group: str


class RunsOf(StrEnum):
    """What the runs belong to whose completion ends a streak."""

    DEPLOYMENT = "deployment"
    FLOW = "flow"
    FLOW_WITHOUT_DEPLOYMENT = "flow-without-deployment"
    RUN = "run"


class Runs(NamedTuple):
    """The runs whose completion ends a streak."""

    of: RunsOf
    id: str


class Ending(NamedTuple):
    """Runs that ended in a half-open span, otherwise than crashed."""

    runs: Runs
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Hit:
    """A crash of a streak, shortened."""

    at: datetime
    mark: str
    where: str
    work_pool: str = ""
    cause: str = ""

    @property
    def rest(self) -> tuple[str, str, str, str]:
        """All but the time."""
        return self.mark, self.where, self.work_pool, self.cause


@dataclass(frozen=True, slots=True)
class Streak:
    """The latest crashes of a group since a run of it completed, oldest first."""

    runs: Runs
    hits: tuple[Hit, ...]


@dataclass(frozen=True, slots=True)
class Acquaintance:
    """When a kind of crash was seen for the first and for the last time."""

    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """As the last judgement left it."""

    through: datetime | None = None
    """Crashes before this moment have been taken into streaks."""
    streaks: Mapping[Streaked, Streak] = field(default_factory=dict)
    seen: Mapping[str, Acquaintance] = field(default_factory=dict)
    """By fingerprint."""
    began: datetime | None = None
    """Since when kinds of crashes are remembered."""
    tallies: Tallies = field(default_factory=dict)
    """Crashes per day, of rules that compare rates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beyond:
    """What a judgement knows beyond the crashes before it."""

    memory: Memory = field(default_factory=Memory)
    completed: Mapping[Runs, datetime | None] = field(default_factory=dict)
    """The latest completed run since a streak began, None for none; only of those asked for."""
    broken: Mapping[Streaked, datetime] = field(default_factory=dict)
    """Streaks that a completed run ended, and when."""
    ended: Mapping[Ending, int] = field(default_factory=dict)
    """How many runs; only of those asked for."""


def questions(
    memory: Memory,
    crashes: Iterable[Crash],
    rules: Sequence[Rule],
    diagnoses: Mapping[str, Diagnosis],
) -> dict[Runs, datetime]:
    """Of which runs it must be known whether one completed, and since when.

    Those of streaks that may be long enough: with every crash not taken in yet, whatever becomes
    of it.
    """
    needed = {rule.name: rule.crashes for rule in rules}
    new = [c for c in crashes if memory.through is None or c.at >= memory.through]
    streaks = _longer(memory, new, rules, diagnoses)
    return {
        streak.runs: streak.hits[0].at
        for whose, streak in streaks.items()
        if len(streak.hits) >= needed[whose.rule]
    }


def advance(
    beyond: Beyond,
    standing: Sequence[Crash],
    rules: Sequence[Rule],
    diagnoses: Mapping[str, Diagnosis],
    through: datetime,
    as_of: datetime,
) -> Beyond:
    """The memory with the crashes that stand now: streaks grown, broken, or too old."""
    memory = beyond.memory
    new = [c for c in standing if memory.through is None or c.at >= memory.through]
    by_name = {rule.name: rule for rule in rules}
    kept: dict[Streaked, Streak] = {}
    broken: dict[Streaked, datetime] = {}
    for whose, streak in _longer(memory, new, rules, diagnoses).items():
        ended = beyond.completed.get(streak.runs)
        since = max(as_of - by_name[whose.rule].within, ended or EPOCH)
        hits = tuple(hit for hit in streak.hits if hit.at > since)
        if hits:
            kept[whose] = replace(streak, hits=hits)
        if ended:
            broken[whose] = ended
    latest = sorted(kept.items(), key=lambda item: item[1].hits[-1].at)[-STREAKS_KEPT:]
    known = replace(
        memory,
        through=max(through, memory.through or through),
        streaks=dict(latest),
        seen=_acquainted(memory.seen, standing, diagnoses, as_of),
        began=memory.began or as_of,
    )
    return replace(beyond, memory=known, broken=broken)


def runs_of(crash: Crash, scope: Scope) -> Runs:
    """The runs whose completion tells that a group of this scope is well again."""
    match scope:
        case Scope.FLOW_RUN:
            return Runs(RunsOf.RUN, crash.flow_run_id)
        case Scope.FLOW:
            return Runs(RunsOf.FLOW, crash.flow_id)
        case _ if crash.deployment_id:
            return Runs(RunsOf.DEPLOYMENT, crash.deployment_id)
        case _:
            return Runs(RunsOf.FLOW_WITHOUT_DEPLOYMENT, crash.flow_id)


def _longer(
    memory: Memory,
    new: Iterable[Crash],
    rules: Sequence[Rule],
    diagnoses: Mapping[str, Diagnosis],
) -> dict[Streaked, Streak]:
    """The streaks of these rules with the new crashes at their end, each as long as its rule."""
    counting = [rule for rule in rules if rule.kind is RuleKind.CONSECUTIVE]
    names = {rule.name for rule in counting}
    streaks = {whose: s for whose, s in memory.streaks.items() if whose.rule in names}
    for crash in new:
        diagnosis = diagnoses.get(crash.state_id)
        for rule in counting:
            if not matches(rule.only, crash, diagnosis):
                continue
            for group in groups_of(crash, rule):
                whose = Streaked(rule.name, group)
                before = streaks[whose].hits if whose in streaks else ()
                hits = (*before, _hit(crash, diagnosis))[-rule.crashes :]
                streaks[whose] = Streak(runs_of(crash, rule.scope), hits)
    return streaks


def _hit(crash: Crash, diagnosis: Diagnosis | None) -> Hit:
    return Hit(
        crash.at,
        crash.mark,
        crash.deployment or crash.flow,
        crash.work_pool,
        diagnosis.cause if diagnosis else "",
    )


def _acquainted(
    seen: Mapping[str, Acquaintance],
    crashes: Iterable[Crash],
    diagnoses: Mapping[str, Diagnosis],
    as_of: datetime,
) -> dict[str, Acquaintance]:
    known = dict(seen)
    for crash in crashes:
        diagnosis = diagnoses.get(crash.state_id)
        if diagnosis is None or not diagnosis.fingerprint:
            continue
        before = known.get(diagnosis.fingerprint, Acquaintance(crash.at, crash.at))
        known[diagnosis.fingerprint] = Acquaintance(
            min(before.first, crash.at), max(before.last, crash.at)
        )
    fresh = [item for item in known.items() if item[1].last > as_of - FORGOTTEN_AFTER]
    return dict(sorted(fresh, key=lambda item: item[1].last)[-CAUSES_KEPT:])


def to_json(memory: Memory) -> dict[str, Any]:
    """The memory as JSON, for the ledger."""
    return {
        "through": memory.through.isoformat() if memory.through else None,
        "began": memory.began.isoformat() if memory.began else None,
        "fingerprints": VERSION,
        "streaks": [
            [*whose, *streak.runs, [[hit.at.isoformat(), *hit.rest] for hit in streak.hits]]
            for whose, streak in memory.streaks.items()
        ],
        "seen": {
            fingerprint: [known.first.isoformat(), known.last.isoformat()]
            for fingerprint, known in memory.seen.items()
        },
        "tallies": tallies.to_json(memory.tallies),
    }


def from_json(data: Mapping[str, Any]) -> Memory:
    """The memory of its JSON; kinds of another version of fingerprints are learnt anew.

    Raises:
        KeyError, TypeError, ValueError: when it is damaged.
    """
    through, began = data["through"], data["began"]
    streaks = {
        Streaked(rule, group): Streak(
            Runs(RunsOf(of), id_), tuple(Hit(moment(at), *rest) for at, *rest in hits)
        )
        for rule, group, of, id_, hits in data["streaks"]
    }
    memory = Memory(
        through=moment(through) if through else None,
        streaks=streaks,
        tallies=tallies.from_json(data.get("tallies", {})),
    )
    if data["fingerprints"] != VERSION:
        return memory
    seen = {
        fingerprint: Acquaintance(moment(first), moment(last))
        for fingerprint, (first, last) in data["seen"].items()
    }
    return replace(memory, seen=seen, began=moment(began) if began else None)
