"""Whether a deployment crashes more often than it usually does; kind rate.

Two windows, as in burn-rate alerting: over the long one (`within`) the rate must be too high
beyond chance, and over the latest quarter of it still too high, so that what is over is not told.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from prefect_crash_monitor.config.rule import Rule
from prefect_crash_monitor.evaluate.rate.daily_counts import DAY, tallied
from prefect_crash_monitor.evaluate.rate.proportion import Share, usual
from prefect_crash_monitor.evaluate.rule_state import Beyond, runs_of
from prefect_crash_monitor.model.crash import Crash, Diagnosis
from prefect_crash_monitor.model.interval import Window
from prefect_crash_monitor.model.runs import Ending, Runs
from prefect_crash_monitor.text.format import duration

SHORT = 4
"""The short window is this part of the long one: with the fewest crashes that are told of, three
or so, a twelfth of it would be empty too often while the trouble lasts."""

BASELINE_DAYS = 7
"""A week, as weekends differ. An open incident is compared with the week before it, as long as
its days are kept: what lasts longer is what is usual."""

UNKNOWN = Share(crashed=0, ended=0)
"""A share of nothing: it may be any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What a deployment's rate is, and was."""

    long: Share
    short: Share
    usual: Share


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


def windows_of(rule: Rule, through: datetime) -> tuple[Window, Window]:
    """The long window and the short one."""
    return Window(through - rule.within, through), Window(through - short(rule), through)


def short(rule: Rule) -> timedelta:
    """Length of the short window."""
    return rule.within / SHORT


def enough(rule: Rule, crashes: Sequence[Crash], through: datetime) -> list[Crash]:
    """The crashes in the long window, where they are not too few; of crashes sorted by time."""
    since, until = (
        bisect_left(crashes, moment, key=lambda crash: crash.at)
        for moment in (through - rule.within, through)
    )
    return list(crashes[since:until]) if until - since >= rule.crashes else []


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
    long, latest = (_share(recent, runs, span, beyond) for span in windows_of(rule, through))
    if long is None or latest is None:
        return None
    if long.rate < rule.at_least:  # then nobody asked for the days
        return Rates(long=long, short=latest, usual=UNKNOWN)
    now = through - rule.within
    baseline = _baseline(rule, group, runs, min(now, since or now), beyond)
    if baseline is None:
        baseline = _baseline(rule, group, runs, now, beyond)
    return Rates(long=long, short=latest, usual=baseline) if baseline else None


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
