"""Judge: from history, policy and the incidents so far to what is open now, and what to tell.

Pure: the same history and the same `as_of` give the same decisions, so that a cycle repeated
after a kill decides nothing twice. `as_of` is always the end of a counted interval, never the
clock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

from prefect_crash_monitor.config.matching import matches
from prefect_crash_monitor.config.policy import Policy, Rule
from prefect_crash_monitor.evaluate.eligibility import standing_crashes
from prefect_crash_monitor.evaluate.incident_lifecycle import (
    closing_reason,
    feed,
    incident_id,
    open_incident,
)
from prefect_crash_monitor.evaluate.rate.crash_rate import with_tallies
from prefect_crash_monitor.evaluate.rule_kinds import CONDITIONS, Case, Key
from prefect_crash_monitor.evaluate.rule_state import Beyond, advance
from prefect_crash_monitor.evaluate.silences import Silence
from prefect_crash_monitor.model.crash import Crash, Diagnosis, Outcome
from prefect_crash_monitor.model.incident import Incident, Kind, Reason, Transition
from prefect_crash_monitor.model.interval import Window

OVER = frozenset({Reason.QUIET_PERIOD_OVER, Reason.RUN_COMPLETED, Reason.RULE_REMOVED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """All incidents after a judgement, open and closed, and what changed."""

    incidents: tuple[Incident, ...]
    transitions: tuple[Transition, ...] = ()
    beyond: Beyond = field(default_factory=Beyond)
    """What the next judgement is to know of the time before it."""

    @property
    def open(self) -> tuple[Incident, ...]:
        """Those not resolved yet, the oldest first."""
        return tuple(incident for incident in self.incidents if incident.is_open)


def judge(
    crashes: Iterable[Crash],
    outcomes: Mapping[str, Outcome],
    incidents: Sequence[Incident],
    policy: Policy,
    as_of: datetime,
    diagnoses: Mapping[str, Diagnosis] = MappingProxyType({}),
    silenced: Mapping[str, Silence] = MappingProxyType({}),
    beyond: Beyond | None = None,
) -> Judgement:
    """What is open at the end of an interval.

    `crashes` must reach back `policy.lookback`; the monitor's own runs are not among them.
    Crashes of one fingerprint that meet a rule are one incident, whatever else crashes in the
    group; what only meets it together is one of mixed kinds. Without `diagnoses` all are mixed.
    Crashes whose state ids are `silenced` open nothing; an open incident counts them in.
    `beyond` is what is known of the time before them.
    """
    standing = standing_crashes(crashes, outcomes, policy.grace, as_of)
    through = as_of - policy.grace
    now_known = advance(beyond or Beyond(), standing, policy.rules, diagnoses, silenced, as_of)
    judged = Window(through - policy.interval, through)
    now_known = with_tallies(now_known, standing, policy.rules, diagnoses, judged)
    case = Case(policy=policy, as_of=as_of, diagnoses=diagnoses, beyond=now_known)
    court = _Court(case, {incident.id: incident for incident in incidents}, set(silenced))
    for rule in policy.rules:
        court.hear(rule, standing)
    closed = _close(court.known, case)
    return Judgement(
        incidents=tuple(sorted(court.known.values(), key=lambda i: (i.opened_at, i.id))),
        transitions=(*court.opened, *closed),
        beyond=now_known,
    )


class _Court:
    """One judgement: hears rule after rule; crashes that one has counted in are not free."""

    def __init__(self, case: Case, known: dict[str, Incident], not_free: set[str]) -> None:
        self.known = known
        self.opened: list[Transition] = []
        self._case = case
        self._not_free = not_free

    def hear(self, rule: Rule, standing: Sequence[Crash]) -> None:
        """Judges each group of the rule; its claims bind the rules after it."""
        diagnoses, condition = self._case.diagnoses, CONDITIONS[rule.kind]
        judged = self._case.beyond.ghosts if condition.of_ghosts else standing
        meant = [c for c in judged if matches(rule.only, c, diagnoses.get(c.state_id))]
        claims: set[str] = set()
        for group, members in condition.groups(rule, meant, self._case).items():
            if condition.each_kind_alone:
                claims |= self._take_each_kind(rule, group, members)
            else:
                claims |= self._take_group(rule, Key(rule.name, group), members)
        self._not_free |= claims

    def _take_each_kind(self, rule: Rule, group: str, members: Sequence[Crash]) -> set[str]:
        """Judges the kinds of crashes of a group, then what is left over together."""
        mixed = Key(rule.name, group)
        claims: set[str] = set()
        for fingerprint, crashes in _by_fingerprint(members, self._case.diagnoses).items():
            key = Key(rule.name, group, fingerprint)
            # While one of mixed kinds is open it takes in what would open others of its group.
            if fingerprint and (self._is_open(key) or not self._is_open(mixed)):
                claims |= self._take(rule, key, crashes, self._free(crashes))
        rest = [crash for crash in members if crash.state_id not in claims]
        return claims | self._take(rule, mixed, rest, self._free(rest))

    def _take_group(self, rule: Rule, key: Key, members: Sequence[Crash]) -> set[str]:
        """Judges a group as a whole."""
        if not CONDITIONS[rule.kind].by_its_latest:
            return self._take(rule, key, members, self._free(members))
        if members and not self._free(members[-1:]):
            return self._take(rule, key, members, None)
        return self._take(rule, key, members, members)

    def _take(
        self, rule: Rule, key: Key, crashes: Sequence[Crash], free: Sequence[Crash] | None
    ) -> set[str]:
        """Feeds the open incident, or opens one where the free crashes meet the rule.

        None may open nothing. Returns the state ids that the incident has counted in.
        """
        id_, case = incident_id(*key), self._case
        before = self.known.get(id_)
        if before and before.is_open:
            self.known[id_] = feed(before, crashes, rule, key, case)
        elif free is not None and (opened := open_incident(rule, key, free, before, case)):
            self.known[id_] = opened
            self.opened.append(_told(Kind.OPENED, opened, Reason.THRESHOLD_CROSSED, case.as_of))
        return {c.state_id for c in crashes if _counted_in(c, self.known.get(id_))}

    def _free(self, crashes: Sequence[Crash]) -> list[Crash]:
        return [crash for crash in crashes if crash.state_id not in self._not_free]

    def _is_open(self, key: Key) -> bool:
        incident = self.known.get(incident_id(*key))
        return incident is not None and incident.is_open


def as_it_is_now(
    transitions: Iterable[Transition], incidents: Iterable[Incident]
) -> tuple[Transition, ...]:
    """What there is to tell of several intervals judged at once, told of as it is at their end.

    Openings only: a notification that says three crashes while six are known is a poor one.
    """
    latest = {_episode(incident): incident for incident in incidents}
    return tuple(
        replace(t, incident=latest.get(_episode(t.incident), t.incident))
        if t.kind is Kind.OPENED
        else t
        for t in transitions
    )


def remind(
    judgement: Judgement, policy: Policy, as_of: datetime, silences: Sequence[Silence] = ()
) -> Judgement:
    """The judgement with the reminders that are due, to be asked once a cycle.

    `silences` are those in force.

    Gaps double from `policy.remind_after` up to `policy.remind_at_most`. An incident that only
    waits for its quiet period is not reminded of, and one that waits for a completed run only
    once, if nothing crashes any more: it may have been paused on purpose. One that is opened by
    this very cycle is told of now, however long ago a monitor that was away should have done so.
    Where rules have opened two for one group the earlier rule's reminds of both.
    """
    incidents, reminders = [], []
    fresh = {_episode(t.incident) for t in judgement.transitions if t.kind is Kind.OPENED}
    told_by_another = _told_by_another(judgement.open, policy, as_of)
    for known in judgement.incidents:
        incident = replace(known, told_at=as_of) if _episode(known) in fresh else known
        reason = reminder_reason(incident, policy, as_of, silences)
        if reason is not Reason.REMINDER_DUE or _episode(incident) in told_by_another:
            incidents.append(incident)
            continue
        told = replace(incident, reminders=incident.reminders + 1, told_at=as_of)
        incidents.append(told)
        reminders.append(_told(Kind.REMINDED, told, Reason.REMINDER_DUE, as_of))
    transitions = (*judgement.transitions, *reminders)
    return replace(judgement, incidents=tuple(incidents), transitions=transitions)


def reminder_reason(
    incident: Incident, policy: Policy, as_of: datetime, silences: Sequence[Silence] = ()
) -> Reason:
    """Whether an incident is to be reminded of, and why or why not; by the silences in force."""
    if not incident.is_open:
        return Reason.QUIET_PERIOD_OVER
    if any(silence.covers(incident) for silence in silences):
        return Reason.SILENCED
    if incident.burning_until <= as_of - policy.grace:
        return Reason.WAITING_FOR_QUIET
    if incident.runs_id and incident.reminders and incident.last_crash_at <= _last_told(incident):
        return Reason.NOTHING_NEW
    doublings = min(incident.reminders, 30)  # the cap is reached long before
    gap = min(policy.remind_after * 2**doublings, policy.remind_at_most)
    due_at = _last_told(incident) + gap
    return Reason.REMINDER_DUE if due_at <= as_of else Reason.STILL_BURNING


def _told_by_another(
    incidents: Sequence[Incident], policy: Policy, as_of: datetime
) -> set[tuple[str, int]]:
    """Open incidents of a deployment, or another group, that an earlier rule's speaks for, too."""
    ranks = {rule.name: rank for rank, rule in enumerate(policy.rules)}
    first: dict[tuple[str, str], int] = {}
    for incident in incidents:
        if incident.group and incident.burning_until > as_of - policy.grace:
            where, rank = (incident.scope, incident.group), ranks.get(incident.rule, len(ranks))
            first[where] = min(rank, first.get(where, rank))
    return {
        _episode(incident)
        for incident in incidents
        if ranks.get(incident.rule, len(ranks))
        > first.get((incident.scope, incident.group), len(ranks))
    }


def _last_told(incident: Incident) -> datetime:
    return incident.told_at or incident.opened_at


def _by_fingerprint(
    crashes: Iterable[Crash], diagnoses: Mapping[str, Diagnosis]
) -> dict[str, list[Crash]]:
    kinds: dict[str, list[Crash]] = defaultdict(list)
    for crash in crashes:
        diagnosis = diagnoses.get(crash.state_id)
        kinds[diagnosis.fingerprint if diagnosis else ""].append(crash)
    return kinds


def _counted_in(crash: Crash, incident: Incident | None) -> bool:
    return (
        incident is not None
        and incident.judged_through is not None
        and incident.first_crash_at <= crash.at < incident.judged_through
    )


def _close(known: dict[str, Incident], case: Case) -> list[Transition]:
    """Resolves what has been quiet for long enough, or belongs to a rule that is gone."""
    rules, as_of = {rule.name: rule for rule in case.policy.rules}, case.as_of
    closed = []
    for id_, incident in known.items():
        reason = closing_reason(incident, rules.get(incident.rule), case)
        if reason in OVER and incident.is_open:
            resolved = replace(incident, resolved_at=as_of, judged_through=case.through)
            known[id_] = resolved
            closed.append(_told(Kind.RESOLVED, resolved, reason, as_of))
    return closed


def _episode(incident: Incident) -> tuple[str, int]:
    return incident.id, incident.episode


def _told(kind: Kind, incident: Incident, reason: Reason, at: datetime) -> Transition:
    return Transition(kind=kind, incident=incident, reason=reason, at=at)
