"""Crashes per day and deployment, as the monitor counted them: what is usual is made of it.

The rows of flow runs cannot tell: a retry erases the crash from them, so what was usual would look
too low and every ordinary day like trouble. Only days (UTC) that were counted from their beginning
to their end are used; after a time in which the monitor was away for longer than it catches up,
the days it missed are not.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from prefect_crash_monitor.config.matching import matches
from prefect_crash_monitor.config.rule import Rule, RuleKind
from prefect_crash_monitor.evaluate.eligibility import groups_of
from prefect_crash_monitor.model.codec import Moment
from prefect_crash_monitor.model.crash import Crash, Diagnosis
from prefect_crash_monitor.model.interval import Window, aligned

DAY = timedelta(days=1)

DAYS_KEPT = 9
"""A week to compare with, the day before it to begin in, and today."""

NUMBERS_KEPT = 10_000
"""Numbers of one deployment and day, of a rule; beyond them the oldest days are given up, and
what is usual is told by fewer. About 300 kB in the ledger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """A day, or as much of it as was counted."""

    covered: timedelta = timedelta(0)
    crashes: Mapping[str, int] = field(default_factory=dict)
    """By group of the rule; those without crashes are left out."""

    @property
    def whole(self) -> bool:
        """Whether every moment of it was counted."""
        return self.covered == DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """The crashes of one rule's groups."""

    only: str
    """Which crashes the rule looked at; with others it starts anew."""
    through: Moment
    """Crashes before this moment are in it."""
    days: Mapping[Moment, Day] = field(default_factory=dict)
    """By their beginning, oldest first."""

    def whole_days(self, before: datetime, most: int) -> list[datetime]:
        """The latest days that were counted whole and ended before a moment, oldest first."""
        past = [at for at, day in self.days.items() if day.whole and at + DAY <= before]
        return past[-most:]

    def mean(self, group: str, days: Sequence[datetime]) -> float:
        """Crashes of a group on one of these days."""
        return sum(self.days[at].crashes.get(group, 0) for at in days) / len(days)


Tallies = Mapping[str, Tally]
"""By name of the rule."""


def tallied(
    tallies: Tallies,
    standing: Sequence[Crash],
    rules: Iterable[Rule],
    diagnoses: Mapping[str, Diagnosis],
    judged: Window,
) -> dict[str, Tally]:
    """The tallies with the crashes of the span that is judged now; each is taken in once."""
    return {
        rule.name: _counted_in(tallies.get(rule.name), standing, rule, diagnoses, judged)
        for rule in rules
        if rule.kind is RuleKind.RATE
    }


def _counted_in(
    known: Tally | None,
    standing: Sequence[Crash],
    rule: Rule,
    diagnoses: Mapping[str, Diagnosis],
    judged: Window,
) -> Tally:
    only = json.dumps(rule.only, sort_keys=True)
    before = known if known and known.only == only else Tally(only=only, through=judged.start)
    new = Window(max(before.through, judged.start), judged.end)
    if new.end <= new.start:
        return before
    days = dict(before.days)
    for part in _by_day(new):
        day = days.get(aligned(part.start, DAY), Day())
        crashes = [c for c in standing if c.at in part]
        days[aligned(part.start, DAY)] = Day(
            covered=day.covered + part.length,
            crashes=_added(day.crashes, crashes, rule, diagnoses),
        )
    return Tally(only=only, through=new.end, days=dict(_bounded(days)))


def _by_day(span: Window) -> Iterator[Window]:
    start = span.start
    while start < span.end:
        end = min(aligned(start, DAY) + DAY, span.end)
        yield Window(start, end)
        start = end


def _added(
    before: Mapping[str, int],
    crashes: Iterable[Crash],
    rule: Rule,
    diagnoses: Mapping[str, Diagnosis],
) -> dict[str, int]:
    numbers = defaultdict(int, before)
    for crash in crashes:
        if matches(rule.only, crash, diagnoses.get(crash.state_id)):
            for group in groups_of(crash, rule):
                numbers[group] += 1
    return dict(numbers)


def _bounded(days: Mapping[datetime, Day]) -> list[tuple[datetime, Day]]:
    """The latest days, as many as there is room for."""
    kept: list[tuple[datetime, Day]] = []
    room = NUMBERS_KEPT
    for at, day in sorted(days.items(), reverse=True)[:DAYS_KEPT]:
        room -= len(day.crashes)
        if room < 0:
            break
        kept.insert(0, (at, day))
    return kept
