"""Judge: from history, policy and the incidents so far to what is open now, and what to tell.

Pure: the same history and the same `as_of` give the same decisions, so that a cycle repeated
after a kill decides nothing twice. `as_of` is always the end of a counted interval, never the
clock.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from prefect_crash_monitor.model import Crash, Fate, Incident, Kind, Outcome, Reason, Transition
from prefect_crash_monitor.policy import Policy, Rule, Scope
from prefect_crash_monitor.redact import redact

NAMES_KEPT = 100
"""Deployments and pools that an incident lists; the most affected ones."""

SAMPLE_LENGTH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """All incidents after a judgement, open and closed, and what changed."""

    incidents: tuple[Incident, ...]
    transitions: tuple[Transition, ...] = ()

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
) -> Judgement:
    """What is open at the end of an interval.

    `crashes` must reach back `policy.lookback`; the monitor's own runs are not among them.
    """
    standing = standing_crashes(crashes, outcomes, policy.grace, as_of)
    known = {incident.id: incident for incident in incidents}
    changes: list[Transition] = []
    earlier_rules: list[Rule] = []
    for rule in policy.rules:
        free = _unclaimed(standing, earlier_rules, known.values())
        for group, members in _groups(standing, rule).items():
            before = known.get(incident_id(rule.name, group))
            if before and before.is_open:
                known[before.id] = _feed(before, members, rule, as_of - policy.grace)
                continue
            eligible = [crash for crash in members if crash.state_id in free]
            if opened := _open(rule, group, eligible, before, as_of, policy):
                known[opened.id] = opened
                changes.append(_told(Kind.OPENED, opened, Reason.THRESHOLD_CROSSED, as_of))
        earlier_rules.append(rule)
    closed = _close(known, policy, as_of)
    return Judgement(
        incidents=tuple(sorted(known.values(), key=lambda i: (i.opened_at, i.id))),
        transitions=(*changes, *closed),
    )


def as_it_is_now(
    transitions: Iterable[Transition], incidents: Iterable[Incident]
) -> tuple[Transition, ...]:
    """What there is to tell of several intervals judged at once, told of as it is at their end.

    Openings only: a notification that says three crashes while six are known is a poor one.
    """
    latest = {(incident.id, incident.episode): incident for incident in incidents}
    return tuple(
        replace(t, incident=latest.get((t.incident.id, t.incident.episode), t.incident))
        if t.kind is Kind.OPENED
        else t
        for t in transitions
    )


def remind(judgement: Judgement, policy: Policy, as_of: datetime) -> Judgement:
    """The judgement with the reminders that are due, to be asked once a cycle.

    Gaps double from `policy.remind_after` up to `policy.remind_at_most`. An incident that only
    waits for its quiet period is not reminded of.
    """
    incidents, reminders = [], []
    for incident in judgement.incidents:
        if reminder_reason(incident, policy, as_of) is not Reason.REMINDER_DUE:
            incidents.append(incident)
            continue
        told = replace(incident, reminders=incident.reminders + 1, told_at=as_of)
        incidents.append(told)
        reminders.append(_told(Kind.REMINDED, told, Reason.REMINDER_DUE, as_of))
    return Judgement(incidents=tuple(incidents), transitions=(*judgement.transitions, *reminders))


def reminder_reason(incident: Incident, policy: Policy, as_of: datetime) -> Reason:
    """Whether an incident is to be reminded of, and why or why not."""
    if not incident.is_open:
        return Reason.QUIET_PERIOD_OVER
    if incident.burning_until <= as_of - policy.grace:
        return Reason.WAITING_FOR_QUIET
    doublings = min(incident.reminders, 30)  # the cap is reached long before
    gap = min(policy.remind_after * 2**doublings, policy.remind_at_most)
    due_at = (incident.told_at or incident.opened_at) + gap
    return Reason.REMINDER_DUE if due_at <= as_of else Reason.STILL_BURNING


def standing_crashes(
    crashes: Iterable[Crash], outcomes: Mapping[str, Outcome], grace: timedelta, as_of: datetime
) -> list[Crash]:
    """The crashes that count towards rules: past their grace, and not recovered within it.

    A crash of a run that crashed again stands, so that a crash loop cannot hide. Subflows inside
    their parent's process do not: the death of that process is one crash, the parent's.
    """
    return sorted(
        (
            crash
            for crash in crashes
            if not crash.in_process
            and crash.at + grace <= as_of
            and _stands(crash, outcomes[crash.state_id], grace)
        ),
        key=lambda crash: (crash.at, crash.state_id),
    )


def _stands(crash: Crash, outcome: Outcome, grace: timedelta) -> bool:
    if outcome.fate is not Fate.RECOVERED or outcome.recovered_at is None:
        return True
    return outcome.recovered_at > crash.at + grace


def groups_of(crash: Crash, rule: Rule) -> tuple[str, ...]:
    """The groups in which a crash counts; none where it has no such name."""
    match rule.scope:
        case Scope.EVERYTHING:
            return ("",)
        case Scope.FLOW:
            names = [crash.flow]
        case Scope.DEPLOYMENT:
            names = [crash.deployment or crash.flow]
        case Scope.WORK_POOL:
            names = [crash.work_pool]
        case Scope.WORK_QUEUE:
            names = [f"{crash.work_pool}/{crash.work_queue}" if crash.work_queue else ""]
        case Scope.TAG:
            names = list(crash.tags)
        case Scope.DIMENSION:
            prefix = f"{rule.dimension}:"
            tagged = [tag.removeprefix(prefix) for tag in crash.tags if tag.startswith(prefix)]
            names = tagged or [dict(crash.labels).get(rule.dimension, "")]
    return tuple(sorted({name for name in names if name}))


def incident_id(rule: str, group: str, fingerprint: str = "") -> str:
    """The stable identity of an incident: rule, group and fingerprint, hashed."""
    return hashlib.sha256("\x1f".join((rule, group, fingerprint)).encode()).hexdigest()[:12]


def _groups(crashes: Iterable[Crash], rule: Rule) -> dict[str, list[Crash]]:
    groups: dict[str, list[Crash]] = defaultdict(list)
    for crash in crashes:
        for group in groups_of(crash, rule):
            groups[group].append(crash)
    return groups


def _unclaimed(
    crashes: Iterable[Crash], rules: Sequence[Rule], incidents: Iterable[Incident]
) -> set[str]:
    """The crashes, by state id, that no incident of an earlier rule has counted in."""
    by_rule = {(incident.rule, incident.group): incident for incident in incidents}

    def claimed(crash: Crash) -> bool:
        return any(
            _counted_in(crash, by_rule.get((rule.name, group)))
            for rule in rules
            for group in groups_of(crash, rule)
        )

    return {crash.state_id for crash in crashes if not claimed(crash)}


def _counted_in(crash: Crash, incident: Incident | None) -> bool:
    return (
        incident is not None
        and incident.judged_through is not None
        and incident.first_crash_at <= crash.at <= incident.judged_through
    )


def _burns(times: Sequence[datetime], rule: Rule) -> tuple[int, datetime] | None:
    """Where the last stretch that meets the rule begins, and until when it keeps burning."""
    need = rule.crashes - 1
    for first in range(len(times) - rule.crashes, -1, -1):
        if times[first + need] - times[first] <= rule.within:
            return first, times[first] + rule.within
    return None


def _first_burning(times: Sequence[datetime], rule: Rule) -> int:
    """Where the first stretch begins that meets the rule."""
    need = rule.crashes - 1
    return next(
        first
        for first in range(len(times) - need)
        if times[first + need] - times[first] <= rule.within
    )


def _open(
    rule: Rule,
    group: str,
    crashes: Sequence[Crash],
    before: Incident | None,
    as_of: datetime,
    policy: Policy,
) -> Incident | None:
    """A new episode, where the crashes since the last one meet the rule and it is not over yet."""
    closed = before.judged_through if before else None
    fresh = [crash for crash in crashes if closed is None or crash.at > closed]
    times = [crash.at for crash in fresh]
    burning = _burns(times, rule)
    if burning is None:
        return None
    just_crossed = times[burning[0] + rule.crashes - 1] > as_of - policy.grace - policy.interval
    if not just_crossed and burning[1] + rule.quiet_for <= as_of:
        return None
    blank = Incident(
        id=incident_id(rule.name, group),
        episode=before.episode + 1 if before else 1,
        rule=rule.name,
        scope=str(rule.scope),
        group=group,
        severity=str(rule.severity),
        opened_at=as_of,
        told_at=as_of,
        first_crash_at=times[_first_burning(times, rule)],
        last_crash_at=times[-1],
        burning_until=burning[1],
        crashes=0,
    )
    return _feed(blank, fresh, rule, as_of - policy.grace)


def _feed(incident: Incident, crashes: Sequence[Crash], rule: Rule, through: datetime) -> Incident:
    """The incident with the crashes counted in that came after the last judgement."""
    since = incident.judged_through
    own = [crash for crash in crashes if crash.at >= incident.first_crash_at]
    new = [crash for crash in own if since is None or crash.at > since]
    burning = _burns([crash.at for crash in own], rule)
    latest = new[-1] if new else None
    until = max([incident.burning_until, *(burning[1:] if burning else ())])
    deployments = Counter(incident.deployments)
    deployments.update(crash.deployment or crash.flow for crash in new)
    work_pools = Counter(incident.work_pools)
    work_pools.update(crash.work_pool for crash in new if crash.work_pool)
    return replace(
        incident,
        severity=str(rule.severity),
        crashes=incident.crashes + len(new),
        last_crash_at=max([incident.last_crash_at, *(crash.at for crash in new)]),
        burning_until=until,
        deployments=dict(deployments.most_common(NAMES_KEPT)),
        work_pools=dict(work_pools.most_common(NAMES_KEPT)),
        sample=redact(latest.message[:10_000])[:SAMPLE_LENGTH] if latest else incident.sample,
        sample_run_id=latest.flow_run_id if latest else incident.sample_run_id,
        sample_run_name=latest.flow_run_name if latest else incident.sample_run_name,
        judged_through=through,
    )


def _close(known: dict[str, Incident], policy: Policy, as_of: datetime) -> list[Transition]:
    """Resolves what has been quiet for long enough, or belongs to a rule that is gone."""
    rules = {rule.name: rule for rule in policy.rules}
    closed = []
    for id_, incident in known.items():
        reason = closing_reason(incident, rules.get(incident.rule), as_of)
        if reason in {Reason.QUIET_PERIOD_OVER, Reason.RULE_REMOVED} and incident.is_open:
            through = as_of - policy.grace
            resolved = replace(incident, resolved_at=as_of, judged_through=through)
            known[id_] = resolved
            closed.append(_told(Kind.RESOLVED, resolved, reason, as_of))
    return closed


def closing_reason(incident: Incident, rule: Rule | None, as_of: datetime) -> Reason:
    """Whether an open incident is over, and why or why not."""
    if rule is None:
        return Reason.RULE_REMOVED
    if incident.opened_at < as_of and incident.burning_until + rule.quiet_for <= as_of:
        return Reason.QUIET_PERIOD_OVER
    if incident.burning_until <= as_of:
        return Reason.WAITING_FOR_QUIET
    return Reason.STILL_BURNING


def _told(kind: Kind, incident: Incident, reason: Reason, at: datetime) -> Transition:
    return Transition(kind=kind, incident=incident, reason=reason, at=at)
