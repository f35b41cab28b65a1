"""Causes of runs that wait and cannot start, or that have ended without saying so."""

from __future__ import annotations

from prefect_crash_monitor.explain.causes.cause import (
    DEPLOYMENT,
    INSPECT,
    LOGS,
    PODS,
    POOL,
    POOL_LIMIT,
    QUEUE_LIMIT,
    WORKER,
    Cause,
)

CAUSES = {
    "ghost-running": Cause(
        title="Ghost: ended, still called running",
        meaning=(
            "The run's process is gone and nobody told Prefect: a worker that was stopped takes "
            "its runs with it, an outage at the end of a run hides the end."
        ),
        remediation=(
            "Mark it as crashed (`crash-monitor ghosts --mark`), so that its concurrency slot and "
            "its automations are released.",
            "Stop workers only when they run nothing: pause the pool, wait, stop.",
            "Have an automation mark runs whose heartbeats stop for three periods.",
        ),
        commands=(INSPECT, LOGS, POOL),
    ),
    "ghost-pending": Cause(
        title="Ghost: submitted, never started",
        meaning=(
            "The run was handed to a worker and nothing came of it; most likely its worker is gone."
        ),
        remediation=(
            "Mark it as crashed, and start it again.",
            "Look at the worker's own output around the time of submission.",
        ),
        commands=(INSPECT, POOL, WORKER),
    ),
    "unobservable": Cause(
        title="Silent, and never sent a heartbeat",
        meaning=(
            "The run has been silent for long and never sent a heartbeat, so nobody can tell "
            "whether it lives: an old client, heartbeats switched off, or events that do not get "
            "through to the server."
        ),
        remediation=(
            "Look for its process or container.",
            "Let the websocket /api/events/in through proxies; clients since 3.6.22 send "
            "heartbeats over it.",
        ),
        commands=(INSPECT, LOGS, POOL),
    ),
    "exited-without-running": Cause(
        title="Ended without ever starting the flow",
        meaning=(
            "The worker started a process, which ended with code 0 and never ran the flow; Prefect "
            "takes that for success and leaves the run pending."
        ),
        remediation=(
            "Correct the command in the job variables: it must run `prefect flow-run execute`.",
        ),
        commands=(DEPLOYMENT, POOL, INSPECT),
    ),
    "late-no-worker": Cause(
        title="Late: no worker takes it",
        meaning=(
            "The run is due and nobody takes it: no worker is online for its pool and queue, the "
            "pool or deployment is paused, or a limit is reached."
        ),
        remediation=(
            "Start a worker for the pool, and see that it polls the run's queue.",
            "Check that pool, queue and deployment are not paused and have free slots.",
        ),
        commands=(WORKER, POOL, DEPLOYMENT),
    ),
    "awaiting-concurrency-slot": Cause(
        title="Waits for a concurrency slot",
        meaning="The deployment's concurrency limit is reached; a free slot lets it start.",
        remediation=(
            "Nothing, if that is what the limit is for.",
            "A slot that a ghost holds is free only when the ghost is marked or its lease ends.",
        ),
        commands=(DEPLOYMENT, POOL_LIMIT, QUEUE_LIMIT),
    ),
    "unknown": Cause(
        title="Cause unknown",
        meaning="Something is wrong with this run, and no rule knows what.",
        remediation=(
            "Read the run's logs, and the output of its worker or container.",
            "Capture it with `crash-monitor capture` and report it, so that a rule can be made.",
        ),
        commands=(LOGS, INSPECT, POOL, PODS),
    ),
}
