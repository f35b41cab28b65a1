"""Which acts are due, and why each other one is not. Pure: `now` and all that is known come in.

An act has an id made of what it is about: a crash is retried once, an incident pauses a deployment
once, also where a person resumes it while the incident is still open. What was decided is in the
ledger before it is done, so a killed cycle neither forgets an act nor decides it again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from prefect_crash_monitor.config.actions import Mode, RetryRule, Target
from prefect_crash_monitor.config.matching import matches
from prefect_crash_monitor.model.crash import Crash, Fate
from prefect_crash_monitor.model.incident import Incident
from prefect_crash_monitor.remediate.action import Act, ActKind, Result
from prefect_crash_monitor.remediate.plan_input import Knowledge, act_id
from prefect_crash_monitor.remediate.slots import HeldSlot

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


PROOFS = 20
"""Crashes that a pause names, the latest; of some the events may be forged."""


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


def plan_acts(known: Knowledge) -> Plan:
    """Pauses first, which keep more from crashing; then slots, then retries, the oldest first."""
    most = known.policy.actions.at_most_per_cycle
    pauses = list(_pauses(known))
    retries, left = _retries(retrying(known, (act.target for act in pauses)))
    slots, held = _slots(known)
    left += held
    acts = [*pauses, *slots, *retries]
    if (waiting := len(acts) - most) > 0:
        left[Reason.TOO_MANY] += waiting
    return Plan(
        acts=tuple(acts[:most]), left={str(reason): number for reason, number in left.items()}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrying:
    """What deciding on retries takes."""

    known: Knowledge
    rule: RetryRule
    decided: frozenset[str]
    """Ids of acts."""
    retried: Mapping[str, int]
    """How often a run was retried by us, or would have been, by flow run id."""
    paused: frozenset[str]
    """Deployment ids and names of pools that are paused now."""

    def due_at(self, crash: Crash) -> datetime:
        """When its backoff is over."""
        return crash.at + self.rule.gap(self.retried.get(crash.flow_run_id, 0))


def retrying(known: Knowledge, paused: Iterable[str] = ()) -> Retrying:
    """What is known, arranged for retries; what was left was no retry."""
    rule = known.policy.actions.retry
    return Retrying(
        known=known,
        rule=rule,
        decided=frozenset(act.id for act in known.past),
        retried=Counter(
            act.target
            for act in known.past
            if act.kind is ActKind.RETRIED
            and act.mode is rule.mode
            and act.result is not Result.LEFT
        ),
        paused=frozenset(paused),
    )


HINDRANCES: Mapping[Reason, Callable[[Crash, Retrying], bool]] = {
    Reason.MOVED_ON: lambda c, on: on.known.fates.get(c.state_id) is not Fate.STILL_CRASHED,
    Reason.IN_PROCESS: lambda c, _: c.in_process,
    Reason.NO_DEPLOYMENT: lambda c, _: not c.deployment_id,
    Reason.TOO_OLD: lambda c, on: c.at + on.rule.give_up_after <= on.known.now,
    Reason.SILENCED: lambda c, on: c.state_id in on.known.silenced,
    Reason.CAUSE: lambda c, on: on.known.cause(c) not in on.rule.causes,
    Reason.UNSURE: lambda c, on: on.known.diagnoses[c.state_id].confidence == "low",
    Reason.DECIDED: lambda c, on: _retry_id(c, on.rule.mode) in on.decided,
    Reason.USED_UP: lambda c, on: on.retried.get(c.flow_run_id, 0) >= on.rule.at_most,
    Reason.WAITING: lambda c, on: on.due_at(c) > on.known.now,
    Reason.PAUSED: lambda c, on: not on.paused.isdisjoint({c.deployment_id, c.work_pool}),
}
"""Why a crash is not retried, the first that holds; the later ones may rely on the earlier."""


def hindrance(crash: Crash, on: Retrying) -> Reason | None:
    """Why a chosen crash is not to be retried now; None where it is."""
    return next((reason for reason, holds in HINDRANCES.items() if holds(crash, on)), None)


def _retries(on: Retrying) -> tuple[list[Act], Counter[Reason]]:
    acts: list[Act] = []
    left = Counter[Reason]()
    if on.rule.mode is Mode.OFF:
        return acts, left
    for crash in sorted(on.known.crashes, key=lambda c: (c.at, c.state_id)):
        if not matches(on.rule.only, crash, on.known.diagnoses.get(crash.state_id)):
            continue
        if reason := hindrance(crash, on):
            left[reason] += 1
        else:
            acts.append(_retry(crash, on))
    return acts, left


def _retry(crash: Crash, on: Retrying) -> Act:
    return Act(
        id=_retry_id(crash, on.rule.mode),
        kind=ActKind.RETRIED,
        mode=on.rule.mode,
        at=on.known.now,
        target=crash.flow_run_id,
        target_type="flow-run",
        name=crash.flow_run_name or crash.flow_run_id,
        why=on.known.cause(crash),
        detail=crash.state_id,
        number=on.retried.get(crash.flow_run_id, 0) + 1,
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
            id_ = act_id(ActKind.PAUSED, rule.mode, incident.id, str(incident.episode), target)
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
                    detail=_proof(target, known),
                )


def _proof(target: str, known: Knowledge) -> str:
    """The latest crashes there: the server must know of as many of them as it takes."""
    there = [
        crash
        for crash in sorted(known.crashes, key=lambda c: (c.at, c.state_id))
        if target in {crash.deployment_id, crash.work_pool}
    ]
    return " ".join(f"{c.flow_run_id}:{c.state_id}" for c in there[-PROOFS:])


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
        id_ = act_id(ActKind.FREED, rule.mode, slot.task_run_id, slot.tag)
        if crash is None or id_ in past:
            continue
        if known.cause(crash) not in PROCESS_GONE:
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


def _retry_id(crash: Crash, mode: Mode) -> str:
    return act_id(ActKind.RETRIED, mode, crash.state_id)
