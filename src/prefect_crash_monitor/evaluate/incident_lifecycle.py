"""The life of one incident: when it opens, what it takes in, when it is over."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from prefect_crash_monitor.config.rule import Rule
from prefect_crash_monitor.evaluate.rule_kinds import CONDITIONS, Case, Key, awaits_completion
from prefect_crash_monitor.evaluate.rule_state import Streaked, awaited_by
from prefect_crash_monitor.model.crash import Crash
from prefect_crash_monitor.model.incident import NAMES_KEPT, SAMPLE_LENGTH, Incident, Reason
from prefect_crash_monitor.redaction.redact import redact


def incident_id(rule: str, group: str, fingerprint: str = "") -> str:
    """The stable identity of an incident: rule, group and fingerprint, hashed."""
    return hashlib.sha256("\x1f".join((rule, group, fingerprint)).encode()).hexdigest()[:12]


def open_incident(
    rule: Rule, key: Key, crashes: Sequence[Crash], before: Incident | None, case: Case
) -> Incident | None:
    """A new episode, where the crashes since the last one meet the rule and it is not over yet."""
    closed = before.judged_through if before else None
    fresh = [crash for crash in crashes if closed is None or crash.at >= closed]
    burning = CONDITIONS[rule.kind].burning(rule, key, fresh, case)
    if burning is None or (closed is not None and burning.crossed < closed):
        return None
    just_crossed = burning.crossed > case.through - case.policy.interval
    if not just_crossed and burning.until + rule.quiet_for <= case.as_of:
        return None
    blank = Incident(
        id=incident_id(*key),
        episode=before.episode + 1 if before else 1,
        rule=rule.name,
        scope=str(rule.scope),
        group=key.group,
        fingerprint=key.fingerprint,
        severity=str(rule.severity),
        opened_at=case.as_of,
        told_at=case.as_of,
        first_crash_at=burning.first,
        last_crash_at=burning.crossed,
        burning_until=burning.until,
        crashes=0,
        ghosts=CONDITIONS[rule.kind].of_ghosts,
    )
    begun = _with_streak(blank, key, fresh, case) if awaits_completion(rule) else blank
    return feed(begun, fresh, rule, key, case)


def _with_streak(blank: Incident, key: Key, crashes: Sequence[Crash], case: Case) -> Incident:
    """With the crashes of its streak that lie too far back to be among those read."""
    streak = case.beyond.memory.streaks[Streaked(key.rule, key.group)]
    read = {crash.mark for crash in crashes}
    hits = [hit for hit in streak.hits if hit.at >= blank.first_crash_at]
    earlier = [hit for hit in hits if hit.mark not in read]
    return replace(
        blank,
        runs_of=str(streak.runs.of),
        runs_id=streak.runs.id,
        crashes=len(earlier),
        deployments=_added({}, (hit.where for hit in earlier)),
        work_pools=_added({}, (hit.work_pool for hit in earlier if hit.work_pool)),
        causes=_added({}, (hit.cause for hit in earlier if hit.cause)),
    )


def feed(
    incident: Incident, crashes: Sequence[Crash], rule: Rule, key: Key, case: Case
) -> Incident:
    """The incident with the crashes counted in that came after the last judgement."""
    since, diagnoses = incident.judged_through, case.diagnoses
    case = replace(case, since=incident.first_crash_at)
    own = [crash for crash in crashes if crash.at >= incident.first_crash_at]
    new = [crash for crash in own if since is None or crash.at >= since]
    burning = CONDITIONS[rule.kind].burning(rule, key, own, case)
    until = max([incident.burning_until, *([burning.until] if burning else [])])
    if burning is None and CONDITIONS[rule.kind].undecided(rule, key, own, case):
        until = max(until, case.as_of)
    causes = (diagnoses[c.state_id].cause for c in new if c.state_id in diagnoses)
    return replace(
        _with_sample(incident, new, rule, case),
        severity=str(rule.severity),
        crashes=incident.crashes + len(new),
        last_crash_at=max([incident.last_crash_at, *(crash.at for crash in new)]),
        burning_until=until,
        basis=burning.basis if burning else incident.basis,
        deployments=_added(incident.deployments, (c.deployment or c.flow for c in new)),
        work_pools=_added(incident.work_pools, (c.work_pool for c in new if c.work_pool)),
        causes=_added(incident.causes, causes),
        judged_through=case.through,
    )


def _with_sample(incident: Incident, new: Sequence[Crash], rule: Rule, case: Case) -> Incident:
    """The latest crash as the one to look at; one that is explained before one that is not."""
    if not new:
        return incident
    diagnoses, tells = case.diagnoses, CONDITIONS[rule.kind].telling
    telling = [crash for crash in new if tells(crash, case)]
    if not telling and incident.sample_run_id:
        return incident
    new = telling or new
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


def closing_reason(incident: Incident, rule: Rule | None, case: Case) -> Reason:
    """Whether an open incident is over, and why or why not."""
    if rule is None:
        return Reason.RULE_REMOVED
    if awaits_completion(rule) and _completed_since(incident, rule, case):
        return Reason.RUN_COMPLETED
    if incident.opened_at < case.as_of and incident.burning_until + rule.quiet_for <= case.as_of:
        return Reason.QUIET_PERIOD_OVER
    if incident.burning_until <= case.as_of:
        return Reason.WAITING_FOR_QUIET
    return Reason.STILL_BURNING


def _completed_since(incident: Incident, rule: Rule, case: Case) -> bool:
    """Whether a run completed after it began, with too few crashes since."""
    runs = awaited_by(incident)
    ended = case.beyond.completed.get(runs) if runs else None
    streak = case.beyond.memory.streaks.get(Streaked(incident.rule, incident.group))
    left = len(streak.hits) if streak else 0
    return ended is not None and ended > incident.first_crash_at and left < rule.crashes
