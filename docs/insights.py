"""The troubles and error texts that the page of causes leads from, as people know them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prefect_crash_monitor.explain.explainer import LOOP

EXIT_1 = "Process exited with status code: 1. Process exited with a general error."
RAISED = "Flow run encountered an exception: "
ENDED = "Engine execution exited with unexpected exception\n"
GROUP = "unhandled errors in a TaskGroup (1 sub-exception)"
HTTP_500 = (
    "prefect.exceptions.PrefectHTTPStatusError: Server error '500 Internal Server Error' for url "
    "'https://prefect.example/api/deployments/1'"
)
MOCK = "TypeError: 'MockValSer' object cannot be converted to 'SchemaSerializer'"
SLOTS = (
    "asyncpg.exceptions.TooManyConnectionsError: remaining connection slots are reserved for "
    "non-replication superuser connections"
)
OLD_EXIT = "Flow run infrastructure exited with non-zero status code -1."


@dataclass(frozen=True, slots=True, kw_only=True)
class Insight:
    """A known trouble of Prefect in production."""

    title: str
    severity: str = "critical"
    beside: str = ""
    """How it shows beside a cause."""
    missing: str = ""
    """What of it this version does not look for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A run that shows a signature."""

    state: str
    message: str
    log: str = ""
    logger: str = "prefect.flow_runs"
    ran: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """An error text, and runs in which it is found."""

    text: str
    samples: tuple[Sample, ...]
    today: str
    """Whether Prefect 3.8 still says so, and where."""


INSIGHTS: Mapping[str, Insight] = {
    "I01": Insight(
        title="Pipeline task fails when required data column is missing from input file",
        beside="in the report beside the crashes: the run failed, it is not counted",
    ),
    "I02": Insight(
        title="Worker exits unexpectedly when API server returns HTTP 500",
        missing=(
            "one incident for all runs of a lost worker; whether workers retry a 500 "
            "(PREFECT_CLIENT_RETRY_EXTRA_CODES)"
        ),
    ),
    "I03": Insight(
        title="Missing pipeline metrics delay data quality issue detection",
        severity="warning",
        missing=(
            "deployments that have long not completed, or publish nothing; the causes are only "
            "the failures that are found late then"
        ),
    ),
    "I04": Insight(
        title="Alert flooding kills workers without concurrency limits",
        beside="the monitor's own automations deduplicate, so that they cannot flood",
        missing="floods of starts; other automations that have no for_each, cooldown or limit",
    ),
    "I05": Insight(
        title="Pydantic MockValSer serialization error prevents container flow startup",
    ),
    "I06": Insight(
        title="Ghost runs persist when runners die without server notification",
        beside=(
            "each cycle looks through all runs that have not ended; `crash-monitor ghosts --mark` "
            "sets those that are certain CRASHED"
        ),
    ),
    "I07": Insight(
        title="Kubernetes autoscaler evicts running Prefect jobs during scale-down",
        severity="warning",
        beside="a run that got over an eviction is healthy and recovered",
        missing="pod annotations that would prevent it",
    ),
    "I08": Insight(
        title="Incorrect API configuration causes flow run failures",
        missing="API URLs and keys in the templates of work pools and in deployments",
    ),
    "I09": Insight(
        title="Empty flow logs indicate infrastructure startup failure",
        beside="a crash that no rule fits",
    ),
    "I10": Insight(
        title="Kubernetes pods remain Pending and never start after 60 seconds",
        missing=(
            "such runs among all pending ones, but for those that may be ghosts: a run is judged "
            "when it is asked for"
        ),
    ),
    "I11": Insight(
        title="Zombie flow runs prevent terminal state due to infrastructure or network failures",
        beside="as for I06",
    ),
    "I12": Insight(
        title="Distressed flows fail permanently after 3 Lazarus retry cycles",
        beside=(
            f"any cause of a run that has crashed {LOOP} times carries it; a deployment whose "
            "runs crash again and again opens an incident by the policy's rules; the policy may "
            "allow a bounded retry in place of Lazarus"
        ),
    ),
    "I13": Insight(
        title="Flow run submission failure sets incorrect Failed state instead of Crashed",
        severity="warning",
        beside=(
            "those that agents up to 2.10.9 called Failed, in the report beside the crashes; the "
            "count is of states of type CRASHED"
        ),
    ),
    "I14": Insight(
        title=(
            "PostgreSQL connection pool exhaustion causes Prefect server errors and worker crashes"
        ),
        beside="the crashes of several deployments at that time are one incident, rule `outage`",
        missing=(
            "its traces where no text names it (workers lost together); whether the pools fit "
            "max_connections"
        ),
    ),
    "I15": Insight(
        title="Connection limit reached when orchestrating parallel sub-flows via run_deployment",
        missing="the fan-out itself: many children started together; limits on it",
    ),
    "I16": Insight(
        title="False crash notifications triggered during resource provisioning delay",
        severity="warning",
        beside=(
            "a run that got over its crash is recovered, and within the policy's `grace` its "
            "crash opens no incident"
        ),
    ),
}


SIGNATURES = (
    Signature(
        text="500 Internal Server Error",
        samples=(
            Sample(state="FAILED", message=RAISED + HTTP_500),
            Sample(state="CRASHED", message=EXIT_1, log=ENDED + HTTP_500),
        ),
        today=(
            "yes; clients do not retry it by default. A worker that gets one in reading a "
            "deployment ends, which only its own output tells. Of another API than Prefect's it is "
            "the flow's own exception"
        ),
    ),
    Signature(
        text="prefect.exceptions.PrefectHTTPStatusError",
        samples=tuple(
            Sample(state="FAILED", message=RAISED + HTTP_500.replace("Server error '500", status))
            for status in ("Client error '401", "Client error '429", "Server error '502")
        ),
        today="yes; the status in it decides",
    ),
    Signature(
        text="unhandled errors in a TaskGroup",
        samples=(
            Sample(state="CRASHED", message=f"Flow run could not start: {GROUP}", ran=False),
            Sample(state="FAILED", message=f"{RAISED}ExceptionGroup: {GROUP}"),
            Sample(
                state="CRASHED",
                message="Execution was interrupted by an unexpected exception: "
                f"BaseExceptionGroup: {GROUP}",
            ),
        ),
        today="yes; it means nothing by itself, the state around it and the log next to it decide",
    ),
    Signature(
        text="TypeError: 'MockValSer' object cannot be converted to 'SchemaSerializer'",
        samples=(
            Sample(state="FAILED", message=RAISED + MOCK),
            Sample(state="CRASHED", message=EXIT_1, log=MOCK, logger="prefect.flow_runs.observer"),
        ),
        today="seen with 3.0 to 3.4.1; comes back where prefect and pydantic do not fit",
    ),
    Signature(
        text="ExceptionGroup: unhandled errors in a TaskGroup",
        samples=(
            Sample(state="FAILED", message=f"{RAISED}ExceptionGroup: {GROUP}"),
            Sample(
                state="FAILED",
                message=f"{RAISED}ExceptionGroup: {GROUP}",
                log=f"Encountered exception during execution:\nExceptionGroup: {GROUP}\n"
                "prefect.exceptions.CrashedRun: Flow run crashed",
            ),
        ),
        today="yes, of a flow's own TaskGroup; a worker's single error is raised bare today",
    ),
    Signature(
        text="Pod never started",
        samples=(
            Sample(
                state="CRASHED",
                message=OLD_EXIT,
                log="Job 'otter': Pod never started.",
                logger="prefect.flow_runs.worker",
                ran=False,
            ),
        ),
        today="gone since prefect-kubernetes 0.6; such a run stays InfrastructurePending",
    ),
    Signature(
        text="Pod has status 'Pending'",
        samples=(
            Sample(
                state="CRASHED",
                message=OLD_EXIT,
                log="Job 'otter': Pod has status 'Pending'.",
                logger="prefect.flow_runs.worker",
                ran=False,
            ),
        ),
        today="gone since prefect-kubernetes 0.6; the event prefect.kubernetes.pod.pending tells",
    ),
    Signature(
        text="remaining connection slots are reserved for non-replication superuser connections",
        samples=(
            Sample(
                state="FAILED", message=RAISED + SLOTS.replace("non-rep", "roles with: non-rep")
            ),
            Sample(state="CRASHED", message=EXIT_1, log=ENDED + SLOTS),
        ),
        today=(
            "yes; PostgreSQL 16 and later say `roles with …`. Of Prefect's own database only the "
            "server's log tells: clients get a plain 500"
        ),
    ),
    Signature(
        text="asyncpg.exceptions.TooManyConnectionsError",
        samples=(Sample(state="FAILED", message=RAISED + SLOTS),),
        today="yes; in Prefect's server it becomes a plain 500",
    ),
    Signature(
        text="connection-limit reached error",
        samples=(
            Sample(state="FAILED", message=f"{RAISED}RuntimeError: connection-limit reached"),
        ),
        today="no wording of Prefect's, so with low confidence",
    ),
    Signature(
        text="httpx crash",
        samples=(
            Sample(state="FAILED", message=f"{RAISED}httpx.ReadTimeout: "),
            Sample(state="CRASHED", message=EXIT_1, log=ENDED + "httpx.ConnectError: refused"),
            Sample(
                state="CRASHED",
                message="Request to https://prefect.example/api/flow_runs/1 failed: ConnectError",
            ),
        ),
        today=(
            "yes, as httpx' exceptions, after the client's retries; `Request to … failed` only of "
            "old clients. An outage at the very end of a run leaves a ghost"
        ),
    ),
)
