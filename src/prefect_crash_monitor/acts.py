"""Which acts are due, and why each other one is not. Pure: `now` and all that is known come in.

An act has an id made of what it is about: a crash is retried once, an incident pauses a deployment
once, also where a person resumes it while the incident is still open. What was decided is in the
ledger before it is done, so a killed cycle neither forgets an act nor decides it again.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from prefect_crash_monitor.act import Act, ActKind, Result
from prefect_crash_monitor.action_rules import Mode, RetryRule, Target
from prefect_crash_monitor.matching import matches
from prefect_crash_monitor.model import Crash, Diagnosis, Fate, Incident
from prefect_crash_monitor.policy import Policy
from prefect_crash_monitor.seen import Seen
from prefect_crash_monitor.silences import active, silenced
from prefect_crash_monitor.slots import HeldSlot

PROCESS_GONE = frozenset(
    {
        "ecs-task-failed",
        "k8s-evicted",
        "k8s-oom-killed",
        "killed-oom-or-sigkill",
        "native-crash-segfault",
        "process-exit-general-error",
        "process-exit-other-code",
        "sigterm-exit",
    }
)
"""Causes of which the worker or the cluster saw the process end. A lost node may come back with
it, and a missing heartbeat is no end."""


class Reason(StrEnum):
    """Why a chosen run is not retried now, or a slot not freed."""

    MOVED_ON = "has moved on"
    IN_PROCESS = "runs inside another run, which decides"
    NO_DEPLOYMENT = "has no deployment to run it again"
    TOO_OLD = "crashed too long ago"
    SILENCED = "is silenced"
    CAUSE = "its cause is not one to retry"
    UNSURE = "its cause is not sure enough"
    USED_UP = "was retried as often as allowed"
    DECIDED = "is decided already"
    PAUSED = "is of what is paused now"
    WAITING = "waits for its backoff"
    TOO_MANY = "waits for the next cycle"
    UNOBSERVABLE = "holds a slot, but its process may be alive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be done, and of the chosen runs that are not retried how many why."""

    acts: tuple[Act, ...] = ()
    left: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """All that is known when acts are decided."""

    policy: Policy
    now: datetime
    crashes: Sequence[Crash]
    fates: Mapping[str, Fate]
    diagnoses: Mapping[str, Diagnosis]
    incidents: Sequence[Incident] = ()
    silenced: frozenset[str] = frozenset()
    """State ids."""
    past: Sequence[Act] = ()
    held: Sequence[HeldSlot] = ()

    def retries(self, crash: Crash) -> int:
        """How often the run was retried by us, or would have been."""
        mode = self.policy.actions.retry.mode
        return sum(
            act.kind is ActKind.RETRIED
            and act.target == crash.flow_run_id
            and act.mode is mode
            and act.result is not Result.LEFT
            for act in self.past
        )


def knowledge(seen: Seen, open_: Sequence[Incident]) -> Knowledge:
    """What a cycle knows at its end; of the incidents that are open those not silenced."""
    why = seen.explained.diagnoses
    hushing = active(seen.silences, seen.now)
    return Knowledge(
        policy=seen.policy,
        now=seen.now,
        crashes=seen.crashes,
        fates={id_: outcome.fate for id_, outcome in seen.observation.outcomes.items()},
        diagnoses=why,
        incidents=[i for i in open_ if not any(silence.covers(i) for silence in hushing)],
        silenced=frozenset(silenced(seen.crashes, why, hushing)),
        past=seen.ledger.acts,
        held=seen.held_slots,
    )


def plan_acts(known: Knowledge) -> Plan:
    """Pauses first, which keep more from crashing; then slots, then retries, the oldest first."""
    most = known.policy.actions.at_most_per_cycle
    pauses = list(_pauses(known))
    retries, left = _retries(known, {act.target for act in pauses})
    slots, held = _slots(known)
    left += held
    acts = [*pauses, *slots, *retries]
    if (waiting := len(acts) - most) > 0:
        left[Reason.TOO_MANY] += waiting
    return Plan(
        acts=tuple(acts[:most]), left={str(reason): number for reason, number in left.items()}
    )


Hindrance = Callable[[Crash, Knowledge, RetryRule], bool]

HINDRANCES: Mapping[Reason, Hindrance] = {
    Reason.MOVED_ON: lambda c, known, _: known.fates.get(c.state_id) is not Fate.STILL_CRASHED,
    Reason.IN_PROCESS: lambda c, _, __: c.in_process,
    Reason.NO_DEPLOYMENT: lambda c, _, __: not c.deployment_id,
    Reason.TOO_OLD: lambda c, known, rule: c.at + rule.give_up_after <= known.now,
    Reason.SILENCED: lambda c, known, _: c.state_id in known.silenced,
    Reason.CAUSE: lambda c, known, rule: _cause(c, known) not in rule.causes,
    Reason.UNSURE: lambda c, known, _: known.diagnoses[c.state_id].confidence == "low",
    Reason.DECIDED: lambda c, known, rule: (
        _retry_id(c, rule.mode) in {act.id for act in known.past}
    ),
    Reason.USED_UP: lambda c, known, rule: known.retries(c) >= rule.at_most,
    Reason.WAITING: lambda c, known, rule: c.at + rule.gap(known.retries(c)) > known.now,
}
"""Why a crash is not retried, the first that holds; the later ones may rely on the earlier."""


def hindrance(crash: Crash, known: Knowledge, paused: set[str]) -> Reason | None:
    """Why a chosen crash is not to be retried now; None where it is."""
    rule = known.policy.actions.retry
    for reason, holds in HINDRANCES.items():
        if holds(crash, known, rule):
            return reason
    return Reason.PAUSED if paused & {crash.deployment_id, crash.work_pool} else None


def _retries(known: Knowledge, paused: set[str]) -> tuple[list[Act], Counter[Reason]]:
    rule = known.policy.actions.retry
    acts: list[Act] = []
    left = Counter[Reason]()
    if rule.mode is Mode.OFF:
        return acts, left
    for crash in sorted(known.crashes, key=lambda c: (c.at, c.state_id)):
        if not matches(rule.only, crash, known.diagnoses.get(crash.state_id)):
            continue
        if reason := hindrance(crash, known, paused):
            left[reason] += 1
        else:
            acts.append(_retry(crash, known, rule))
    return acts, left


def _retry(crash: Crash, known: Knowledge, rule: RetryRule) -> Act:
    return Act(
        id=_retry_id(crash, rule.mode),
        kind=ActKind.RETRIED,
        mode=rule.mode,
        at=known.now,
        target=crash.flow_run_id,
        target_type="flow-run",
        name=crash.flow_run_name or crash.flow_run_id,
        why=_cause(crash, known),
        detail=crash.state_id,
        number=known.retries(crash) + 1,
    )


def _pauses(known: Knowledge) -> Iterator[Act]:
    """What crashes most in the incidents that pause, and is not silenced."""
    rule, done = known.policy.actions.pause, {act.id for act in known.past}
    if rule.mode is Mode.OFF:
        return
    for incident in known.incidents:
        if incident.rule not in rule.rules or incident.burning_until <= known.now:
            continue
        for target, name, crashes in _affected(incident, known):
            id_ = _id(ActKind.PAUSED, rule.mode, incident.id, str(incident.episode), target)
            if crashes >= rule.crashes and id_ not in done:
                done |= {id_}
                yield Act(
                    id=id_,
                    kind=ActKind.PAUSED,
                    mode=rule.mode,
                    at=known.now,
                    target=target,
                    target_type=str(rule.what),
                    name=name,
                    why=f"{incident.id}.{incident.episode}",
                )


def _affected(incident: Incident, known: Knowledge) -> Iterator[tuple[str, str, int]]:
    """Id, name and crashes of each deployment (pool) of an incident, where it can be told.

    An incident knows deployments by name; the id is that of a crash seen now, not silenced.
    """
    if known.policy.actions.pause.what is Target.WORK_POOL:
        yield from ((pool, pool, crashes) for pool, crashes in incident.work_pools.items())
        return
    heard = (crash for crash in known.crashes if crash.state_id not in known.silenced)
    ids = {crash.deployment: crash.deployment_id for crash in heard if crash.deployment_id}
    for name, crashes in incident.deployments.items():
        if name in ids:
            yield ids[name], name, crashes


def _slots(known: Knowledge) -> tuple[list[Act], Counter[Reason]]:
    """Slots whose holder belongs to a run that crashed a while ago, and is still so.

    A slot that is still held so long after may be one that a living process renews: only where
    its end was seen by others it is taken for leaked.
    """
    rule, past = known.policy.actions.free_slots, {act.id for act in known.past}
    acts: list[Act] = []
    left = Counter[Reason]()
    if rule.mode is Mode.OFF:
        return acts, left
    crashed = {
        crash.flow_run_id: crash
        for crash in known.crashes
        if crash.at + rule.after <= known.now
        and known.fates.get(crash.state_id) is Fate.STILL_CRASHED
    }
    for slot in known.held:
        crash = crashed.get(slot.flow_run_id)
        id_ = _id(ActKind.FREED, rule.mode, slot.task_run_id, slot.tag)
        if crash is None or id_ in past:
            continue
        if _cause(crash, known) not in PROCESS_GONE:
            left[Reason.UNOBSERVABLE] += 1
            continue
        acts.append(_freed(id_, slot, crash, known))
    return acts, left


def _freed(id_: str, slot: HeldSlot, crash: Crash, known: Knowledge) -> Act:
    return Act(
        id=id_,
        kind=ActKind.FREED,
        mode=known.policy.actions.free_slots.mode,
        at=known.now,
        target=slot.task_run_id,
        target_type="task-run",
        name=f"{slot.tag} (held by a task of {crash.flow_run_name or crash.flow_run_id})",
        why=crash.flow_run_id,
        detail=slot.tag,
    )


def _cause(crash: Crash, known: Knowledge) -> str:
    diagnosis = known.diagnoses.get(crash.state_id)
    return diagnosis.cause if diagnosis else ""


def _retry_id(crash: Crash, mode: Mode) -> str:
    return _id(ActKind.RETRIED, mode, crash.state_id)


def _id(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:12]
