"""When a rule is met: one row for each kind of rule.

A condition looks at the crashes of one group, sorted by time, that stand as of the judgement. It
answers where its latest stretch begins and until when it keeps holding if nothing more crashes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from prefect_crash_monitor.config.policy import Policy, Rule
from prefect_crash_monitor.config.rule import RuleKind
from prefect_crash_monitor.evaluate.eligibility import by_group
from prefect_crash_monitor.evaluate.min_share import too_small
from prefect_crash_monitor.evaluate.outages import is_root, outages
from prefect_crash_monitor.evaluate.rate.crash_rate import (
    Rates,
    enough,
    in_words,
    rates,
    short,
    too_high,
)
from prefect_crash_monitor.evaluate.rule_state import Beyond, Streaked
from prefect_crash_monitor.model.crash import Crash, Diagnosis

LEARNING = timedelta(days=1)
"""How long a monitor learns which kinds of crashes there are before one is new to it."""


class Key(NamedTuple):
    """What identifies an incident."""

    rule: str
    group: str
    fingerprint: str = ""
    """Empty for crashes of several kinds that only together meet the rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Burning:
    """A condition that is met."""

    first: datetime
    """The first crash of the first stretch that meets it."""
    crossed: datetime
    """When its latest stretch was met."""
    until: datetime
    """When it stops to hold if nothing more crashes."""
    basis: str = ""
    """What it is met by, in words, where the number of crashes does not say it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is judged by: the same for all rules of one judgement."""

    policy: Policy
    as_of: datetime
    diagnoses: Mapping[str, Diagnosis] = field(default_factory=dict)
    beyond: Beyond = field(default_factory=Beyond)
    since: datetime | None = None
    """When the open incident that is judged began; None where there is none."""

    @property
    def through(self) -> datetime:
        """Crashes before this moment are over their grace."""
        return self.as_of - self.policy.grace


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """How one kind of rule judges."""

    burning: Callable[[Rule, Key, Sequence[Crash], Case], Burning | None]
    groups: Callable[[Rule, Sequence[Crash], Case], Mapping[str, list[Crash]]]
    by_its_latest: bool = False
    """Whether the latest crash alone must be free for an incident to open, not all that count."""
    each_kind_alone: bool = False
    """Whether crashes of one fingerprint are an incident of their own."""
    telling: Callable[[Crash, Case], bool] = lambda _crash, _case: True
    """Which crashes may stand for the incident, where there are such."""
    of_ghosts: bool = False
    """Whether it looks at runs that ended without saying so, not at crashes."""
    undecided: Callable[[Rule, Key, Sequence[Crash], Case], bool] = lambda *_: False
    """Whether it cannot be told: such opens nothing, and what is open is not over."""


def _enough(rule: Rule, times: Sequence[datetime]) -> Burning | None:
    """At least `crashes` of them within a sliding `within`."""
    need = rule.crashes - 1
    met = [
        first
        for first in range(len(times) - need)
        if times[first + need] - times[first] <= rule.within
    ]
    if not met:
        return None
    last = met[-1]
    return Burning(first=times[met[0]], crossed=times[last + need], until=times[last] + rule.within)


def _count(rule: Rule, _key: Key, crashes: Sequence[Crash], case: Case) -> Burning | None:
    """Enough, and not too small a share of the runs of the group."""
    met = _enough(rule, [crash.at for crash in crashes])
    if met is None or too_small(rule, crashes, case.through, case.beyond.ended):
        return None
    return met


def _consecutive(rule: Rule, key: Key, _crashes: Sequence[Crash], case: Case) -> Burning | None:
    """As many in a row, none of whose runs completed since; unknown is not met."""
    streak = case.beyond.memory.streaks.get(Streaked(key.rule, key.group))
    if streak is None or len(streak.hits) < rule.crashes:
        return None
    if streak.held_until is not None and case.as_of < streak.held_until:
        return None
    if streak.runs not in case.beyond.completed:
        return None
    times = [hit.at for hit in streak.hits]
    return Burning(first=times[-rule.crashes], crossed=times[-1], until=times[-1] + rule.within)


def _streak_unknown(rule: Rule, key: Key, _crashes: Sequence[Crash], case: Case) -> bool:
    """Whether the streak is long enough, and nobody could say whether a run completed since."""
    streak = case.beyond.memory.streaks.get(Streaked(key.rule, key.group))
    return (
        streak is not None
        and len(streak.hits) >= rule.crashes
        and streak.runs not in case.beyond.completed
    )


def _new_cause(rule: Rule, key: Key, crashes: Sequence[Crash], case: Case) -> Burning | None:
    """A kind that was first seen within `within`, by a monitor that knows the others."""
    memory = case.beyond.memory
    known = memory.seen.get(key.fingerprint)
    if known is None or memory.began is None or known.first < memory.began + LEARNING:
        return None
    if len(crashes) < rule.crashes or known.first + rule.within <= case.as_of:
        return None
    times = [crash.at for crash in crashes]
    return Burning(first=times[0], crossed=times[rule.crashes - 1], until=known.first + rule.within)


def _outage(rule: Rule, _key: Key, crashes: Sequence[Crash], case: Case) -> Burning | None:
    """Enough crashes that tell of the outage themselves, of more than one deployment."""
    roots = [crash for crash in crashes if is_root(crash, case.diagnoses)]
    if len({crash.deployment or crash.flow for crash in roots}) < 2:
        return None
    met = _enough(rule, [crash.at for crash in roots])
    if met is None:
        return None
    # Its symptoms may come first.
    first = min(crash.at for crash in crashes if abs(crash.at - met.first) <= rule.within)
    return replace(met, first=first)


def awaits_completion(rule: Rule) -> bool:
    """Whether the rule's incidents end with a completed run."""
    return rule.kind is RuleKind.CONSECUTIVE


def _rate(rule: Rule, key: Key, crashes: Sequence[Crash], case: Case) -> Burning | None:
    """A larger share of the runs than usual, beyond chance, and still."""
    recent = enough(rule, crashes, case.through)
    seen = _rates(rule, key, recent, case)
    if seen is None or not too_high(rule, seen):
        return None
    first, last = recent[0].at, recent[-1].at
    return Burning(first=first, crossed=last, until=last + short(rule), basis=in_words(rule, seen))


def _rate_unknown(rule: Rule, key: Key, crashes: Sequence[Crash], case: Case) -> bool:
    recent = enough(rule, crashes, case.through)
    return bool(recent) and _rates(rule, key, recent, case) is None


def _rates(rule: Rule, key: Key, recent: Sequence[Crash], case: Case) -> Rates | None:
    if not recent:
        return None
    return rates(rule, key.group, recent, case.through, case.beyond, case.since)


def _ghosts(rule: Rule, _key: Key, ghosts: Sequence[Crash], case: Case) -> Burning | None:
    """As many as long as they are left as they are."""
    if len(ghosts) < rule.crashes:
        return None
    times = [ghost.at for ghost in ghosts]
    return Burning(first=times[0], crossed=times[rule.crashes - 1], until=case.as_of)


def _groups(rule: Rule, crashes: Sequence[Crash], _case: Case) -> Mapping[str, list[Crash]]:
    return by_group(crashes, rule)


def _streaks(rule: Rule, crashes: Sequence[Crash], case: Case) -> Mapping[str, list[Crash]]:
    """The groups that crashed lately, and those that were held back by a silence."""
    held = {
        whose.group: list[Crash]()
        for whose, streak in case.beyond.memory.streaks.items()
        if whose.rule == rule.name and streak.held_until is not None
    }
    return {**held, **by_group(crashes, rule)}


def _outages(rule: Rule, crashes: Sequence[Crash], case: Case) -> Mapping[str, list[Crash]]:
    return outages(crashes, case.diagnoses, rule.within)


CONDITIONS: Mapping[RuleKind, Condition] = {
    RuleKind.COUNT: Condition(burning=_count, groups=_groups, each_kind_alone=True),
    RuleKind.CONSECUTIVE: Condition(
        burning=_consecutive, groups=_streaks, by_its_latest=True, undecided=_streak_unknown
    ),
    RuleKind.NEW_CAUSE: Condition(burning=_new_cause, groups=_groups, each_kind_alone=True),
    RuleKind.OUTAGE: Condition(
        burning=_outage,
        groups=_outages,
        telling=lambda crash, case: is_root(crash, case.diagnoses),
    ),
    RuleKind.GHOSTS: Condition(burning=_ghosts, groups=_groups, of_ghosts=True),
    RuleKind.RATE: Condition(burning=_rate, groups=_groups, undecided=_rate_unknown),
}
