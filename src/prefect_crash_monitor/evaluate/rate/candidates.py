"""Of which deployments it must be known how many runs ended, to judge their crash rates.

What is asked is bounded, whatever happens; a quiet cycle asks nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from prefect_crash_monitor.config.matching import matches
from prefect_crash_monitor.config.rule import Rule, RuleKind
from prefect_crash_monitor.evaluate.eligibility import by_group
from prefect_crash_monitor.evaluate.rate.crash_rate import enough, windows_of
from prefect_crash_monitor.evaluate.rate.daily_counts import DAY, DAYS_KEPT, Tally
from prefect_crash_monitor.evaluate.rate.proportion import Share
from prefect_crash_monitor.evaluate.rule_state import Memory, runs_of
from prefect_crash_monitor.model.crash import Crash, Diagnosis
from prefect_crash_monitor.model.runs import Ending, Runs

DEPLOYMENTS_ASKED = 10
"""Deployments looked at in one cycle, those furthest above their usual number of crashes: many
that always crash a bit must not hide the one that does not. A storm over more is told of by rules
that count."""

WINDOWS_ASKED = 60
"""Requests for windows in one cycle; ten deployments take 20, and more when intervals of an outage
of the monitor are judged afterwards. The latest come first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """A deployment with enough crashes to look at, at the end of one interval."""

    rule: Rule
    group: str
    runs: Runs
    through: datetime
    crashes: int
    """In the long window, whatever becomes of them."""
    unusual: float
    """How many times its usual number that is."""
    days: tuple[datetime, ...]
    """Those to compare with."""

    @property
    def windows(self) -> tuple[Ending, Ending]:
        """The long window and the short one."""
        long, short = windows_of(self.rule, self.through)
        return Ending(self.runs, long.start, long.end), Ending(self.runs, short.start, short.end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Who is looked at, and what is to be read of them."""

    suspects: tuple[Suspect, ...] = ()
    windows: tuple[Ending, ...] = ()
    left_out: frozenset[str] = field(default=frozenset())
    """Deployments that are not looked at this time."""


def wanted(
    memory: Memory,
    crashes: Sequence[Crash],
    rules: Sequence[Rule],
    diagnoses: Mapping[str, Diagnosis],
    throughs: Sequence[datetime],
) -> Wanted:
    """What must be known to judge at these moments.

    Only of deployments with the fewest crashes that a rule asks for, and a day to compare with.
    """
    found = [
        suspect
        for rule in rules
        if rule.kind is RuleKind.RATE and rule.name in memory.tallies
        for suspect in _suspects(memory.tallies[rule.name], crashes, rule, diagnoses, throughs)
    ]
    found.sort(key=lambda suspect: (suspect.through, suspect.unusual), reverse=True)
    ranked = list(dict.fromkeys(suspect.runs for suspect in found))
    looked_at = set(ranked[:DEPLOYMENTS_ASKED])
    chosen = [suspect for suspect in found if suspect.runs in looked_at]
    windows = dict.fromkeys(ending for suspect in chosen for ending in suspect.windows)
    return Wanted(
        suspects=tuple(chosen),
        windows=tuple(windows)[:WINDOWS_ASKED],
        left_out=frozenset(s.group for s in found if s.runs not in looked_at),
    )


def days_wanted(wanted: Wanted, ended: Mapping[Ending, int]) -> tuple[Ending, ...]:
    """The days to compare with, of those whose rate is high enough to be told of at all.

    So that a busy deployment that always loses one run in a thousand costs no more than that.
    """
    high = [
        suspect
        for suspect in wanted.suspects
        if (others := ended.get(suspect.windows[0])) is not None
        and Share(crashed=suspect.crashes, ended=others).rate >= suspect.rule.at_least
    ]
    return tuple(dict.fromkeys(Ending(s.runs, at, at + DAY) for s in high for at in s.days))


def not_looked_at(wanted: Wanted) -> tuple[str, ...]:
    """What a reader must know of deployments left out."""
    if not wanted.left_out:
        return ()
    first, *others = sorted(wanted.left_out)
    more = f" and {len(others)} more" if others else ""
    notice = (
        f"The crash rate of {first}{more} was not judged: {DEPLOYMENTS_ASKED} deployments in one "
        "cycle, those furthest above their usual number of crashes."
    )
    return (notice,)


def _suspects(
    tally: Tally,
    crashes: Sequence[Crash],
    rule: Rule,
    diagnoses: Mapping[str, Diagnosis],
    throughs: Sequence[datetime],
) -> Iterator[Suspect]:
    meant = (
        c
        for c in crashes
        if not c.dies_with_parent and matches(rule.only, c, diagnoses.get(c.state_id))
    )
    for group, members in by_group(meant, rule).items():
        members.sort(key=lambda crash: crash.at)
        for through in throughs:
            recent = enough(rule, members, through)
            days = tally.whole_days(through - rule.within, DAYS_KEPT)
            if recent and days:
                yield Suspect(
                    rule=rule,
                    group=group,
                    runs=runs_of(recent[-1], rule.scope),
                    through=through,
                    crashes=len(recent),
                    unusual=len(recent) / (1 + tally.mean(group, days) * (rule.within / DAY)),
                    days=tuple(days),
                )
