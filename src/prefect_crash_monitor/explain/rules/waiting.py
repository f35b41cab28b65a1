"""Rules of runs that have not ended: is one that waits stuck, is one that runs a ghost?"""

from __future__ import annotations

from datetime import timedelta

from prefect_crash_monitor.explain.clues.clues import Clue, all_of, any_of, event, log, state_name
from prefect_crash_monitor.explain.clues.cluster import POD_EVENT, nothing_left, on_kubernetes
from prefect_crash_monitor.explain.explanation import Confidence, Severity, Verdict
from prefect_crash_monitor.explain.liveness import (
    heartbeat_seen,
    overdue,
    period_known,
    pod_alive,
    pod_failed,
    pods_over,
    quiet,
    silent,
    still,
    waited,
    worker_done,
    worker_stopped,
)
from prefect_crash_monitor.explain.rules.cause_rule import Rule, Scope
from prefect_crash_monitor.explain.rules.kubernetes import AT_ONCE, FOR_LONG, SLOW_POD

HIGH, MEDIUM, LOW = Confidence.HIGH, Confidence.MEDIUM, Confidence.LOW
CRITICAL, WARNING, INFO = Severity.CRITICAL, Severity.WARNING, Severity.INFO
GHOST, STUCK = Verdict.GHOST, Verdict.STUCK

TOO_LONG = timedelta(minutes=10)
"""G4: no process takes so long to start; a worker looks for work every 15 s."""

UNKNOWN = "unknown"
GHOSTLY = ("I06", "I11")


def _row(
    scope: Scope,
    precedence: int,
    verdict: Verdict,
    cause: str,
    clue: Clue,
    confidence: Confidence,
    severity: Severity = CRITICAL,
    insights: tuple[str, ...] = GHOSTLY,
    source: str = "recorded",
) -> Rule:
    return Rule(
        cause=cause,
        scope=scope,
        precedence=precedence,
        clue=clue,
        verdict=verdict,
        confidence=confidence,
        severity=severity,
        insights=insights,
        source=source,
    )


has_pod = any_of(event(rf"{POD_EVENT}\w+"), log(r"^Kubernetes job '"))
pod_has_ended_badly = all_of(pods_over, pod_failed)

SCHEDULED = (
    _row(
        Scope.SCHEDULED,
        8010,
        STUCK,
        "late-no-worker",
        state_name("Late"),
        MEDIUM,  # a paused pool and a full one look the same
        WARNING,
        (),
    ),
    _row(
        Scope.SCHEDULED,
        8020,
        STUCK,
        "awaiting-concurrency-slot",
        state_name("AwaitingConcurrencySlot"),
        HIGH,
        INFO,
        ("I04",),
    ),
    _row(
        Scope.SCHEDULED,
        8030,
        STUCK,
        "late-no-worker",
        overdue(TOO_LONG),
        LOW,
        WARNING,
        ("I02",),
        source="PrefectHQ/prefect#16977: a worker that dies leaves what it took SCHEDULED",
    ),
)

PENDING = (
    _row(
        Scope.PENDING,
        8110,
        STUCK,
        "exited-without-running",
        all_of(worker_done, quiet),
        HIGH,
        insights=("I06", "I09"),
    ),
    _row(
        Scope.PENDING,
        8115,
        STUCK,
        "exited-without-running",
        worker_done,
        MEDIUM,
        insights=("I06", "I09"),
    ),
    _row(
        Scope.PENDING,
        8120,
        GHOST,
        "k8s-container-failed-before-start",
        all_of(on_kubernetes, waited(AT_ONCE), pod_has_ended_badly),
        MEDIUM,
        insights=("I06", "I09"),
    ),
    _row(
        Scope.PENDING,
        8125,
        GHOST,
        "ghost-pending",
        all_of(on_kubernetes, waited(TOO_LONG), nothing_left),
        MEDIUM,
        source="prefect-kubernetes: finished_job_ttl clears a Job away while no worker watches",
    ),
    _row(
        Scope.PENDING,
        8130,
        STUCK,
        UNKNOWN,
        all_of(state_name("InfrastructurePending"), waited(FOR_LONG)),
        LOW,
        WARNING,
        SLOW_POD,
    ),
    _row(
        Scope.PENDING,
        8140,
        STUCK,
        UNKNOWN,
        all_of(on_kubernetes, has_pod, waited(TOO_LONG)),
        LOW,
        WARNING,
        SLOW_POD,
    ),
    _row(
        Scope.PENDING,
        8150,
        GHOST,
        "ghost-pending",
        all_of(waited(TOO_LONG), still(TOO_LONG)),
        MEDIUM,
    ),
)


def _running(scope: Scope) -> tuple[Rule, ...]:
    return (
        _row(
            scope,
            8210,
            GHOST,
            "k8s-pod-lost-while-running",
            all_of(on_kubernetes, pod_has_ended_badly),
            MEDIUM,
            insights=("I07", *GHOSTLY),
        ),
        _row(
            scope, 8220, GHOST, "ghost-running", all_of(any_of(worker_done, pods_over), quiet), HIGH
        ),
        _row(
            scope,
            8230,
            GHOST,
            "ghost-running",
            all_of(worker_stopped, period_known, silent),
            HIGH,
            source="PrefectHQ/prefect#16746",
        ),
        _row(scope, 8235, GHOST, "ghost-running", any_of(worker_done, pods_over), MEDIUM),
        _row(
            scope,
            8240,
            GHOST,
            "ghost-running",
            worker_stopped,
            MEDIUM,
            source="PrefectHQ/prefect#16746",
        ),
        _row(scope, 8250, GHOST, "ghost-running", all_of(silent, heartbeat_seen, pod_alive), LOW),
        _row(scope, 8260, GHOST, "ghost-running", all_of(silent, period_known), HIGH),
        _row(scope, 8265, GHOST, "ghost-running", all_of(silent, heartbeat_seen), MEDIUM),
        _row(scope, 8270, GHOST, "unobservable", silent, LOW),
    )


RULES = (*SCHEDULED, *PENDING, *_running(Scope.RUNNING), *_running(Scope.CANCELLING))
