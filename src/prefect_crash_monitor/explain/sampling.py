"""Explain: which crashes to look at more closely within a budget, and what that tells of the rest.

Pure. A crash is explained from its message where that says enough. Where it does not, its logs
are read: of one run per kind before the second, so that a storm of 10,000 crashes costs no more
than 100 different ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any, TypeVar

from prefect_crash_monitor.explain import (
    Explanation,
    commands,
    evidence_of_crash,
    explain,
    first_answer,
    needs_logs,
)
from prefect_crash_monitor.explain.causes.table import CAUSES
from prefect_crash_monitor.explain.fingerprint import fingerprint
from prefect_crash_monitor.model.crash import Crash, Diagnosis

UNKNOWN = "unknown"

RUN = "{run}"
"""Stands for the id of the run in a command that is kept for all crashes of a kind."""

Logs = Sequence[Mapping[str, Any]]

Item = TypeVar("Item")
Kind = tuple[str, str]
"""First fingerprint and deployment: what crashes share that are taken for the same."""

Alike = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """Why crashes happened, and how many of those that needed a closer look got one."""

    diagnoses: Mapping[str, Diagnosis]
    """By state id."""
    unclear: int = 0
    looked_at: int = 0
    unread: frozenset[str] = frozenset()
    """Unclear crashes of a cycle that could read nothing: the next one looks at them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What was read of one run beyond its crash."""

    logs: Logs | None = None
    """None where they could not be read, which is not the same as none being there."""
    events: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstLook:
    """Crashes as their messages explain them, and those of which the message says too little."""

    diagnoses: Mapping[str, Diagnosis]
    """By state id."""
    unclear: tuple[Crash, ...]


def first_look(crashes: Iterable[Crash]) -> FirstLook:
    """Each crash as its event alone explains it; those that differ by their run only, once."""
    known: dict[Alike, tuple[Diagnosis, bool]] = {}
    diagnoses, unclear = {}, []
    for crash in crashes:
        alike = _alike(crash)
        if alike in known:
            diagnosis, is_unclear = known[alike]
            diagnosis = _for_run(diagnosis, crash)
        else:
            explanation, is_unclear = first_answer(evidence_of_crash(crash))
            diagnosis = diagnosis_of(explanation, crash.message)
            known[alike] = diagnosis, is_unclear
        diagnoses[crash.state_id] = diagnosis
        if is_unclear:
            unclear.append(crash)
    return FirstLook(diagnoses=diagnoses, unclear=tuple(unclear))


def _alike(crash: Crash) -> Alike:
    """All of a crash that its explanation depends on, but for the run's own id and name."""
    return (
        *(crash.message, crash.state_name, crash.from_state, crash.run_count),
        *(crash.flow, crash.deployment),
        *(crash.work_pool, crash.work_pool_type, crash.work_queue),
    )


def _for_run(diagnosis: Diagnosis, crash: Crash) -> Diagnosis:
    """The diagnosis of a crash like this one, with the command for this one's run."""
    own = commands(CAUSES[diagnosis.cause].commands, evidence_of_crash(crash).names)
    return replace(diagnosis, command=own[0] if own else "")


def exemplars(look: FirstLook, limit: int) -> list[Crash]:
    """The crashes to look at: one of each kind of message, then of each deployment, then more.

    In each round those come first of which there are most, so that few are left to guess.
    """
    kinds: dict[Kind, list[Crash]] = defaultdict(list)
    for crash in sorted(look.unclear, key=lambda c: (c.at, c.state_id), reverse=True):
        kinds[_kind(crash, look)].append(crash)
    largest: dict[str, Sequence[Crash]] = {}
    ranked = sorted(kinds.items(), key=lambda item: -len(item[1]))
    for (first, _), crashes in ranked:
        largest.setdefault(first, crashes)
    each_message = (crashes[0] for crashes in largest.values())
    each_deployment = _in_turns(crashes for _, crashes in ranked)
    return list(dict.fromkeys((*each_message, *each_deployment)))[:limit]


def second_look(look: FirstLook, read: Mapping[str, Read]) -> dict[str, Diagnosis]:
    """All crashes, with what was read of some: the others of a kind follow where these agree."""
    diagnoses = dict(look.diagnoses)
    seen: dict[Kind, set[str]] = defaultdict(set)
    for crash in look.unclear:
        if crash.state_id in read:
            diagnosis = _closer(crash, read[crash.state_id])
            diagnoses[crash.state_id] = diagnosis
            seen[_kind(crash, look)].add(diagnosis.cause)
    for crash in look.unclear:
        if crash.state_id not in read:
            causes = seen[_kind(crash, look)]
            diagnoses[crash.state_id] = _by_likeness(crash, look, causes)
    return diagnoses


def _closer(crash: Crash, read: Read) -> Diagnosis:
    evidence = evidence_of_crash(crash, logs=read.logs, events=read.events)
    return diagnosis_of(explain(evidence), crash.message)


def _by_likeness(crash: Crash, look: FirstLook, causes: set[str]) -> Diagnosis:
    """The one cause of those looked at, never with more than low confidence."""
    own = look.diagnoses[crash.state_id]
    if len(causes) != 1:
        return replace(own, looked_at=False)
    (cause,) = causes
    return told_again(
        Diagnosis(
            cause=cause,
            confidence="low",
            fingerprint=fingerprint(cause, crash.message),
            looked_at=False,
        ),
        crash,
    )


def told_again(diagnosis: Diagnosis, crash: Crash) -> Diagnosis:
    """A diagnosis made of another crash of its kind, or kept by an earlier cycle, for this crash.

    A notification that a later cycle sends says as much as one sent at once: the command names
    this run, and what was not kept comes from the table of causes.
    """
    cause = CAUSES.get(diagnosis.cause)
    if cause is None:
        return diagnosis
    remedies = (text for text in cause.remediation if "{" not in text)
    own = commands(cause.commands, evidence_of_crash(crash).names)
    return replace(
        diagnosis,
        title=diagnosis.title or cause.title,
        remedy=diagnosis.remedy or next(remedies, ""),
        command=diagnosis.command.replace(RUN, crash.flow_run_id) or (own[0] if own else ""),
    )


def diagnosis_of_failure(failure: Crash, logs: Logs | None = None) -> Diagnosis:
    """Why a run failed; `failure` is that event, read like a crash."""
    evidence = evidence_of_crash(failure, logs=logs, state_type="FAILED")
    return diagnosis_of(explain(evidence), failure.message)


def failure_needs_logs(failure: Crash) -> bool:
    """Whether the event alone says too little."""
    return needs_logs(evidence_of_crash(failure, state_type="FAILED"))


def diagnosis_of(explanation: Explanation, message: str) -> Diagnosis:
    """What is kept of the explanation of a run; `message` tells one kind from another."""
    cause = explanation.cause or UNKNOWN
    return Diagnosis(
        cause=cause,
        confidence=str(explanation.confidence),
        fingerprint=fingerprint(cause, message),
        title=explanation.title,
        evidence=explanation.evidence[0].text if explanation.evidence else "",
        remedy=explanation.remediation[0] if explanation.remediation else "",
        command=explanation.commands[0] if explanation.commands else "",
    )


def _kind(crash: Crash, look: FirstLook) -> Kind:
    first = look.diagnoses[crash.state_id].fingerprint
    return first, crash.deployment_id or crash.flow_id or crash.flow


def _in_turns(lists: Iterable[Sequence[Item]]) -> list[Item]:
    """The first of each list, then the second of each, and so on."""
    rounds = zip_longest(*lists)
    return [item for turn in rounds for item in turn if item is not None]
