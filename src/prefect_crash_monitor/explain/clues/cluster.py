"""Clues about Kubernetes: from Prefect's pod events and observer, and from the cluster itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime

from prefect_crash_monitor.explain.clues.clues import (
    MISSED,
    Clue,
    Finding,
    event_line,
    holds,
    log,
    unread,
)
from prefect_crash_monitor.explain.evidence.attempt import in_attempt
from prefect_crash_monitor.explain.evidence.cluster import Cluster, Pod
from prefect_crash_monitor.explain.evidence.evidence import Evidence, Part
from prefect_crash_monitor.explain.explanation import Line, Where

POD_EVENT = "prefect.kubernetes.pod."
STARTED_EVENTS = frozenset(POD_EVENT + phase for phase in ("running", "succeeded", "evicted"))
"""`evicted` is sent where a container ended with a reason, so one was started."""

OBSERVER_SAYS = re.compile(r"(?:No active or succeeded pods found|Kubernetes job was deleted)")


def on_kubernetes(evidence: Evidence) -> Finding:
    """The run is a Kubernetes one, by its worker, its Job, its pods, or its observer's words."""
    names = evidence.names
    if "kubernetes" in names.worker_type or names.job or evidence.cluster is not None:
        return holds()
    if OBSERVER_SAYS.match(evidence.state.message):
        return holds()
    pods = any(one.name.startswith(POD_EVENT) for one in evidence.events or ())
    return holds() if pods else MISSED


def diagnosis(pattern: str) -> Clue:
    """The newest diagnosis of Prefect's observer; never the event's name.

    `pod.evicted` is sent for any container that ended with a reason (observer.py:622-630). What
    was diagnosed before the run last became RUNNING it got over: Kubernetes retried its pod.
    """
    wanted = re.compile(pattern)

    def ask(evidence: Evidence) -> Finding:
        if evidence.events is None:
            return unread(Part.EVENTS)
        for one in reversed(evidence.events):
            if not one.name.startswith(POD_EVENT) or not _counts(one.at, evidence):
                continue
            told = one.labels.get("kubernetes.diagnosis") or one.labels.get("kubernetes.reason")
            if told and told != "Error":
                return holds(event_line(one), diagnosis=told) if wanted.match(told) else MISSED
        return MISSED

    return ask


def observer_log(pattern: str) -> Clue:
    """The observer says so in the run's logs, since the run last became RUNNING."""
    return log(pattern, logger=".observer", since_running=True)


def forwarded_logs(evidence: Evidence) -> Finding:
    """The observer forwarded the dead container's own output; its last line tells most."""
    if evidence.logs is None:
        return unread(Part.LOGS)
    lines = [one for one in evidence.logs if one.logger.endswith(".observer")]
    if not any(one.text.startswith("Container logs from container") for one in lines):
        return MISSED
    last = lines[-1]
    return holds(Line(source=Where.LOG, text=last.text, at=last.at))


def container_started(evidence: Evidence) -> Finding:
    """A container of the newest pod was started.

    It had its node and its image, however long it waited for them. Where nothing tells of it,
    none was started: that is the usual end of a pod that waits.
    """
    if forwarded_logs(evidence).held:
        return holds()
    pod = evidence.cluster.pod if evidence.cluster else None
    if pod is not None and (pod.phase == "Running" or (pod.dead and pod.terminated)):
        return holds()
    told = [one for one in evidence.events or () if one.name.startswith(POD_EVENT)]
    phases = {one.name for one in told if one.resource_id == told[-1].resource_id}
    return holds() if phases & STARTED_EVENTS else MISSED


def nothing_left(evidence: Evidence) -> Finding:
    """Kubernetes was asked, and has neither a pod nor the Job of the attempt."""
    if evidence.cluster is None:
        return unread(Part.KUBERNETES)
    if not evidence.cluster.gone:
        return MISSED
    return holds(Line(source=Where.KUBERNETES, text="neither a pod nor a Job of the run is left"))


def newest_pod(fits: Callable[[Pod], str]) -> Clue:
    """The newest pod fits; the predicate gives the words that show it, or nothing."""

    def ask(evidence: Evidence) -> Finding:
        if evidence.cluster is None:
            return unread(Part.KUBERNETES)
        pod = evidence.cluster.pod
        words = fits(pod) if pod else ""
        if not pod or not words:
            return MISSED
        return holds(cluster_line(f"pod {pod.name}: {words}", evidence.cluster))

    return ask


def waiting(pattern: str) -> Clue:
    """A container of the newest pod waits for this reason."""
    return newest_pod(lambda pod: _told(pattern, pod.waiting, pod.waiting_message))


def terminated(pattern: str) -> Clue:
    """A container of the newest pod ended for this reason."""
    return newest_pod(lambda pod: _told(pattern, pod.terminated, f"exit code {pod.exit_code}"))


def exited(*codes: int) -> Clue:
    """A container of the newest pod ended with one of these exit codes."""
    return newest_pod(lambda pod: f"exit code {pod.exit_code}" if pod.exit_code in codes else "")


def pod_reason(pattern: str) -> Clue:
    """Kubernetes gives this reason for the end of the newest pod."""
    return newest_pod(lambda pod: _told(pattern, pod.reason, pod.message))


def disruption(pattern: str) -> Clue:
    """The newest pod was disrupted by someone, for this reason."""
    return newest_pod(lambda pod: _told(pattern, pod.disruption, pod.message))


def no_node(evidence: Evidence) -> Finding:
    """The scheduler found no node for the newest pod."""
    return newest_pod(lambda pod: pod.unschedulable)(evidence)


def job_failed(pattern: str) -> Clue:
    """The Job failed for this reason."""

    def ask(evidence: Evidence) -> Finding:
        if evidence.cluster is None:
            return unread(Part.KUBERNETES)
        job = evidence.cluster.job
        words = _told(pattern, job.failed, job.failed_message) if job else ""
        return holds(cluster_line(f"job: {words}", evidence.cluster)) if words else MISSED

    return ask


def job_suspended(evidence: Evidence) -> Finding:
    """The Job waits for a queue's admission and starts no pod."""
    if evidence.cluster is None:
        return unread(Part.KUBERNETES)
    job = evidence.cluster.job
    if job is None or not job.suspended:
        return MISSED
    return holds(cluster_line(f"job {job.name}: spec.suspend is true", evidence.cluster))


def cluster_event(reasons: str, words: str = "") -> Clue:
    """The cluster reported this about the run's Job, pods or node."""
    wanted, text = re.compile(reasons), re.compile(words)

    def ask(evidence: Evidence) -> Finding:
        if evidence.cluster is None:
            return unread(Part.KUBERNETES)
        for one in filter(evidence.cluster.may_tell, evidence.cluster.events):
            if wanted.fullmatch(one.reason) and text.search(one.message):
                line = f"event {one.reason}: {one.message}"
                return holds(Line(source=Where.KUBERNETES, text=line, at=one.at))
        return MISSED

    return ask


def cluster_line(words: str, cluster: Cluster) -> Line:
    """A fact of the cluster as evidence."""
    return Line(source=Where.KUBERNETES, text=words, at=cluster.over_at)


def _counts(at: datetime | None, evidence: Evidence) -> bool:
    return in_attempt(at, evidence.course.running_at)


def _told(pattern: str, reason: str, more: str) -> str:
    if not reason or not re.fullmatch(pattern, reason):
        return ""
    return f"{reason}: {more}" if more else reason
