"""The names in a run's evidence, for people and for commands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from prefect_crash_monitor.explain.evidence.cluster import Cluster
from prefect_crash_monitor.explain.evidence.evidence import Event, Names
from prefect_crash_monitor.explain.evidence.lenient_json import Json, labels, name, objects

WORKER = "prefect.worker."
POD = "prefect.kubernetes.pod."


def names_of(run: Json, events: Iterable[Json]) -> Names:
    """Names from the run itself, and from what its events say they are related to."""
    own = labels(run.get("labels"))
    roles = _roles(events)
    flow, deployment = _named(roles, "flow"), _named(roles, "deployment")
    namespace, _, job = name(run.get("infrastructure_pid")).rpartition(":")
    return Names(
        run=name(run.get("id")),
        run_name=name(run.get("name")),
        flow=flow,
        deployment=f"{flow}/{deployment}" if flow and deployment else "",
        pool=name(run.get("work_pool_name")) or _named(roles, "work-pool"),
        queue=name(run.get("work_queue_name")) or _named(roles, "work-queue"),
        worker=_named(roles, "worker") or own.get("prefect.worker.name", ""),
        worker_type=roles.get("worker", {}).get("prefect.worker-type")
        or own.get("prefect.worker.type")
        or roles.get("work-pool", {}).get("prefect.work-pool.type", ""),
        namespace=namespace,
        job=job if namespace else "",
    )


def _roles(events: Iterable[Json]) -> Mapping[str, Mapping[str, str]]:
    """What the events are related to, by role; a worker also sends events of its own."""
    roles: dict[str, Mapping[str, str]] = {}
    for event in events:
        for related in objects(event.get("related"), 100) or ():
            about = labels(related)
            roles.setdefault(about.get("prefect.resource.role", ""), about)
        about = labels(event.get("resource"))
        if about.get("prefect.resource.id", "").startswith(WORKER):
            roles["worker"] = about
    return roles


def _named(roles: Mapping[str, Mapping[str, str]], role: str) -> str:
    return roles.get(role, {}).get("prefect.resource.name", "")


def with_pod(names: Names, cluster: Cluster | None, events: Iterable[Event] | None) -> Names:
    """The newest pod of the attempt, by Kubernetes itself or else by Prefect's pod events."""
    if cluster and cluster.pod:
        pod = cluster.pod
        return replace(names, pod=pod.name, namespace=pod.namespace, node=pod.node)
    about = [event.labels for event in events or () if event.name.startswith(POD)]
    if not about:
        return names
    return replace(
        names,
        pod=about[-1].get("prefect.resource.name", ""),
        namespace=about[-1].get("kubernetes.namespace", "") or names.namespace,
    )
