"""Causes that a known error signature tells, in crashed and failed runs alike."""

from __future__ import annotations

from prefect_crash_monitor.explain.causes.cause import (
    CONFIG,
    DEPLOYMENT,
    LOGS,
    POOL,
    POOL_LIMIT,
    QUEUE_LIMIT,
    WORKSPACES,
    Cause,
)

CAUSES = {
    "pydantic-mockvalser": Cause(
        title="Pydantic models were not ready (MockValSer)",
        meaning="prefect and pydantic of versions that do not fit met in one environment.",
        remediation=(
            "Upgrade prefect in the job's image; 3.0 to 3.4.1 have the fault.",
            "Install the same versions of prefect and pydantic in worker and job, and pin them.",
        ),
        commands=(DEPLOYMENT, LOGS),
    ),
    "database-connections-exhausted": Cause(
        title="The database has no connections left",
        meaning=(
            "PostgreSQL or a connection pool refused one more connection. The traceback tells "
            "whether it is Prefect's database or one of the flow's own."
        ),
        remediation=(
            "Keep processes x (pool_size + max_overflow) below max_connections, less what is "
            "reserved.",
            "Fewer server replicas, smaller pools, more max_connections, or PgBouncer.",
            "Start fewer runs at once.",
        ),
        commands=(POOL_LIMIT, QUEUE_LIMIT, LOGS),
    ),
    "api-rate-limited-429": Cause(
        title="Prefect's API limits the rate",
        meaning="The API answered 429 until the client gave up.",
        remediation=(
            "Start fewer runs at once, and poll less often in run_deployment.",
            "Raise PREFECT_CLIENT_MAX_RETRIES.",
        ),
        commands=(POOL_LIMIT, QUEUE_LIMIT, LOGS),
    ),
    "api-auth-or-workspace": Cause(
        title="Prefect's API refuses the key",
        meaning="The API answered 401 or 403: the key is wrong, expired, or of another workspace.",
        remediation=("Correct PREFECT_API_URL and PREFECT_API_KEY in the job's environment.",),
        commands=(CONFIG, WORKSPACES, POOL),
    ),
    "api-server-error-5xx": Cause(
        title="Prefect's API failed (5xx)",
        meaning="The API answered with a server error, which clients do not retry by default.",
        remediation=(
            "Find the error in the server's log; an exhausted database shows as a plain 500.",
            "Set PREFECT_CLIENT_RETRY_EXTRA_CODES=500,504 for workers; in jobs only together with "
            "idempotency keys, since POSTs are repeated too.",
        ),
        commands=(CONFIG, LOGS),
    ),
}
