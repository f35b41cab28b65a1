"""Whether a deployment crashes more often than it usually does; kind rate.

Two windows, as in burn-rate alerting: over the long one (`within`) the rate must be too high
beyond chance, and over the latest quarter of it still too high, so that what is over is not told.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from prefect_crash_monitor.baselines import Share, usual
from prefect_crash_monitor.matching import matches
from prefect_crash_monitor.memory import Beyond, Ending, Memory, Runs, runs_of
from prefect_crash_monitor.model import Crash, Diagnosis, Window
from prefect_crash_monitor.render.text import duration
from prefect_crash_monitor.rule import Rule, RuleKind
from prefect_crash_monitor.standing import by_group
from prefect_crash_monitor.tallies import DAY, DAYS_KEPT, tallied

SHORT = 4
"""The short window is this part of the long one: with the fewest crashes that are told of, three
or so, a twelfth of it would be empty too often while the trouble lasts."""

BASELINE_DAYS = 7
"""A week, as weekends differ. An open incident is compared with the week before it, as long as
its days are kept: what lasts longer is what is usual."""

DEPLOYMENTS_ASKED = 10
"""Deployments looked at in one cycle, those with the most crashes; a storm over more is told of by
rules that count."""

WINDOWS_ASKED = 60
"""Requests for windows in one cycle; ten deployments take 20, and more when intervals of an outage
of the monitor are judged afterwards. The latest come first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which numbers of runs that ended are to be read."""

    windows: tuple[Ending, ...] = ()
    days: tuple[Ending, ...] = ()
    """Whole days in UTC: one request tells all of a deployment's."""
    left_out: frozenset[str] = field(default=frozenset())
    """Deployments that are not looked at this time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What a deployment's rate is, and was."""

    long: Share
    short: Share
    usual: Share


@dataclass(frozen=True, slots=True, kw_only=True)
class _Suspect:
    """A deployment with enough crashes to look at, at the end of one interval."""

    rule: Rule
    group: str
    runs: Runs
    crashes: int
    through: datetime
    days: Sequence[datetime]


def wanted(
    memory: Memory,
    crashes: Sequence[Crash],
    rules: Sequence[Rule],
    diagnoses: Mapping[str, Diagnosis],
    throughs: Sequence[datetime],
) -> Wanted:
    """What must be known of runs that ended, to judge at these moments.

    Only of deployments with the fewest crashes that a rule asks for, whatever becomes of those,
    and with a day to compare with: in quiet times, nothing.
    """
    suspects = [
        suspect
        for rule in rules
        if rule.kind is RuleKind.RATE
        for suspect in _suspects(memory, crashes, rule, diagnoses, throughs)
    ]
    suspects.sort(key=lambda suspect: (suspect.through, suspect.crashes), reverse=True)
    ranked = list(dict.fromkeys(suspect.runs for suspect in suspects))
    looked_at = set(ranked[:DEPLOYMENTS_ASKED])
    chosen = [suspect for suspect in suspects if suspect.runs in looked_at]
    windows = dict.fromkeys(
        Ending(s.runs, span.start, span.end) for s in chosen for span in _spans(s.rule, s.through)
    )
    days = dict.fromkeys(Ending(s.runs, at, at + DAY) for s in chosen for at in s.days)
    return Wanted(
        windows=tuple(windows)[:WINDOWS_ASKED],
        days=tuple(days),
        left_out=frozenset(s.group for s in suspects if s.runs not in looked_at),
    )


def with_tallies(
    beyond: Beyond,
    standing: Sequence[Crash],
    rules: Sequence[Rule],
    diagnoses: Mapping[str, Diagnosis],
    judged: Window,
) -> Beyond:
    """The memory with the crashes of the span that is judged now in its tallies."""
    counted = tallied(beyond.memory.tallies, standing, rules, diagnoses, judged)
    return replace(beyond, memory=replace(beyond.memory, tallies=counted))


def _suspects(
    memory: Memory,
    crashes: Sequence[Crash],
    rule: Rule,
    diagnoses: Mapping[str, Diagnosis],
    throughs: Sequence[datetime],
) -> Iterator[_Suspect]:
    tally = memory.tallies.get(rule.name)
    if tally is None:
        return
    meant = (
        c for c in crashes if not c.in_process and matches(rule.only, c, diagnoses.get(c.state_id))
    )
    for group, members in by_group(meant, rule).items():
        members.sort(key=lambda crash: crash.at)
        for through in throughs:
            recent = _recent(members, rule, through)
            days = tally.whole_days(through - rule.within, DAYS_KEPT)
            if len(recent) >= rule.crashes and days:
                yield _Suspect(
                    rule=rule,
                    group=group,
                    runs=runs_of(recent[-1], rule.scope),
                    crashes=len(recent),
                    through=through,
                    days=days,
                )


def _recent(crashes: Sequence[Crash], rule: Rule, through: datetime) -> list[Crash]:
    """Those in the long window, of crashes sorted by time."""
    since, until = (
        bisect_left(crashes, moment, key=lambda crash: crash.at)
        for moment in (through - rule.within, through)
    )
    return list(crashes[since:until])


def _spans(rule: Rule, through: datetime) -> tuple[Window, Window]:
    """The long window and the short one."""
    return Window(through - rule.within, through), Window(through - short(rule), through)


def short(rule: Rule) -> timedelta:
    """Length of the short window."""
    return rule.within / SHORT


def enough(rule: Rule, crashes: Sequence[Crash], through: datetime) -> list[Crash]:
    """The crashes in the long window, where they are not too few to look at."""
    recent = _recent(crashes, rule, through)
    return recent if len(recent) >= rule.crashes else []


def rates(
    rule: Rule,
    group: str,
    recent: Sequence[Crash],
    through: datetime,
    beyond: Beyond,
    since: datetime | None = None,
) -> Rates | None:
    """The rates of a deployment with these crashes; None where they cannot be told.

    `since` is when its open incident began, so that the trouble is not compared with itself.
    """
    runs = runs_of(recent[-1], rule.scope)
    long, latest = (_share(recent, runs, span, beyond) for span in _spans(rule, through))
    now = through - rule.within
    baseline = _baseline(rule, group, runs, min(now, since or now), beyond)
    if baseline is None:
        baseline = _baseline(rule, group, runs, now, beyond)
    if long is None or latest is None or baseline is None:
        return None
    return Rates(long=long, short=latest, usual=baseline)


def _share(crashes: Sequence[Crash], runs: Runs, span: Window, beyond: Beyond) -> Share | None:
    ended = beyond.ended.get(Ending(runs, span.start, span.end))
    if ended is None:
        return None
    return Share(crashed=sum(crash.at in span for crash in crashes), ended=ended)


def _baseline(rule: Rule, group: str, runs: Runs, before: datetime, beyond: Beyond) -> Share | None:
    """The usual share, over the days that the monitor counted and Prefect told of."""
    tally = beyond.memory.tallies.get(rule.name)
    if tally is None:
        return None
    days = []
    for at in tally.whole_days(before, BASELINE_DAYS):
        ended = beyond.ended.get(Ending(runs, at, at + DAY))
        if ended is not None:
            days.append(Share(crashed=tally.days[at].crashes.get(group, 0), ended=ended))
    share = usual(days) if days else None
    return share if share and share.runs else None


def too_high(rule: Rule, seen: Rates) -> bool:
    """Whether the rate is above its limits in both windows; in the long one beyond chance."""
    limit = max(rule.at_least, rule.factor * seen.usual.rate)
    lower, upper = seen.long.bounds[0], seen.usual.bounds[1]
    beyond_chance = seen.long.rate >= rule.at_least and lower > rule.factor * upper
    return beyond_chance and seen.short.crashed > 0 and seen.short.rate >= limit


def in_words(rule: Rule, seen: Rates) -> str:
    """12 of 300 runs crashed within 1 h (4.0 %, usually 0.3 %)."""
    return (
        f"{seen.long.crashed:,} of {seen.long.runs:,} runs crashed within "
        f"{duration(rule.within)} ({_percent(seen.long.rate)}, usually "
        f"{_percent(seen.usual.rate)})"
    )


def _percent(rate: float) -> str:
    if rate == 0:
        return "0 %"
    return f"{rate:.1%}".replace("%", " %") if rate >= 0.001 else "below 0.1 %"


def not_looked_at(wanted: Wanted) -> tuple[str, ...]:
    """What a reader must know of deployments left out."""
    if not wanted.left_out:
        return ()
    first, *others = sorted(wanted.left_out)
    more = f" and {len(others)} more" if others else ""
    notice = (
        f"The crash rate of {first}{more} was not judged: {DEPLOYMENTS_ASKED} deployments in one "
        "cycle, those with the most crashes."
    )
    return (notice,)
