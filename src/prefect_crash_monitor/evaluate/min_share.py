"""Whether crashes that are enough for a rule are also a share of the runs that is worth a word.

Three crashes an hour are much where ten runs are due and nothing where thousands are. What is asked
is bounded, and a small server answers for all its groups with one request: where fewer runs ended
altogether than would make the fewest crashes a small share, no group can have more. What is not
known is told of. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from prefect_crash_monitor.config.policy import Rule
from prefect_crash_monitor.config.rule import Scope
from prefect_crash_monitor.evaluate.eligibility import by_group
from prefect_crash_monitor.evaluate.rate.proportion import Share
from prefect_crash_monitor.evaluate.rule_state import runs_of
from prefect_crash_monitor.model.crash import Crash
from prefect_crash_monitor.model.runs import EVERY_RUN, Ending, Runs, RunsOf

ASKED = 40
"""Groups asked for in one cycle, those with the fewest crashes first: of the others a share is the
likelier to be large."""

SPANS_ASKED = 600
"""Requests for all runs in one cycle, and for groups, the latest spans first. There are many only
when intervals of an outage of the monitor are judged afterwards; a day of 5 minutes has 288."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What must be known of a group at the end of one interval."""

    rule: Rule
    ending: Ending
    crashes: int


def asked(
    crashes: Iterable[Crash], rules: Sequence[Rule], throughs: Sequence[datetime]
) -> tuple[Asked, ...]:
    """The groups with enough crashes for a rule that also wants a share, the fewest first."""
    told = sorted((c for c in crashes if not c.dies_with_parent), key=lambda crash: crash.at)
    found = [
        one
        for rule in rules
        if rule.wants_a_share
        for group in by_group(told, rule).values()
        for one in _of_group(rule, group, throughs)
    ]
    return tuple(sorted(found, key=lambda one: (one.crashes, one.ending)))


def _of_group(
    rule: Rule, crashes: Sequence[Crash], throughs: Sequence[datetime]
) -> Iterator[Asked]:
    for through in throughs:
        number = _most(rule, crashes, through)
        if number >= rule.crashes:
            ending = Ending(group_of(crashes[-1], rule), through - rule.within, through)
            yield Asked(rule=rule, ending=ending, crashes=number)


def _most(rule: Rule, crashes: Sequence[Crash], through: datetime) -> int:
    """The most crashes within the rule's window that may still open an incident."""
    since = through - rule.within - rule.quiet_for
    times = [crash.at for crash in crashes if since <= crash.at < through]
    first, most = 0, 0
    for last, at in enumerate(times):
        while at - times[first] > rule.within:
            first += 1
        most = max(most, last - first + 1)
    return most


def group_of(crash: Crash, rule: Rule) -> Runs:
    """The runs of which the crashes of a group are a share."""
    match rule.scope:
        case Scope.EVERYTHING:
            return EVERY_RUN
        case Scope.WORK_POOL:
            return Runs(RunsOf.WORK_POOL, crash.work_pool)
        case _:
            return runs_of(crash, rule.scope)


def totals(asked: Iterable[Asked]) -> tuple[Ending, ...]:
    """How many runs ended altogether in each of the spans."""
    return _latest(_total(one) for one in asked)


def of_groups(asked: Iterable[Asked], ended: Mapping[Ending, int]) -> tuple[Ending, ...]:
    """The groups of which the share may be too small, by what ended altogether."""
    doubtful = [
        one.ending
        for one in asked
        if one.ending not in ended
        and _share(one.rule.crashes, ended.get(_total(one), 0)) < one.rule.at_least
    ]
    groups = set(list(dict.fromkeys(ending.runs for ending in doubtful))[:ASKED])
    return _latest(ending for ending in doubtful if ending.runs in groups)


def _latest(endings: Iterable[Ending]) -> tuple[Ending, ...]:
    spans = dict.fromkeys(endings)
    return tuple(sorted(spans, key=lambda ending: ending.until, reverse=True)[:SPANS_ASKED])


def too_small(
    rule: Rule, crashes: Sequence[Crash], through: datetime, ended: Mapping[Ending, int]
) -> bool:
    """Whether the crashes are a smaller share of the runs than the rule wants; if that is known.

    Of the runs that ended lately, also where the crashes are some time ago, but not over yet.
    """
    if not rule.wants_a_share or not crashes:
        return False
    ending = Ending(group_of(crashes[-1], rule), through - rule.within, through)
    others = ended.get(ending)
    return others is not None and _share(_most(rule, crashes, through), others) < rule.at_least


def _total(one: Asked) -> Ending:
    return Ending(EVERY_RUN, one.ending.since, one.ending.until)


def _share(crashed: int, others: int) -> float:
    return Share(crashed=crashed, ended=others).rate
