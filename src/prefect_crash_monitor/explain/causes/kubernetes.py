"""Causes that lie in Kubernetes or another container service."""

from __future__ import annotations

from prefect_crash_monitor.explain.causes.cause import (
    DEPLOYMENT,
    JOB,
    LOGS,
    NODES,
    POD,
    POD_EVENTS,
    POD_LOGS,
    PODS,
    POOL,
    POOL_LIMIT,
    RETRY,
    Cause,
)

CAUSES = {
    "k8s-oom-killed": Cause(
        title="Out of memory: Kubernetes killed the container",
        meaning="The container used more memory than its limit allows.",
        remediation=(
            "Raise memory_limit in the job variables, or limits.memory in the pool's template.",
            "Work in smaller pieces.",
        ),
        commands=(POD, DEPLOYMENT, RETRY),
    ),
    "k8s-image-pull-error": Cause(
        title="The image cannot be pulled",
        meaning="Kubernetes cannot pull the run's image, so its pod never starts.",
        remediation=(
            "Check the image's name and tag, and that the registry answers.",
            "Check imagePullSecrets for a private registry.",
        ),
        commands=(POD, DEPLOYMENT, POOL),
    ),
    "k8s-evicted": Cause(
        title="The pod was evicted",
        meaning="The cluster moved or removed the pod: memory pressure, scale-down, preemption.",
        remediation=(
            'Annotate the pod with cluster-autoscaler.kubernetes.io/safe-to-evict: "false" and '
            'karpenter.sh/do-not-disrupt: "true".',
            "Request as much memory as the limit, so that the pod is not the first to go.",
            "Give it a PriorityClass.",
        ),
        commands=(POD, POD_EVENTS, NODES, RETRY),
    ),
    "k8s-unschedulable": Cause(
        title="No node takes the pod",
        meaning="The scheduler finds no node with what the pod asks for, so it never starts.",
        remediation=(
            "Ask for less, or allow the node group to grow.",
            "Check node selectors, affinity, taints and tolerations.",
        ),
        commands=(POD, NODES, POOL_LIMIT),
    ),
    "k8s-crash-loop": Cause(
        title="The container crashes again and again",
        meaning="The container ends as soon as it starts, and Kubernetes restarts it.",
        remediation=("Read the container's own output.",),
        commands=(POD_LOGS, POD),
    ),
    "k8s-pod-never-started-legacy": Cause(
        title="The pod did not start in time",
        meaning="An old worker gave up waiting for the pod; it may start after all.",
        remediation=(
            "Upgrade prefect-kubernetes to 0.6 or later, which does not give up.",
            "Until then, raise pod_watch_timeout_seconds.",
        ),
        commands=(POD, PODS, NODES),
    ),
    "k8s-job-deleted": Cause(
        title="The Job was deleted",
        meaning="Someone or something deleted the run's Job before it was done.",
        remediation=(
            "Find out who: a person, a cleanup job, Kueue, a node drain. The time to live of "
            "finished Jobs does not do it.",
        ),
        commands=(PODS, NODES, RETRY),
    ),
    "k8s-container-failed-before-start": Cause(
        title="The container failed before the flow started",
        meaning="The container ended before the flow began.",
        remediation=(
            "Read the container's output, which Prefect forwards to the run's log.",
            "Check image, command, environment and API URL.",
        ),
        commands=(LOGS, POD_LOGS, POD),
    ),
    "k8s-pod-lost-while-running": Cause(
        title="The pod was lost while the flow ran",
        meaning=(
            "The pod ended or vanished while the flow ran, and Prefect does not know why: an "
            "eviction, a lost node, a kill."
        ),
        remediation=("Ask Kubernetes soon: its events are kept for an hour by default.",),
        commands=(POD, POD_EVENTS, PODS, NODES, RETRY),
    ),
    "k8s-container-config-error": Cause(
        title="The container's configuration is wrong",
        meaning="Kubernetes cannot make the container: a secret, config map or command is missing.",
        remediation=("Create what is missing, or correct its name in the pool's template.",),
        commands=(POD, POOL),
    ),
    "k8s-volume-mount-failed": Cause(
        title="A volume cannot be mounted",
        meaning="The pod waits for a volume that Kubernetes cannot mount.",
        remediation=("Check the volume, its claim, and the secret or config map behind it.",),
        commands=(POD, POD_EVENTS, POOL),
    ),
    "k8s-deadline-exceeded": Cause(
        title="The Job ran longer than it may",
        meaning="The Job's activeDeadlineSeconds ran out, and Kubernetes ended its pods.",
        remediation=(
            "Raise activeDeadlineSeconds, or use the flow's own timeout instead.",
            "With a backoffLimit above 0 such a run stays RUNNING for ever: keep it at 0.",
        ),
        commands=(JOB, POOL, RETRY),
    ),
    "k8s-quota-exceeded": Cause(
        title="A quota keeps the pod from being made",
        meaning="The namespace's quota or limits refuse the pod, so nothing starts.",
        remediation=("Raise the quota, ask for less, or run fewer at once.",),
        commands=(JOB, POOL_LIMIT),
    ),
    "k8s-kueue-suspended": Cause(
        title="The Job waits for its queue",
        meaning="The Job is suspended: its queue (Kueue) has not admitted it.",
        remediation=("Look at the queue's quota and at the workload's conditions.",),
        commands=(JOB,),
    ),
    "k8s-node-lost": Cause(
        title="The node was lost",
        meaning="The node under the pod stopped to answer, and the pod was given up.",
        remediation=(
            "Look at the node, and at the cloud's notices around that time.",
            "Spread long runs over nodes that are not reclaimed.",
        ),
        commands=(NODES, POD, RETRY),
    ),
    "k8s-node-shutdown": Cause(
        title="The node was shut down",
        meaning="The node under the pod was shut down: spot reclaim, maintenance, scale-down.",
        remediation=(
            "Keep runs that cannot be repeated off spot nodes.",
            "Make terminationGracePeriodSeconds long enough for a reschedule (30 s or more).",
        ),
        commands=(NODES, POD, RETRY),
    ),
    "ecs-task-failed": Cause(
        title="The ECS task failed",
        meaning="The ECS task did not start, or one of its containers ended with an error.",
        remediation=("Check capacity, IAM roles and image; the observer's log line says which.",),
        commands=(LOGS, POOL),
    ),
}
