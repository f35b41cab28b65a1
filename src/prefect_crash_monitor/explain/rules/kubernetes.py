"""Rules of runs on Kubernetes and other container services."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from prefect_crash_monitor.explain.clues.clues import (
    Clue,
    all_of,
    any_of,
    event,
    log,
    message,
    never_ran,
    none_of,
    quietly,
    ran,
)
from prefect_crash_monitor.explain.clues.cluster import (
    container_started,
    exited,
    forwarded_logs,
    on_kubernetes,
)
from prefect_crash_monitor.explain.clues.kubernetes import SIGNS, Sign
from prefect_crash_monitor.explain.explanation import Confidence, Severity, Verdict
from prefect_crash_monitor.explain.liveness import (
    pods_over,
    silent,
    waited,
    worker_done,
    worker_stopped,
)
from prefect_crash_monitor.explain.rules.cause_rule import Rule, Scope, crash
from prefect_crash_monitor.explain.rules.process import INTERRUPTED_BY, native, system_exit

HIGH, MEDIUM, LOW = Confidence.HIGH, Confidence.MEDIUM, Confidence.LOW
CRITICAL, WARNING = Severity.CRITICAL, Severity.WARNING

AT_ONCE = timedelta(minutes=1)
"""Younger pods are only starting."""

FOR_LONG = timedelta(minutes=5)
"""What an autoscaler may need for a node."""

LEGACY = "prefect-kubernetes up to 0.5, agents of 2.x"
SLOW_POD = ("I10", "I16")

ended = any_of(pods_over, worker_done, worker_stopped, silent)
no_pods = quietly(message(r"^No active or succeeded pods found for any job"))
not_started = none_of(container_started)
from_outside = none_of(
    native,
    system_exit,
    message(rf"{INTERRUPTED_BY}(?!BaseExceptionGroup)"),
)
"""The process tells of an end of its own, which no node and no cluster made."""

job_deleted = message(r"^Kubernetes job was deleted")


def _expanded(sign: Sign) -> Iterator[Rule]:
    """The rules of one sign: for a crash, for a run that says it runs, for one that waits."""
    clue = all_of(on_kubernetes, sign.clue, *((not_started,) if sign.until_started else ()))
    crashed = all_of(never_ran if sign.before_start else from_outside, clue)
    yield _rule(sign, Scope.CRASHED, Verdict.CRASHED, crashed)
    if sign.before_start or sign.cause == "k8s-crash-loop":
        long, short = all_of(clue, waited(FOR_LONG)), all_of(clue, waited(AT_ONCE))
        yield _rule(sign, Scope.PENDING, Verdict.STUCK, long)
        yield _rule(sign, Scope.PENDING, Verdict.STUCK, short, MEDIUM, 1)
        return
    yield _rule(sign, Scope.RUNNING, Verdict.GHOST, all_of(clue, ended))
    yield _rule(sign, Scope.CANCELLING, Verdict.GHOST, all_of(clue, ended))
    yield _rule(sign, Scope.PENDING, Verdict.GHOST, all_of(clue, waited(AT_ONCE), pods_over))


def _rule(
    sign: Sign,
    scope: Scope,
    verdict: Verdict,
    clue: Clue,
    confidence: Confidence | None = None,
    later: int = 0,
) -> Rule:
    ghost = ("I06", "I11") if verdict is Verdict.GHOST else ()
    return Rule(
        cause=sign.cause,
        scope=scope,
        precedence=sign.precedence + later,
        clue=clue,
        verdict=verdict,
        confidence=confidence or sign.confidence,
        severity=sign.severity,
        insights=tuple(dict.fromkeys((*sign.insights, *ghost))),
        versions=sign.versions,
        source=sign.source,
    )


container_failed = any_of(
    forwarded_logs, event(r"prefect\.kubernetes\.pod\.\w+", kubernetes__reason="^Error$")
)
minus_one = message(r"^Flow run (?:infrastructure|process) exited with non-zero status code:? -1\b")
never_started = log(r"Pod never started|Pod has status 'Pending'")

RULES = (
    *(rule for sign in SIGNS for rule in _expanded(sign)),
    crash("k8s-job-deleted", 2040, job_deleted, HIGH, WARNING, "I07"),
    crash(
        "k8s-pod-never-started-legacy",
        2080,
        any_of(all_of(minus_one, never_started), all_of(never_ran, message("Pod never started"))),
        HIGH,
        CRITICAL,
        *SLOW_POD,
        versions=LEGACY,
        source="PrefectHQ/prefect#7854",
    ),
    crash(
        "k8s-pod-never-started-legacy",
        2085,
        minus_one,
        MEDIUM,  # other old workers gave -1 for a code that they could not find out
        CRITICAL,
        *SLOW_POD,
        versions=LEGACY,
        source="PrefectHQ/prefect#7854",
    ),
    crash(
        "k8s-container-failed-before-start",
        2090,
        all_of(never_ran, no_pods, container_failed),
        HIGH,
        CRITICAL,
        "I09",
    ),
    crash(
        "k8s-container-failed-before-start",
        2095,
        all_of(never_ran, no_pods),
        MEDIUM,  # or an eviction, a lost node, a deadline
        CRITICAL,
        "I09",
    ),
    crash("killed-oom-or-sigkill", 2100, all_of(ran, no_pods, exited(137, 247)), MEDIUM, CRITICAL),
    crash("sigterm-exit", 2102, all_of(ran, no_pods, exited(143)), MEDIUM, WARNING, "I07"),
    crash(
        "native-crash-segfault", 2104, all_of(ran, no_pods, exited(132, 134, 139)), MEDIUM, CRITICAL
    ),
    crash("k8s-pod-lost-while-running", 2110, all_of(ran, no_pods), MEDIUM, CRITICAL, "I07"),
    crash("k8s-pod-lost-while-running", 2115, no_pods, LOW, CRITICAL, "I07", "I09"),
    crash(
        "ecs-task-failed",
        2120,
        message(
            r"^(?:The following containers stopped with a non-zero exit code"
            r"|ECS task failed to start)"
        ),
        HIGH,
        CRITICAL,
        "I09",
        versions="prefect-aws with its ECS observer",
        source="prefect-aws observers/ecs.py",
    ),
)
