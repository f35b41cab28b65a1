"""What Kubernetes tells of a run: its pods, its Job, the cluster's events about them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from prefect_crash_monitor.explain.evidence.lenient_json import (
    BEGINNING,
    Json,
    mapping,
    moment,
    name,
    objects,
    text,
    whole,
)

MOST = 500
SLACK = timedelta(seconds=2)
"""Kubernetes' times are whole seconds."""

REPORTED = timedelta(minutes=1)
"""What comes later than this after a pod's end did not end it: an empty node is scaled down."""

DEAD_PHASES = frozenset({"Failed", "Succeeded"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """One pod of a run."""

    name: str
    namespace: str
    created_at: datetime | None
    phase: str
    reason: str
    """Of the pod itself: `Evicted`, `NodeLost`, `Terminated`."""
    message: str
    node: str
    disruption: str
    """Reason of its `DisruptionTarget` condition: `EvictionByEvictionAPI`, ..."""
    unschedulable: str
    """The scheduler's words where it found no node."""
    waiting: str
    """Why a container waits: `ImagePullBackOff`, `CreateContainerConfigError`, ..."""
    waiting_message: str
    terminated: str
    """Why a container ended: `OOMKilled`, `Error`, `Completed`."""
    exit_code: int | None
    ended_at: datetime | None

    @property
    def dead(self) -> bool:
        """Whether it runs nothing any more."""
        return self.phase in DEAD_PHASES


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The Job of a run's attempt."""

    name: str
    namespace: str
    created_at: datetime | None
    suspended: bool
    failed: str
    """Reason of its `Failed` or `FailureTarget` condition: `DeadlineExceeded`, ..."""
    failed_message: str
    finished_at: datetime | None
    """When it failed or completed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterEvent:
    """One event of the cluster."""

    reason: str
    message: str
    kind: str
    object: str
    """Name of what it is about."""
    at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What Kubernetes tells of the current attempt of a run."""

    pods: tuple[Pod, ...] = ()
    """The oldest first."""
    job: Job | None = None
    events: tuple[ClusterEvent, ...] = ()
    gone: bool = False
    """Pods and Jobs were both read, and there are none."""

    @property
    def pod(self) -> Pod | None:
        """The newest pod."""
        return self.pods[-1] if self.pods else None

    def may_tell(self, event: ClusterEvent) -> bool:
        """Whether an event may explain the newest pod: it is not about another one, or its node.

        Pods that Kubernetes retries have the same Job, so a retried pod's end is no later one's.
        """
        pod = self.pod
        if pod is None or not event.object:
            return True
        about = {"Node": pod.node or event.object, "Pod": pod.name}
        if event.kind not in about:
            return True
        late = event.at and pod.ended_at and event.at > pod.ended_at + REPORTED
        return event.object == about[event.kind] and not late

    @property
    def over(self) -> bool:
        """Whether Kubernetes is done with the attempt: nothing runs, nothing will be started."""
        alive = any(not pod.dead for pod in self.pods)
        if self.job is not None:
            return self.job.finished_at is not None and not alive
        return bool(self.pods) and not alive

    @property
    def over_at(self) -> datetime | None:
        """When the last of it ended, where that is known."""
        ends = [pod.ended_at for pod in self.pods if pod.ended_at]
        if not ends and self.job and self.job.finished_at:
            ends = [self.job.finished_at]
        return max(ends, default=None)


Member = TypeVar("Member", Pod, Job)


def cluster_of(kubernetes: object, job_name: str, attempt_at: datetime | None) -> Cluster | None:
    """The part of a bundle's `kubernetes` that belongs to the attempt; None where not read."""
    if not kubernetes or not isinstance(kubernetes, dict):
        return None
    earliest = attempt_at - SLACK if attempt_at else None
    pods = [_pod(item) for item in objects(kubernetes.get("pods"), MOST) or ()]
    pods = [pod for pod in _in_order(pods) if _since(pod.created_at, earliest)]
    jobs = _in_order(_job(item) for item in objects(kubernetes.get("jobs"), MOST) or ())
    named = [job for job in jobs if job.name == job_name]
    recent = [job for job in jobs if _since(job.created_at, earliest)]
    job = next(reversed(named or recent), None)
    events = (_event(item) for item in objects(kubernetes.get("events"), MOST) or ())
    return Cluster(
        pods=tuple(pods),
        job=job,
        events=tuple(event for event in events if _belongs(event, job, earliest)),
        gone=not pods and not jobs and _are_lists(kubernetes, "pods", "jobs"),
    )


def _are_lists(kubernetes: Json, *kinds: str) -> bool:
    return all(isinstance(kubernetes.get(kind), list | tuple) for kind in kinds)


def _pod(raw: Json) -> Pod:
    metadata, status = mapping(raw.get("metadata")), mapping(raw.get("status"))
    conditions = objects(status.get("conditions"), 50) or []
    scheduled = _condition(conditions, "PodScheduled", "False")
    waiting, terminated = _container(status, "waiting"), _container(status, "terminated")
    return Pod(
        name=name(metadata.get("name")),
        namespace=name(metadata.get("namespace")),
        created_at=moment(metadata.get("creationTimestamp")),
        phase=name(status.get("phase")),
        reason=name(status.get("reason")),
        message=text(status.get("message")),
        node=name(mapping(raw.get("spec")).get("nodeName")),
        disruption=name(_condition(conditions, "DisruptionTarget", "True").get("reason")),
        unschedulable=text(scheduled.get("message")) or name(scheduled.get("reason")),
        waiting=name(waiting.get("reason")),
        waiting_message=text(waiting.get("message")),
        terminated=name(terminated.get("reason")),
        exit_code=whole(terminated.get("exitCode")),
        ended_at=moment(terminated.get("finishedAt")),
    )


def _job(raw: Json) -> Job:
    metadata, status = mapping(raw.get("metadata")), mapping(raw.get("status"))
    conditions = objects(status.get("conditions"), 50) or []
    failed = _condition(conditions, "Failed", "True")
    target = failed or _condition(conditions, "FailureTarget", "True")
    complete = _condition(conditions, "Complete", "True")
    suspended = mapping(raw.get("spec")).get("suspend") is True
    return Job(
        name=name(metadata.get("name")),
        namespace=name(metadata.get("namespace")),
        created_at=moment(metadata.get("creationTimestamp")),
        suspended=suspended or bool(_condition(conditions, "Suspended", "True")),
        failed=name(target.get("reason")),
        failed_message=text(target.get("message")),
        finished_at=moment((failed or complete).get("lastTransitionTime")),
    )


def _event(raw: Json) -> ClusterEvent:
    about = mapping(raw.get("involvedObject") or raw.get("regarding"))
    kind, _, short = name(raw.get("object")).rpartition("/")  # `Pod/name`, as kubectl prints it
    times = (raw.get(key) for key in ("lastTimestamp", "eventTime", "firstTimestamp"))
    return ClusterEvent(
        reason=name(raw.get("reason")),
        message=text(raw.get("message") or raw.get("note")),
        kind=name(about.get("kind")) or kind.capitalize(),
        object=name(about.get("name")) or short,
        at=next((at for at in map(moment, times) if at), None),
    )


def _condition(conditions: list[Json], kind: str, status: str) -> Json:
    found = (c for c in conditions if c.get("type") == kind and c.get("status") == status)
    return next(found, {})


def _container(status: Json, what: str) -> Json:
    """The first container in a state, or that was in it last; init containers come first."""
    containers = [
        *(objects(status.get("initContainerStatuses"), 50) or ()),
        *(objects(status.get("containerStatuses"), 50) or ()),
    ]
    for when in ("state", "lastState"):
        found = [mapping(mapping(c.get(when)).get(what)) for c in containers]
        found = [item for item in found if item and item.get("exitCode") != 0] or found
        if telling := next((item for item in found if item), None):
            return telling
    return {}


def _in_order(items: Iterable[Member]) -> list[Member]:
    return sorted(items, key=lambda item: item.created_at or BEGINNING)


def _since(at: datetime | None, earliest: datetime | None) -> bool:
    return at is None or earliest is None or at >= earliest


def _belongs(event: ClusterEvent, job: Job | None, earliest: datetime | None) -> bool:
    """Not about another attempt: a pod's name begins with that of its Job."""
    if not _since(event.at, earliest):
        return False
    return job is None or event.kind not in {"Pod", "Job"} or event.object.startswith(job.name)
