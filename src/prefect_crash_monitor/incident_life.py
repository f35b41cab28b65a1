"""The life of one incident: when it opens, what it takes in, when it is over."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from prefect_crash_monitor.model import Crash, Diagnosis, Incident, Reason
from prefect_crash_monitor.policy import Policy, Rule
from prefect_crash_monitor.redact import redact

NAMES_KEPT = 100
"""Deployments and pools that an incident lists; the most affected ones."""

SAMPLE_LENGTH = 500


class Key(NamedTuple):
    """What identifies an incident."""

    rule: str
    group: str
    fingerprint: str = ""
    """Empty for crashes of several kinds that only together meet the rule."""


def incident_id(rule: str, group: str, fingerprint: str = "") -> str:
    """The stable identity of an incident: rule, group and fingerprint, hashed."""
    return hashlib.sha256("\x1f".join((rule, group, fingerprint)).encode()).hexdigest()[:12]


def burns(times: Sequence[datetime], rule: Rule) -> tuple[int, datetime] | None:
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


def open_incident(
    rule: Rule,
    key: Key,
    crashes: Sequence[Crash],
    before: Incident | None,
    as_of: datetime,
    policy: Policy,
    diagnoses: Mapping[str, Diagnosis],
) -> Incident | None:
    """A new episode, where the crashes since the last one meet the rule and it is not over yet."""
    closed = before.judged_through if before else None
    fresh = [crash for crash in crashes if closed is None or crash.at > closed]
    times = [crash.at for crash in fresh]
    burning = burns(times, rule)
    if burning is None:
        return None
    just_crossed = times[burning[0] + rule.crashes - 1] > as_of - policy.grace - policy.interval
    if not just_crossed and burning[1] + rule.quiet_for <= as_of:
        return None
    blank = Incident(
        id=incident_id(*key),
        episode=before.episode + 1 if before else 1,
        rule=rule.name,
        scope=str(rule.scope),
        group=key.group,
        fingerprint=key.fingerprint,
        severity=str(rule.severity),
        opened_at=as_of,
        told_at=as_of,
        first_crash_at=times[_first_burning(times, rule)],
        last_crash_at=times[-1],
        burning_until=burning[1],
        crashes=0,
    )
    return feed(blank, fresh, rule, as_of - policy.grace, diagnoses)


def feed(
    incident: Incident,
    crashes: Sequence[Crash],
    rule: Rule,
    through: datetime,
    diagnoses: Mapping[str, Diagnosis],
) -> Incident:
    """The incident with the crashes counted in that came after the last judgement."""
    since = incident.judged_through
    own = [crash for crash in crashes if crash.at >= incident.first_crash_at]
    new = [crash for crash in own if since is None or crash.at > since]
    burning = burns([crash.at for crash in own], rule)
    until = max([incident.burning_until, *(burning[1:] if burning else ())])
    causes = (diagnoses[c.state_id].cause for c in new if c.state_id in diagnoses)
    return replace(
        _with_sample(incident, new, diagnoses),
        severity=str(rule.severity),
        crashes=incident.crashes + len(new),
        last_crash_at=max([incident.last_crash_at, *(crash.at for crash in new)]),
        burning_until=until,
        deployments=_added(incident.deployments, (c.deployment or c.flow for c in new)),
        work_pools=_added(incident.work_pools, (c.work_pool for c in new if c.work_pool)),
        causes=_added(incident.causes, causes),
        judged_through=through,
    )


def _with_sample(
    incident: Incident, new: Sequence[Crash], diagnoses: Mapping[str, Diagnosis]
) -> Incident:
    """The latest crash as the one to look at; one that is explained before one that is not."""
    if not new:
        return incident
    told = [c for c in new if c.state_id in diagnoses and diagnoses[c.state_id].title]
    latest = (told or new)[-1]
    sample = replace(
        incident,
        sample=redact(latest.message[:10_000])[:SAMPLE_LENGTH],
        sample_run_id=latest.flow_run_id,
        sample_run_name=latest.flow_run_name,
    )
    if not told:
        return sample
    why = diagnoses[latest.state_id]
    return replace(
        sample,
        sample_cause=why.cause,
        title=why.title,
        evidence=why.evidence,
        remedy=why.remedy,
        command=why.command,
    )


def _added(counts: Mapping[str, int], names: Iterable[str]) -> dict[str, int]:
    counter = Counter(counts)
    counter.update(names)
    return dict(counter.most_common(NAMES_KEPT))


def closing_reason(incident: Incident, rule: Rule | None, as_of: datetime) -> Reason:
    """Whether an open incident is over, and why or why not."""
    if rule is None:
        return Reason.RULE_REMOVED
    if incident.opened_at < as_of and incident.burning_until + rule.quiet_for <= as_of:
        return Reason.QUIET_PERIOD_OVER
    if incident.burning_until <= as_of:
        return Reason.WAITING_FOR_QUIET
    return Reason.STILL_BURNING
