"""Documented cases of Kubernetes, and of runs that wait, run, or have ended without saying so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.cases.bundles import (
    Bundle,
    at,
    bundle,
    event,
    job,
    kubernetes,
    line,
    pod,
    pod_event,
)
from tests.cases.documented import NEVER, NO_PODS, RAN, RUNNING, Case, crashed

PENDING = ("SCHEDULED", "PENDING")
CANCELLING = (*RUNNING, "CANCELLING")
OBSERVER = "flow_runs.observer"
EVICTED = ("DisruptionTarget", "True", "EvictionByEvictionAPI")
TAINTED = ("DisruptionTarget", "True", "DeletionByTaintManager")
NO_NODE = ("PodScheduled", "False", "Unschedulable")

ENDS: dict[str, list[Bundle]] = {
    "k8s-deadline-exceeded": [{"kubernetes": kubernetes(jobs=(job("DeadlineExceeded"),))}],
    "k8s-oom-killed": [
        {"events": [pod_event("evicted", diagnosis="OOMKilled", reason="OOMKilled")]},
        {"events": [pod_event("evicted", reason="OOMKilled")]},
        {"kubernetes": kubernetes(pod(terminated="OOMKilled", code=137))},
    ],
    "k8s-node-shutdown": [{"kubernetes": kubernetes(pod(reason="Terminated"))}],
    "k8s-node-lost": [
        {"kubernetes": kubernetes(pod(condition=TAINTED))},
        {"kubernetes": kubernetes(pod(), NodeNotReady="Node is not ready")},
    ],
    "k8s-evicted": [
        {"events": [pod_event("failed", diagnosis="Evicted")]},
        {"kubernetes": kubernetes(pod(condition=EVICTED))},
        {"kubernetes": kubernetes(pod(), ScaleDown="deleting pod for node scale down")},
    ],
}
"""Signs of an end, by the cause that each of them must be taken for."""

KEPT_FROM_STARTING: dict[str, list[Bundle]] = {
    "k8s-container-config-error": [
        {"kubernetes": kubernetes(pod("Pending", waiting="CreateContainerConfigError"))}
    ],
    "k8s-volume-mount-failed": [
        {"kubernetes": kubernetes(pod("Pending", waiting="ContainerCreating"), FailedMount="no")}
    ],
    "k8s-quota-exceeded": [
        {"kubernetes": kubernetes(jobs=(job(),), FailedCreate="forbidden: exceeded quota: x")}
    ],
    "k8s-kueue-suspended": [{"kubernetes": kubernetes(jobs=(job(suspend=True),))}],
    "k8s-image-pull-error": [
        {"events": [pod_event("pending", diagnosis="ImagePullError")]},
        {"logs": [line("Image pull failed for container 'x': so", logger=OBSERVER)]},
        {"kubernetes": kubernetes(pod("Pending", waiting="InvalidImageName"))},
    ],
    "k8s-unschedulable": [
        {"events": [pod_event("pending", diagnosis="Unschedulable.Taint")]},
        {"logs": [line("Pod is unschedulable: so", level=30, logger=OBSERVER)]},
        {"kubernetes": kubernetes(pod("Pending", waiting="", condition=NO_NODE))},
    ],
    "k8s-crash-loop": [
        {"events": [pod_event("pending", diagnosis="CrashLoopBackOff")]},
        {"logs": [line("Container 'x' is crash-looping: so", logger=OBSERVER)]},
    ],
}
"""Signs of what keeps a pod from starting."""

SIGNS_SOURCE = "prefect_kubernetes/diagnostics.py:237-428, and Kubernetes' own reasons"


def _signs() -> Iterator[Case]:
    """Each sign in each place where it may stand."""
    for cause, signs in ENDS.items():
        for sign in signs:
            yield crashed(cause, NO_PODS, SIGNS_SOURCE, *RAN, worker="kubernetes", **sign)
            yield _case("ghost", cause, *RUNNING, ago=30, **sign)
            yield _case("ghost", cause, *CANCELLING, ago=30, **sign)
            yield _case("ghost", cause, *PENDING, ago=30, name="InfrastructurePending", **sign)
    for cause, signs in KEPT_FROM_STARTING.items():
        for sign in signs:
            yield crashed(cause, NO_PODS, SIGNS_SOURCE, *NEVER, worker="kubernetes", **sign)
            yield _case("stuck", cause, *PENDING, ago=30, **sign)
            yield _case("stuck", cause, *PENDING, ago=2, **_moved(sign, 1))
            yield _case("healthy", None, *PENDING, ago=0.5, **_moved(sign, 0.4))


def _moved(sign: Bundle, ago: float) -> Bundle:
    """The sign at another time."""
    events = [{**one, "occurred": at(ago)} for one in sign.get("events", [])]
    logs = [{**one, "timestamp": at(ago)} for one in sign.get("logs", [])]
    return {**sign, "events": events, "logs": logs}


def _case(
    verdict: str,
    cause: str | None,
    *course: str,
    worker: str = "kubernetes",
    source: str = SIGNS_SOURCE,
    **parts: Any,
) -> Case:
    made = bundle(*course, worker=worker, **parts)
    return Case(verdict=verdict, cause=cause, bundle=made, source=source)


POD_LOST = "facts: 'No active or succeeded pods' says no reason"
CLUSTER = (
    *_signs(),
    crashed(
        "k8s-job-deleted", "Kubernetes job was deleted", "prefect_kubernetes/observer.py:1177", *RAN
    ),
    crashed(
        "k8s-pod-never-started-legacy",
        "Flow run infrastructure exited with non-zero status code -1.",
        "PrefectHQ/prefect#7854",
        logs=[
            line("Job 'x': Pod has status 'Pending'.", level=20, logger="flow_runs.worker"),
            line("Job 'x': Pod never started.", logger="flow_runs.worker"),
        ],
    ),
    crashed(
        "k8s-pod-never-started-legacy",
        "Flow run infrastructure exited with non-zero status code -1.",
        "PrefectHQ/prefect#7854",
    ),
    crashed("k8s-container-failed-before-start", NO_PODS, POD_LOST, worker="kubernetes"),
    *(
        crashed(
            "k8s-container-failed-before-start",
            NO_PODS,
            "it waited for a node or its image, got it, and then failed of itself",
            worker="kubernetes",
            **{"events": [pod_event("pending", diagnosis=diagnosis)], **started},
        )
        for diagnosis in ("Unschedulable.InsufficientResources", "ImagePullError")
        for started in (
            {"kubernetes": kubernetes(pod(code=2))},
            {"logs": [line("Container logs from container 'x' in pod 'y':", logger=OBSERVER)]},
            {
                "events": [
                    pod_event("pending", diagnosis=diagnosis, ago=20.1),
                    pod_event("evicted", reason="Error"),
                ]
            },
        )
    ),
    crashed("k8s-pod-lost-while-running", NO_PODS, POD_LOST, *RAN, worker="kubernetes"),
    Case(
        verdict="crashed",
        cause="k8s-pod-lost-while-running",
        bundle={"flow_run": {"state": {"type": "CRASHED", "message": NO_PODS}}},
        source="nothing but the state was read",
    ),
    crashed("killed-oom-or-sigkill", NO_PODS, POD_LOST, *RAN, kubernetes=kubernetes(pod(code=137))),
    crashed(
        "killed-oom-or-sigkill",
        NO_PODS,
        "the pod that was evicted is the one before: backoffLimit above 0",
        *RAN,
        kubernetes=kubernetes(pod(code=137), jobs=(job("BackoffLimitExceeded"),))
        | {"events": [{"reason": "Evicted", "message": "so", "object": "Pod/job-a-older"}]},
    ),
    crashed(
        "killed-oom-or-sigkill",
        NO_PODS,
        "an empty node is scaled down, long after the pod's end",
        *RAN,
        kubernetes=kubernetes(pod(code=137))
        | {
            "events": [
                {
                    "reason": "ScaleDown",
                    "message": "so",
                    "involvedObject": {"kind": "Node", "name": "node-a"},
                    "lastTimestamp": at(5),
                }
            ]
        },
    ),
    crashed(
        "killed-oom-or-sigkill",
        NO_PODS,
        "another node than the pod's",
        *RAN,
        kubernetes=kubernetes(pod(code=137))
        | {"events": [{"reason": "NodeNotReady", "message": "so", "object": "Node/node-b"}]},
    ),
    *(
        crashed(
            cause,
            message,
            "an end of its own; the node went later",
            *RAN,
            kubernetes=kubernetes(pod(), NodeNotReady="so", ScaleDown="so"),
        )
        for cause, message in (
            ("python-system-exit", "Execution was aborted by Python system exit call."),
            ("native-crash-segfault", "Process exited with status code: -11."),
            (
                "unexpected-base-exception",
                "Execution was interrupted by an unexpected exception: Odd: so",
            ),
        )
    ),
    crashed("sigterm-exit", NO_PODS, POD_LOST, *RAN, kubernetes=kubernetes(pod(code=143))),
    crashed("native-crash-segfault", NO_PODS, POD_LOST, *RAN, kubernetes=kubernetes(pod(code=139))),
    crashed(
        "ecs-task-failed",
        "The following containers stopped with a non-zero exit code: [{'name': 'x'}]",
        "prefect-aws observers/ecs.py",
        *RAN,
    ),
    crashed(
        "ecs-task-failed",
        "ECS task failed to start: x. The capacity provider could not place the task.",
        "prefect-aws observers/ecs.py",
    ),
)


def worker_event(name: str, **more: Any) -> Bundle:
    """An event of the process worker that has the run."""
    worker = "prefect.worker.process.w"
    return event(f"prefect.worker.{name}", resource=worker, **more) | {
        "resource": {"prefect.resource.id": worker, "prefect.worker-type": "process"}
    }


def stopped(submitted: float, ended: float) -> list[Bundle]:
    """A worker that took the run and was stopped, so many minutes before the capture."""
    return [
        worker_event("submitted-flow-run", ago=submitted),
        worker_event("stopped", ago=ended),
    ]


def heartbeats(*ago: float) -> list[Bundle]:
    """Heartbeats so many minutes before the capture."""
    return [event("prefect.flow-run.heartbeat", ago=minutes) for minutes in ago]


DONE = worker_event("executed-flow-run", ago=5)
GONE = kubernetes(pod("Failed", code=2, ended=10))


def _running(*course: str) -> Iterator[Case]:
    """A run that says it runs, or is being cancelled: by what it is known to be a ghost, or not."""
    process = {"worker": "process", "source": "ghost rules G1 to G6"}
    yield _case("ghost", "k8s-pod-lost-while-running", *course, ago=30, kubernetes=GONE)
    yield _case("ghost", "ghost-running", *course, ago=30, events=[pod_event("succeeded", ago=5)])
    yield _case("ghost", "ghost-running", *course, ago=30, events=[DONE], **process)
    just_done = [*heartbeats(6, 3), worker_event("executed-flow-run", ago=2)]
    yield _case("ghost", "ghost-running", *course, ago=7, events=just_done, **process)
    yield _case("ghost", "ghost-running", *course, ago=30, events=heartbeats(29), **process)
    yield _case("ghost", "ghost-running", *course, ago=7, events=stopped(7, 5), **process)
    beats = heartbeats(29, 26)
    yield _case(
        "ghost", "ghost-running", *course, ago=30, events=[*beats, *stopped(30, 25)], **process
    )
    yield _case("ghost", "ghost-running", *course, ago=30, events=beats, **process)
    alive = kubernetes(pod("Running"))
    yield _case("ghost", "ghost-running", *course, ago=30, events=beats, kubernetes=alive)
    yield _case("ghost", "unobservable", *course, ago=30, **process)
    yield _case("healthy", None, *course, ago=8, **process)
    yield _case("healthy", None, *course, ago=30, events=heartbeats(29, 26, 8), **process)
    yield _case("healthy", None, *course, ago=30, events=[*heartbeats(1), DONE], **process)


WAITING = (
    *_running(*RUNNING),
    *_running(*CANCELLING),
    _case("ghost", "ghost-running", *RUNNING, ago=5, events=heartbeats(5, 4.5, 4, 3.5, 2)),
    _case("healthy", None, *RUNNING, ago=5, events=heartbeats(5, 4.5, 4, 3.5, 1.2)),
    _case("healthy", None, *RUNNING, ago=30, logs=[line("at work", ago=2, level=20)]),
    _case(
        "healthy",
        None,
        *RUNNING,
        ago=30,
        events=[pod_event("succeeded", pod="old"), pod_event("running", pod="new", ago=2)],
        logs=[line("at work", ago=1, level=20)],
    ),
    _case("ghost", "k8s-container-failed-before-start", *PENDING, ago=30, kubernetes=GONE),
    _case("stuck", "exited-without-running", *PENDING, ago=6, events=[DONE], worker="process"),
    _case(
        "stuck",
        "exited-without-running",
        *PENDING,
        ago=3,
        events=[worker_event("executed-flow-run", ago=2)],
        worker="process",
    ),
    _case("stuck", "unknown", *PENDING, ago=6, name="InfrastructurePending"),
    _case("healthy", None, *PENDING, ago=4, name="InfrastructurePending"),
    _case(
        "stuck",
        "unknown",
        *PENDING,
        ago=30,
        logs=[line("Kubernetes job 'x' created in namespace 'y'", logger="flow_runs.worker")],
    ),
    _case(
        "ghost",
        "ghost-pending",
        *PENDING,
        ago=30,
        source="its Job was cleared away while no worker watched",
        logs=[line("Kubernetes job 'x' created in namespace 'y'", logger="flow_runs.worker")],
        kubernetes=kubernetes(),
    ),
    _case("ghost", "ghost-pending", *PENDING, ago=11, worker="process"),
    _case("healthy", None, *PENDING, ago=9, worker="process"),
    _case("stuck", "late-no-worker", "SCHEDULED", name="Late"),
    _case("stuck", "awaiting-concurrency-slot", "SCHEDULED", name="AwaitingConcurrencySlot"),
    _case(
        "stuck",
        "late-no-worker",
        "SCHEDULED",
        source="PrefectHQ/prefect#16977: the worker died of a 500 while it took the run",
        logs=[line("Worker 'w' submitting flow run 'x'", level=20, logger="flow_runs.worker")],
    ),
    _case("healthy", None, "SCHEDULED"),
    _case("healthy", None, *RUNNING, "SCHEDULED", name="AwaitingRetry", source="when, who knows"),
    _case("healthy", None, *RUNNING, "PAUSED"),
    _case("healthy", None, *RUNNING, "COMPLETED"),
    _case("healthy", None, *RUNNING, "CRASHED", "RUNNING", "COMPLETED"),
    _case("healthy", None, *RUNNING, "CANCELLED"),
    Case(
        verdict="stuck",
        cause="late-no-worker",
        bundle={
            "captured_at": at(0),
            "flow_run": {
                "state_type": "SCHEDULED",
                "state_name": "Scheduled",
                "state": {"state_details": {"scheduled_time": at(30)}},
            },
        },
        source="GET /flow_runs/{id}",
    ),
)
