"""Causes of crashes that the process, its runner or its worker reported."""

from __future__ import annotations

from prefect_crash_monitor.explain.causes.cause import (
    CONFIG,
    DEPLOYMENT,
    INSPECT,
    LOGS,
    POD,
    POOL,
    POOL_LIMIT,
    QUEUE_LIMIT,
    RETRY,
    WORKSPACES,
    Cause,
)

CAUSES = {
    "concurrency-lease-lost": Cause(
        title="Concurrency lease lost",
        meaning=(
            "The deployment's concurrency limit gives each run a lease, and the run could not "
            "renew it, so Prefect ended the run."
        ),
        remediation=(
            "Leases live in the server's memory by default and die with it: set "
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE to the filesystem storage (one server) or "
            "to prefect_redis (several).",
            "Look for a restart of the server, or for 404 and 410 on leases/*/renew in its log.",
            "For plain throttling, limit the work pool or queue instead: those limits have no "
            "lease.",
        ),
        commands=(POOL_LIMIT, DEPLOYMENT, RETRY),
    ),
    "zombie-marked": Cause(
        title="Marked as crashed: ended without saying so",
        meaning=(
            "The run's process ended without saying so; an automation that missed its heartbeats "
            "marked it, or `crash-monitor ghosts --mark`."
        ),
        remediation=(
            "Find out what ended the process at the time of its last heartbeat: a stopped or "
            "offline worker, a lost node, a kill.",
            "Let the automation wait at least three heartbeat periods (540 s by default): a slow "
            "run may be marked and still complete.",
        ),
        commands=(INSPECT, LOGS, RETRY),
    ),
    "pull-step-failed": Cause(
        title="A pull step failed",
        meaning="The deployment's pull steps did not get the flow's code, so it never started.",
        details=("The step that failed is {step}.",),
        remediation=(
            "Check repository, branch, credentials and network of the step as the worker sees "
            "them.",
            "The worker's own output has the step's error; it is not in the run's logs.",
        ),
        commands=(DEPLOYMENT, LOGS),
    ),
    "flow-code-import-error": Cause(
        title="The flow's code cannot be imported",
        meaning="The flow's code was found, but importing it failed, so the run never started.",
        details=("The module {module} is not installed where the flow runs.",),
        remediation=(
            "Install what is missing in the image or environment of the job, or fix the code.",
            "Import the entrypoint in CI, in the very image that the deployment uses.",
        ),
        commands=(LOGS, DEPLOYMENT),
    ),
    "flow-code-missing": Cause(
        title="The flow's code is not there",
        meaning="The deployment's entrypoint names a file or a flow that is not in its storage.",
        remediation=(
            "Compare the deployment's entrypoint and path with what the image or storage holds, "
            "and deploy again.",
        ),
        commands=(DEPLOYMENT, LOGS),
    ),
    "flow-load-other": Cause(
        title="Loading the flow failed",
        meaning="The flow's code raised while it was loaded, so the run never started.",
        remediation=("The traceback in the log line names the place.",),
        commands=(LOGS, DEPLOYMENT),
    ),
    "parameters-invalid": Cause(
        title="Missing or wrong parameters",
        meaning="The run's parameters do not fit the flow's signature.",
        remediation=(
            "Correct the parameters of the schedule or of the caller.",
            "Keep enforce_parameter_schema on, so that such a run is refused when it is made.",
        ),
        commands=(INSPECT, DEPLOYMENT),
    ),
    "submission-failed": Cause(
        title="The worker could not start the run",
        meaning=(
            "The worker failed to hand the run to its infrastructure: a working directory or a "
            "command that is not there, a job that the cluster refuses, a daemon that is down."
        ),
        remediation=(
            "Check the job variables of deployment and run against the work pool's template.",
            "Where the message only says TaskGroup, the true error is in the worker's own output.",
        ),
        commands=(LOGS, DEPLOYMENT, POOL),
    ),
    "killed-oom-or-sigkill": Cause(
        title="Killed from outside, most often for memory",
        meaning=(
            "The process got a SIGKILL, which it cannot see coming. Most often it used more "
            "memory than it may; a person, a stop timeout or a lost node do the same."
        ),
        details=("Its exit code is {code}.",),
        remediation=(
            "Raise the memory limit, or work in smaller pieces.",
            "Look for a kill by the kernel around that time (dmesg, kubectl describe pod).",
            "Limit how many runs share the machine.",
        ),
        commands=(LOGS, POD, POOL_LIMIT, QUEUE_LIMIT, RETRY),
    ),
    "sigterm-exit": Cause(
        title="Stopped by a SIGTERM",
        meaning="The infrastructure asked the process to end: scale-in, preemption, a stop.",
        details=("Its exit code is {code}.",),
        remediation=(
            "Set PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR=reschedule where runs may be moved.",
            "Give long runs machines that are not reclaimed.",
        ),
        commands=(LOGS, POD, RETRY),
    ),
    "native-crash-segfault": Cause(
        title="Native code crashed",
        meaning="A native library ended the process (segmentation fault, abort, illegal access).",
        details=("Its exit code is {code}.",),
        remediation=(
            "Set PYTHONFAULTHANDLER=1 to see where.",
            "Suspect native libraries of unfitting versions, and forks of threaded processes.",
        ),
        commands=(LOGS,),
    ),
    "container-command-error": Cause(
        title="The command cannot be run",
        meaning="The container's or process's command is not there or cannot be executed.",
        details=("Its exit code is {code}.",),
        remediation=("Correct the command override, the image's entrypoint, or PATH.",),
        commands=(DEPLOYMENT, POOL),
    ),
    "never-reached-api": Cause(
        title="The run never reached the Prefect API",
        meaning=(
            "The process ended before its first word to the API: its API URL or key is wrong as "
            "seen from there, or the deployment has no entrypoint."
        ),
        remediation=(
            "Compare PREFECT_API_URL and the key in the job's environment with the server's; in "
            "a container 127.0.0.1 is the container itself.",
            "Check that the deployment has an entrypoint.",
            "The worker's own output has the real error. The warning about workspace.json and "
            "on_crashed hooks is a consequence, not the cause.",
        ),
        commands=(CONFIG, WORKSPACES, DEPLOYMENT, POOL),
    ),
    "flow-code-storage-unavailable": Cause(
        title="The flow's storage is not there",
        meaning="The run began to fetch its code and ended: the storage cannot be read.",
        details=("It looked in {path}.",),
        remediation=(
            "Check that path or bucket exist and can be read where the flow runs.",
            "The worker's own output has the error.",
        ),
        commands=(DEPLOYMENT, LOGS),
    ),
    "exited-before-running-other": Cause(
        title="Ended before it ran",
        meaning="The process ended before the flow began; nothing says why.",
        details=("Its exit code is {code}.",),
        remediation=("Read the output of the worker or container.",),
        commands=(LOGS, POOL),
    ),
    "process-exit-general-error": Cause(
        title="The process ended with a general error",
        meaning=(
            "The process ended with code 1 while the flow ran, and said nothing: os._exit, a "
            "library that aborts, or an API that could not be reached to report more."
        ),
        remediation=("Read the last lines that the run logged, and the worker's own output.",),
        commands=(LOGS, RETRY),
    ),
    "process-exit-other-code": Cause(
        title="The process ended with an error",
        meaning="The process ended with a code that has no settled meaning.",
        details=("Its exit code is {code}.",),
        remediation=("Read the last lines that the run logged, and the worker's own output.",),
        commands=(LOGS, RETRY),
    ),
    "termination-signal": Cause(
        title="Stopped by a SIGTERM",
        meaning="Something asked the process to end: a restart, scale-in, preemption, a stop.",
        remediation=(
            "Stop workers and serve processes only when they run nothing: pause, wait, stop.",
            "Let the process live as long as its longest run after a stop "
            "(terminationGracePeriodSeconds, stop_grace_period).",
        ),
        commands=(INSPECT, RETRY),
    ),
    "interrupt-signal": Cause(
        title="Interrupted by a person or a signal",
        meaning="The process got a SIGINT, as from Ctrl-C.",
        remediation=("Leave local runs out of alerts, by tag or by deployment.",),
        commands=(INSPECT, RETRY),
    ),
    "python-system-exit": Cause(
        title="The code called sys.exit",
        meaning=(
            "sys.exit in a flow or in one of its tasks ends the whole run; argparse and command "
            "line wrappers call it too."
        ),
        remediation=("Raise an exception instead, or catch SystemExit around such a call.",),
        commands=(LOGS,),
    ),
    "runtime-cancelled": Cause(
        title="Cancelled by its surroundings",
        meaning=(
            "The run's asyncio task was cancelled. A SIGTERM to an async flow does it, and so does "
            "a cancel in the flow's own code; the evidence does not tell which."
        ),
        remediation=(
            "Look at the lines before 'Crash detected!', and at what stopped around that time.",
        ),
        commands=(LOGS, RETRY),
    ),
    "request-to-api-failed": Cause(
        title="The Prefect API could not be reached",
        meaning="A request to the API failed for good, and with it the run.",
        remediation=(
            "Check server, proxy, DNS and certificates around that time.",
            "Raise PREFECT_CLIENT_MAX_RETRIES in jobs that must outlive an outage.",
        ),
        commands=(CONFIG, LOGS, RETRY),
    ),
    "base-exception-group": Cause(
        title="Several things ended at once in a TaskGroup",
        meaning=(
            "A TaskGroup in the flow ended with exceptions of which at least one is no ordinary "
            "one, such as a cancellation, an interrupt or an exit."
        ),
        remediation=(
            "The sub-exceptions are in the log line 'Crash details', which needs level DEBUG.",
        ),
        commands=(LOGS,),
    ),
    "unexpected-base-exception": Cause(
        title="Ended by an exception that is no error",
        meaning="Something raised an exception that is not derived from Exception.",
        details=("Its type is {exception}.",),
        remediation=("Find out who raises it; libraries use such exceptions to end a thread.",),
        commands=(LOGS,),
    ),
    "crashed-by-user-or-api": Cause(
        title="Set to crashed by code or by a person",
        meaning=(
            "The message is none of Prefect's: the flow returned a crashed state, or a person, "
            "script or automation set it."
        ),
        remediation=("Ask who set the state; created_by and the events before it help.",),
        commands=(INSPECT, LOGS),
    ),
}
