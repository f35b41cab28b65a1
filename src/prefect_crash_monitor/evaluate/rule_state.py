"""What rules remember beyond the crashes that a cycle reads: streaks, and causes seen before.

A daily deployment that crashes three days in a row never has three crashes in one reading. So the
crashes since its last completed run are kept, shortened, in the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, PlainSerializer

from prefect_crash_monitor.config.matching import matches
from prefect_crash_monitor.config.policy import Rule
from prefect_crash_monitor.config.rule import RuleKind, Scope
from prefect_crash_monitor.evaluate.eligibility import groups_of
from prefect_crash_monitor.evaluate.known_causes import Acquaintance, acquainted
from prefect_crash_monitor.evaluate.rate.daily_counts import Tallies
from prefect_crash_monitor.evaluate.silences import Silence
from prefect_crash_monitor.explain.fingerprint import VERSION
from prefect_crash_monitor.model import codec
from prefect_crash_monitor.model.codec import Moment
from prefect_crash_monitor.model.crash import Crash, Diagnosis
from prefect_crash_monitor.model.incident import Incident
from prefect_crash_monitor.model.interval import EPOCH
from prefect_crash_monitor.model.runs import Ending, Runs, RunsOf

HITS_KEPT = 6_000
"""Crashes of streaks remembered, those of the latest streaks; at 150 bytes each that is 1 MB."""


class Streaked(NamedTuple):
    """Whose streak it is: a rule and one of its groups."""

    rule: str
    group: str


class Hit(NamedTuple):
    """A crash of a streak, shortened."""

    at: Moment
    mark: str
    where: str
    work_pool: str = ""
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Streak:
    """The latest crashes of a group since a run of it completed, oldest first."""

    runs: Runs
    hits: tuple[Hit, ...]
    held_until: Moment | None = None
    """End of the silence that covers its latest crash."""


def _pairs(streaks: Mapping[Streaked, Streak]) -> list[tuple[Streaked, Streak]]:
    return list(streaks.items())


def _by_whose(pairs: object) -> object:
    return {tuple(whose): streak for whose, streak in pairs} if isinstance(pairs, list) else pairs


Streaks = Annotated[
    Mapping[Streaked, Streak],
    BeforeValidator(_by_whose),
    PlainSerializer(_pairs, return_type=list[tuple[Streaked, Streak]], when_used="json"),
]
"""JSON knows text as keys only: pairs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """As the last judgement left it."""

    streaks: Streaks = field(default_factory=dict)
    seen: Mapping[str, Acquaintance] = field(default_factory=dict)
    """By fingerprint."""
    began: Moment | None = None
    """Since when kinds of crashes are remembered."""
    tallies: Tallies = field(default_factory=dict)
    """Crashes per day, of rules that compare rates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beyond:
    """What a judgement knows beyond the crashes before it."""

    memory: Memory = field(default_factory=Memory)
    completed: Mapping[Runs, datetime | None] = field(default_factory=dict)
    """The latest completed run since a streak began, None for none; only of those asked for."""
    ended: Mapping[Ending, int] = field(default_factory=dict)
    """How many runs; only of those asked for."""
    ghosts: tuple[Crash, ...] = ()
    """Runs that ended without saying so, at the moment at which that was sure."""


def questions(
    memory: Memory,
    crashes: Iterable[Crash],
    rules: Sequence[Rule],
    diagnoses: Mapping[str, Diagnosis],
    incidents: Iterable[Incident] = (),
) -> dict[Runs, datetime]:
    """Of which runs it must be known whether one completed, and since when.

    Those of streaks that may be long enough, with every crash read, whatever becomes of it; and
    those that open incidents wait for.
    """
    needed = {rule.name: rule.crashes for rule in rules}
    asked: dict[Runs, datetime] = {}
    for whose, streak in _longer(memory, crashes, rules, diagnoses, {}).items():
        if len(streak.hits) >= needed[whose.rule]:
            begun = streak.hits[0].at
            asked[streak.runs] = min(begun, asked.get(streak.runs, begun))
    for incident in incidents:
        if incident.is_open and (runs := awaited_by(incident)):
            begun = incident.first_crash_at
            asked[runs] = min(begun, asked.get(runs, begun))
    return asked


def awaited_by(incident: Incident) -> Runs | None:
    """The runs whose completion ends an incident; None where that is not what it waits for."""
    return Runs(RunsOf(incident.runs_of), incident.runs_id) if incident.runs_id else None


def advance(
    beyond: Beyond,
    standing: Sequence[Crash],
    rules: Sequence[Rule],
    diagnoses: Mapping[str, Diagnosis],
    silenced: Mapping[str, Silence],
    as_of: datetime,
) -> Beyond:
    """The memory with the crashes that stand now: streaks grown, broken, or too old.

    Taken in again, a crash changes nothing, so it does not matter when it is first seen.
    """
    memory = beyond.memory
    by_name = {rule.name: rule for rule in rules}
    kept: dict[Streaked, Streak] = {}
    for whose, streak in _longer(memory, standing, rules, diagnoses, silenced).items():
        rule = by_name[whose.rule]
        since = max(as_of - rule.within, beyond.completed.get(streak.runs) or EPOCH)
        hits = tuple(hit for hit in streak.hits if hit.at > since)[-rule.crashes :]
        if hits:
            kept[whose] = replace(streak, hits=hits)
    known = replace(
        memory,
        streaks=_latest(kept),
        seen=acquainted(memory.seen, standing, diagnoses, as_of),
        began=memory.began or as_of,
    )
    return replace(beyond, memory=known)


def _latest(streaks: Mapping[Streaked, Streak]) -> dict[Streaked, Streak]:
    """As many of the latest streaks as there is room for."""
    kept, hits = {}, 0
    for whose, streak in sorted(streaks.items(), key=lambda s: s[1].hits[-1].at, reverse=True):
        hits += len(streak.hits)
        if hits > HITS_KEPT:
            break
        kept[whose] = streak
    return kept


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
    crashes: Iterable[Crash],
    rules: Sequence[Rule],
    diagnoses: Mapping[str, Diagnosis],
    silenced: Mapping[str, Silence],
) -> dict[Streaked, Streak]:
    """The streaks of these rules with these crashes among theirs, each once, in order."""
    counting = [rule for rule in rules if rule.kind is RuleKind.CONSECUTIVE]
    names = {rule.name for rule in counting}
    hits: dict[Streaked, dict[str, Hit]] = {}
    about: dict[Streaked, tuple[Runs, datetime | None]] = {}
    for whose, streak in memory.streaks.items():
        if whose.rule in names:
            hits[whose] = {hit.mark: hit for hit in streak.hits}
            about[whose] = streak.runs, streak.held_until
    for crash in sorted(crashes, key=lambda crash: (crash.at, crash.state_id)):
        diagnosis, silence = diagnoses.get(crash.state_id), silenced.get(crash.state_id)
        for rule in counting:
            if crash.dies_with_parent or not matches(rule.only, crash, diagnosis):
                continue
            for group in groups_of(crash, rule):
                whose = Streaked(rule.name, group)
                hits.setdefault(whose, {})[crash.mark] = _hit(crash, diagnosis)
                held = silence.until if silence else None
                about[whose] = runs_of(crash, rule.scope), held
    return {
        whose: Streak(runs, tuple(sorted(hits[whose].values(), key=lambda hit: hit.at)), held)
        for whose, (runs, held) in about.items()
    }


def _hit(crash: Crash, diagnosis: Diagnosis | None) -> Hit:
    return Hit(
        crash.at,
        crash.mark,
        crash.deployment or crash.flow,
        crash.work_pool,
        diagnosis.cause if diagnosis else "",
    )


def to_json(memory: Memory) -> dict[str, Any]:
    """The memory as JSON, for the ledger."""
    return {**codec.to_json(Memory, memory), "fingerprints": VERSION}


def of_json(data: Mapping[str, Any]) -> Memory:
    """The memory of its JSON; kinds of another version of fingerprints are learnt anew.

    Raises:
        ValueError: when it is damaged.
    """
    memory = codec.of_json(Memory, data)
    return memory if data.get("fingerprints") == VERSION else replace(memory, seen={}, began=None)
