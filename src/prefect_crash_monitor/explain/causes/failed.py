"""Causes of runs that failed by their own code or data, or under a child."""

from __future__ import annotations

from prefect_crash_monitor.explain.causes.cause import (
    CONFIG,
    DEPLOYMENT,
    INSPECT,
    LOGS,
    POOL,
    POOL_LIMIT,
    QUEUE_LIMIT,
    RETRY,
    Cause,
)

CAUSES = {
    "child-crash-propagated": Cause(
        title="A child run crashed",
        meaning=(
            "The run failed because a run that it started crashed; the child's crash is the "
            "incident, this is its echo."
        ),
        remediation=("Explain the child run; its message is in this one's.",),
        commands=(INSPECT, LOGS),
    ),
    "submission-failed-as-failed": Cause(
        title="The worker could not start the run",
        meaning=(
            "An old agent or worker failed to submit the run and called it Failed; today that is "
            "a crash. The count reads only what Prefect calls CRASHED, so it is not among it."
        ),
        remediation=(
            "Upgrade the worker: agents up to 2.10.9 do this.",
            "Check its job variables.",
        ),
        commands=(DEPLOYMENT, POOL),
    ),
    "data-column-missing": Cause(
        title="A data column is missing",
        meaning="The data lacks a column that the flow reads.",
        details=("The column is {column}.",),
        remediation=(
            "Compare the expected columns with the file's in a first task, and fail with a clear "
            "message.",
            "Find out which change upstream took the column away.",
        ),
        commands=(LOGS,),
    ),
    "data-file-missing": Cause(
        title="A file is missing",
        meaning="The flow opened a file that is not there.",
        details=("The file is {path}.",),
        remediation=(
            "Check that the file was delivered, and that the flow looks in the right place where "
            "it runs.",
        ),
        commands=(LOGS,),
    ),
    "module-missing-at-runtime": Cause(
        title="A module is missing",
        meaning="The flow imported, while it ran, what is not installed there.",
        details=("The module is {module}.",),
        remediation=("Install it in the image or environment of the job.",),
        commands=(LOGS, DEPLOYMENT),
    ),
    "exception-group": Cause(
        title="Errors in a TaskGroup of the flow",
        meaning="Tasks of a TaskGroup in the flow's own code raised; Prefect did not crash.",
        details=("One of them raised {inner}.",),
        remediation=("The sub-exceptions are in the log line 'Encountered exception'.",),
        commands=(LOGS,),
    ),
    "httpx-timeout-in-code": Cause(
        title="A request timed out or lost its connection",
        meaning=(
            "A request that the flow made got no answer. The traceback tells whether it went to "
            "Prefect's API or elsewhere."
        ),
        remediation=(
            "Retry such requests in the task that makes them.",
            "With many children, start them in batches and poll less often.",
        ),
        commands=(LOGS, POOL_LIMIT, QUEUE_LIMIT, CONFIG),
    ),
    "out-of-memory-python": Cause(
        title="Python ran out of memory",
        meaning="An allocation failed inside Python, before the system killed the process.",
        remediation=("Work in smaller pieces, or raise the memory limit.",),
        commands=(LOGS, POOL_LIMIT),
    ),
    "timed-out": Cause(
        title="The flow took longer than its timeout",
        meaning="The flow, or a task that it needed, ran longer than its timeout_seconds allows.",
        remediation=("Find out what takes longer than before, or raise the timeout.",),
        commands=(LOGS,),
    ),
    "user-exception": Cause(
        title="The flow's code raised an exception",
        meaning="The flow failed by its own code or data; no infrastructure is involved.",
        details=("The exception is {exception}.",),
        remediation=("The traceback in the run's log names the place.",),
        commands=(LOGS, RETRY),
    ),
}
