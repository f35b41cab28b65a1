"""A cause in words: what it is called, what it means, what to do, which commands help."""

from __future__ import annotations

from dataclasses import dataclass

INSPECT = "prefect flow-run inspect {run}"
LOGS = "prefect flow-run logs {run}"
RETRY = "prefect flow-run retry {run}"
DEPLOYMENT = "prefect deployment inspect {deployment}"
POOL = "prefect work-pool inspect {pool}"
POOL_LIMIT = "prefect work-pool set-concurrency-limit {pool} 5"
QUEUE_LIMIT = "prefect work-queue set-concurrency-limit {queue} 5 --pool {pool}"
WORKER = "prefect worker start --pool {pool}"
CONFIG = "prefect config view"
WORKSPACES = "prefect cloud workspace ls"
POD = "kubectl describe pod {pod} --namespace {namespace}"
POD_LOGS = "kubectl logs {pod} --namespace {namespace}"
POD_EVENTS = "kubectl get events --namespace {namespace} --field-selector involvedObject.name={pod}"
PODS = "kubectl get pods --namespace {namespace} --selector prefect.io/flow-run-id={run}"
JOB = "kubectl describe job {job} --namespace {namespace}"
NODES = "kubectl get nodes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What people are told of a cause.

    Texts may name what was found (`{column}`, `{module}`, `{code}`) and commands what is known of
    the run (`{run}`, `{pool}`): a text or command with a name that is not known is left out.
    """

    title: str
    meaning: str
    details: tuple[str, ...] = ()
    """Said in addition where the evidence names what they need."""
    remediation: tuple[str, ...]
    commands: tuple[str, ...]
