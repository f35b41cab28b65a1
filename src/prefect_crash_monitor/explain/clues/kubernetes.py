"""Signs in a run's Kubernetes evidence: one row explains crashes, ghosts and runs that wait.

The same sign is read where it is cheapest: in the diagnosis that Prefect's observer puts on its
pod events, in its log line, and in the pods, Job and events of the cluster itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from prefect_crash_monitor.explain.clues.clues import Clue, all_of, any_of
from prefect_crash_monitor.explain.clues.cluster import (
    cluster_event,
    diagnosis,
    disruption,
    job_failed,
    job_suspended,
    no_node,
    observer_log,
    pod_reason,
    terminated,
    waiting,
)
from prefect_crash_monitor.explain.explanation import Confidence, Severity

HIGH, MEDIUM = Confidence.HIGH, Confidence.MEDIUM
CRITICAL, WARNING = Severity.CRITICAL, Severity.WARNING


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """A sign in a run's Kubernetes evidence; it explains crashes, ghosts and runs that wait."""

    cause: str
    precedence: int
    clue: Clue
    before_start: bool = False
    """It keeps a pod from starting; a pod that ran got over it."""
    until_started: bool = False
    """A pod may wait long for this, and then start a container that fails of itself."""
    confidence: Confidence = HIGH
    severity: Severity = CRITICAL
    insights: tuple[str, ...] = ()
    versions: str = "prefect-kubernetes 0.6+; diagnosis labels since 0.7.12"
    source: str = "recorded"


SIGNS = (
    Sign(
        cause="k8s-deadline-exceeded",
        precedence=1950,
        clue=any_of(job_failed("DeadlineExceeded"), cluster_event("DeadlineExceeded")),
    ),
    Sign(
        cause="k8s-oom-killed",
        precedence=2000,
        clue=any_of(
            diagnosis("OOMKilled"),
            observer_log(r"was killed due to out-of-memory \(OOMKilled\)"),
            terminated("OOMKilled"),
        ),
    ),
    Sign(
        cause="k8s-node-shutdown",
        precedence=2010,
        clue=pod_reason("Terminated|NodeShutdown|Shutdown"),
        severity=WARNING,
        insights=("I07",),
        source="Kubernetes: graceful node shutdown",
    ),
    Sign(
        cause="k8s-node-lost",
        precedence=2015,
        clue=any_of(
            pod_reason("NodeLost"),
            disruption("DeletionByTaintManager|DeletionByPodGC"),
            cluster_event("TaintManagerEviction|NodeNotReady"),
        ),
        confidence=MEDIUM,
        insights=("I07",),
    ),
    Sign(
        cause="k8s-evicted",
        precedence=2020,
        clue=any_of(
            diagnosis("Evicted"),
            observer_log(r"^(?:Pod|Container '[^']{1,300}') was evicted"),
            pod_reason("Evicted|Preempting"),
            disruption("EvictionByEvictionAPI|PreemptionByScheduler|TerminationByKubelet"),
            cluster_event("Evicted|ScaleDown|Preempted"),
        ),
        severity=WARNING,
        insights=("I07",),
    ),
    Sign(
        cause="k8s-container-config-error",
        precedence=2042,
        clue=any_of(
            waiting("CreateContainerConfigError|CreateContainerError|RunContainerError"),
            terminated("ContainerCannotRun|StartError"),
        ),
        before_start=True,
        insights=("I09", "I10"),
    ),
    Sign(
        cause="k8s-volume-mount-failed",
        precedence=2044,
        clue=all_of(
            cluster_event("FailedMount|FailedAttachVolume"),
            waiting("ContainerCreating|PodInitializing"),
        ),
        before_start=True,
        insights=("I10",),
    ),
    Sign(
        cause="k8s-quota-exceeded",
        precedence=2046,
        clue=cluster_event(
            "FailedCreate", r"exceeded quota|failed quota|LimitRange|(?:max|min)imum \w+ usage per"
        ),
        before_start=True,
        until_started=True,
        insights=("I10",),
    ),
    Sign(
        cause="k8s-kueue-suspended",
        precedence=2048,
        clue=job_suspended,
        before_start=True,
        severity=WARNING,
        insights=("I10",),
    ),
    Sign(
        cause="k8s-image-pull-error",
        precedence=2050,
        clue=any_of(
            diagnosis("ImagePullError"),
            observer_log(r"^Image pull failed for container"),
            waiting("ErrImagePull|ImagePullBackOff|InvalidImageName|ErrImageNeverPull"),
        ),
        before_start=True,
        until_started=True,
        insights=("I09", "I10"),
    ),
    Sign(
        cause="k8s-unschedulable",
        precedence=2060,
        clue=any_of(diagnosis("Unschedulable"), observer_log(r"^Pod is unschedulable"), no_node),
        before_start=True,
        until_started=True,
        insights=("I10", "I16"),
    ),
    Sign(
        cause="k8s-crash-loop",
        precedence=2070,
        clue=any_of(
            diagnosis("CrashLoopBackOff"),
            observer_log(r"is crash-looping"),
            waiting("CrashLoopBackOff"),
        ),
        insights=("I09",),
        source="prefect_kubernetes/diagnostics.py:237-428",
    ),
)
