"""Cases quoted from documented wordings: code, issues and documentation, not recorded runs.

They are of old versions, of other infrastructure, or rare; each names where its wording is from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.cases.bundles import (
    Bundle,
    bundle,
    event,
    line,
)

NEVER = ("SCHEDULED", "PENDING", "CRASHED")
RAN = ("SCHEDULED", "PENDING", "RUNNING", "CRASHED")
FAILED = ("SCHEDULED", "PENDING", "RUNNING", "FAILED")
RUNNING = ("SCHEDULED", "PENDING", "RUNNING")

EXIT_1 = "Process exited with status code: 1. Process exited with a general error."
NO_PODS = "No active or succeeded pods found for any job"
GROUP = "unhandled errors in a TaskGroup (1 sub-exception)"
RAISED = "Flow run encountered an exception: "
POSTGRES = "FATAL: remaining connection slots are reserved for"
LOADING = "Unexpected exception encountered when trying to load flow\nTraceback:"
PANDAS = 'Task run failed with exception: KeyError("x")\n  File "/lib/pandas/core/'
API = "PrefectHTTPStatusError: {} for url 'https://prefect.example/api/deployments/1'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One wording and what it must be taken for."""

    verdict: str
    cause: str | None
    bundle: Bundle
    source: str


def crashed(cause: str, message: str | None, source: str, *course: str, **parts: Any) -> Case:
    """A crash with this message; without a course, one that never ran."""
    made = bundle(*(course or NEVER), message=message, **parts)
    return Case(verdict="crashed", cause=cause, bundle=made, source=source)


def failed(cause: str, exception: str, source: str, **parts: Any) -> Case:
    """A FAILED run whose code raised this."""
    made = bundle(*FAILED, message=RAISED + exception, **parts)
    return Case(verdict="failed", cause=cause, bundle=made, source=source)


def exit_code(cause: str, code: str, message: str = "Process exited with status code: {}.") -> Case:
    """A process that ended with this code while it ran."""
    source = "prefect/_internal/infrastructure_exit_codes.py"
    return crashed(cause, message.format(code), source, *RAN)


OLD_RUNNER = "Flow run process exited with non-zero status code {}."
CONTAINER = "Flow run infrastructure exited with non-zero status code {}. So it was."

EXITS = (
    exit_code("killed-oom-or-sigkill", "-9", OLD_RUNNER),
    exit_code("killed-oom-or-sigkill", "137", CONTAINER),
    exit_code("killed-oom-or-sigkill", "247"),
    exit_code("sigterm-exit", "-15"),
    exit_code("sigterm-exit", "143", CONTAINER),
    exit_code("native-crash-segfault", "-6"),
    exit_code("native-crash-segfault", "139", OLD_RUNNER),
    exit_code("process-exit-other-code", "127"),
    crashed("container-command-error", CONTAINER.format(125), "prefect/workers/base.py:1715"),
    Case(
        verdict="crashed",
        cause="container-command-error",
        bundle={"flow_run": {"state": {"type": "CRASHED", "message": CONTAINER.format(126)}}},
        source="nothing but the state was read",
    ),
    exit_code("process-exit-other-code", "126"),
    exit_code("interrupt-signal", "0xC000013A"),
    exit_code("interrupt-signal", "130"),
    exit_code("process-exit-other-code", "42"),
    exit_code("process-exit-general-error", "1", OLD_RUNNER),
    crashed("exited-before-running-other", "Process exited with status code: 3.", "prefect 3.8"),
    crashed("never-reached-api", EXIT_1, "facts: logging to the API switched off"),
    crashed("container-command-error", CONTAINER.format(127), "prefect/workers/base.py:1715"),
)

INTERRUPTED = (
    crashed(
        "request-to-api-failed",
        "Request to http://prefect.example/api/flow_runs/ failed: ConnectError.",
        "prefect/states.py:236",
        *RAN,
    ),
    crashed(
        "request-to-api-failed",
        "Request failed while attempting to contact the server: ReadTimeout",
        "prefect/states.py:236",
        *RAN,
    ),
    crashed(
        "request-to-api-failed",
        EXIT_1,
        "prefect/client/base.py:409-427",
        *RAN,
        logs=[line("Engine execution exited with unexpected exception\nhttpx.ConnectError: no")],
    ),
    crashed(
        "unexpected-base-exception",
        "Execution was interrupted by an unexpected exception: GeneratorExit: so",
        "prefect/states.py:240",
        *RAN,
    ),
    crashed(
        "interrupt-signal", "Execution was aborted by an interrupt signal.", "states.py:217", *RAN
    ),
    crashed(
        "runtime-cancelled",
        "Execution was cancelled by the runtime environment.",
        "prefect/concurrency/_leases.py: a warning says that the run goes on",
        *RAN,
        logs=[line("Concurrency lease renewal failed. Execution will continue.", level=30)],
    ),
    crashed("unknown", None, "a state without a message", *RAN),
    *(
        crashed("crashed-by-user-or-api", f"the operator read: {words}", "another's words", *RAN)
        for words in (
            "Execution was aborted by a termination signal.",
            "Execution was aborted by an interrupt signal.",
            "Execution was aborted by Python system exit call.",
            "Execution was cancelled by the runtime environment.",
            "Execution was interrupted by an unexpected exception: X: so",
            "Request failed while attempting to contact the server: ReadTimeout",
            "The following containers stopped with a non-zero exit code: []",
            CONTAINER.format(-1),
        )
    ),
)

ZOMBIE = event(
    "prefect.automation.action.executed",
    resource="prefect.automation.1",
    prefect__posture="Proactive",
)
MARKED = (
    crashed(
        "zombie-marked",
        "Run seems dead, says our automation",
        "docs/v3/advanced/detect-zombie-flows.mdx: the message is the user's",
        *RAN,
        events=[ZOMBIE | {"payload": {"action_type": "change-flow-run-state"}}],
    ),
    crashed(
        "zombie-marked",
        "Run seems dead, says our automation",
        "docs/v3/api-ref/events/automation-events.mdx: the names on Prefect Cloud",
        *RAN,
        events=[
            ZOMBIE
            | {
                "event": "prefect-cloud.automation.action.executed",
                "payload": {"action_type": "change-flow-run-state"},
            }
        ],
    ),
    crashed("zombie-marked", "3 missing heartbeats, says our automation", "the user's words", *RAN),
    crashed(
        "unexpected-base-exception",
        "Execution was interrupted by an unexpected exception: Stop: missing heartbeats of it",
        "the flow's own words, of something else",
        *RAN,
    ),
    crashed(
        "crashed-by-user-or-api",
        "Cleaned up by hand",
        "a notification about the crash is no cause of it",
        *RAN,
        events=[ZOMBIE | {"payload": {"action_type": "send-notification"}}],
    ),
)

LOADED = (
    crashed(
        "flow-code-import-error",
        EXIT_1,
        "Python's wording",
        logs=[
            line(f"{LOADING}\nScript at 'a.py' encountered an exception: SyntaxError('invalid')")
        ],
    ),
    crashed(
        "flow-code-missing",
        EXIT_1,
        "prefect/flows.py:3003",
        logs=[
            line(f"{LOADING}\nMissingFlowError: Flow function with name 'f' not found in 'a.py'.")
        ],
    ),
    crashed(
        "flow-load-other",
        EXIT_1,
        "a module that opens a file while it is imported",
        logs=[
            line(
                f'{LOADING}\n  File "a.py", line 3, in <module>\n    open("c.yml")\n'
                "FileNotFoundError: [Errno 2] No such file\nScriptError: Script at 'a.py' "
                "encountered an exception: FileNotFoundError(2, 'No such file')"
            )
        ],
    ),
    *(
        crashed("flow-load-other", EXIT_1, source, logs=[line(f"{LOADING}\n{told}")])
        for source, told in (
            (
                "a handled import, and then an error of its own",
                "ModuleNotFoundError: No module named 'x'\n\nDuring handling of the above exception"
                "\nKeyError: 'y'\nScriptError: Script at 'a.py' encountered an exception: "
                "KeyError('y')",
            ),
            (
                "a module whose helper opens a file; Python 3.11 marks the place",
                '  File "b.py", line 3, in load\n    return open("c.yml").read()\n           ^^^^\n'
                "FileNotFoundError: [Errno 2] No such file\nScriptError: Script at 'a.py' "
                "encountered an exception: FileNotFoundError(2, 'No such file')",
            ),
            (
                "not Prefect's words",
                "LookupError: table x not found in catalogue\nScriptError: Script at 'a.py' "
                "encountered an exception: LookupError('table x not found in catalogue')",
            ),
        )
    ),
    crashed(
        "flow-load-other",
        "Flow could not be retrieved from deployment.",
        "PrefectHQ/prefect#13490",
    ),
    crashed(
        "pull-step-failed",
        EXIT_1,
        "no events: behind a proxy without websockets",
        logs=[
            line("Running 1 deployment pull step(s)", level=20),
            line("Executing deployment step: run_shell_script", level=20),
        ],
    ),
    crashed("parameters-invalid", "Validation of flow parameters failed with error: x", "2.x"),
    crashed(
        "submission-failed",
        "Flow run could not be submitted to infrastructure: x",
        "workers of 2.10.10 to 3.6.21",
    ),
    crashed(
        "submission-failed",
        None,
        "prefect/workers/base.py:1679",
        logs=[line("Failed to submit flow run 'x' to infrastructure.", logger="flow_runs.worker")],
    ),
    Case(
        verdict="crashed",
        cause="submission-failed-as-failed",
        bundle=bundle("SCHEDULED", "PENDING", "FAILED", message="Submission failed. KeyError: 'x'"),
        source="PrefectHQ/prefect#9523",
    ),
)

MOCK = "TypeError: 'MockValSer' object cannot be converted to 'SchemaSerializer'"
SIGNATURES = (
    failed("pydantic-mockvalser", MOCK, "PrefectHQ/prefect#18053"),
    crashed(
        "pydantic-mockvalser",
        NO_PODS,
        "PrefectHQ/prefect#18053",
        worker="kubernetes",
        logs=[line(MOCK, logger="flow_runs.observer")],
    ),
    failed("database-connections-exhausted", f"OperationalError: {POSTGRES} roles with", "PG 16"),
    failed("database-connections-exhausted", "TooManyConnectionsError: so", "asyncpg"),
    failed(
        "database-connections-exhausted", "TimeoutError: QueuePool limit of size 5", "SQLAlchemy"
    ),
    failed(
        "database-connections-exhausted", "Boom: connection-limit reached", "the mission's words"
    ),
    failed(
        "database-connections-exhausted",
        "TooManyStreamsError: Max outbound streams is 100, 100 open",
        "PrefectHQ/prefect#7636",
    ),
    crashed(
        "database-connections-exhausted",
        EXIT_1,
        "PrefectHQ/prefect#17344",
        *RAN,
        logs=[
            line(f"Engine execution exited with unexpected exception\n{POSTGRES} non-replication")
        ],
    ),
    crashed(
        "database-connections-exhausted",
        "Execution was interrupted by an unexpected exception: X: connection limit was reached",
        "the mission's words",
        *RAN,
    ),
    failed(
        "api-rate-limited-429",
        API.format("Client error '429 Too Many Requests'"),
        "PrefectHQ/prefect#20488",
    ),
    crashed(
        "api-rate-limited-429",
        EXIT_1,
        "PrefectHQ/prefect#20488",
        *RAN,
        logs=[line("Engine execution exited\n" + API.format("Client error '429 Too Many'"))],
    ),
    failed("api-auth-or-workspace", API.format("Client error '401 Unauthorized'"), "docs"),
    failed("api-auth-or-workspace", "X: Invalid authentication credentials", "any service's words"),
    crashed(
        "api-auth-or-workspace",
        NO_PODS,
        "forwarded by the observer",
        worker="kubernetes",
        logs=[line("Invalid authentication credentials", logger="flow_runs.observer")],
    ),
    crashed(
        "api-auth-or-workspace",
        NO_PODS,
        "forwarded by the observer",
        worker="kubernetes",
        logs=[line(API.format("Client error '403 No'"), logger="flow_runs.observer")],
    ),
    failed(
        "api-server-error-5xx",
        "HTTPStatusError: Server error '500 Internal Server Error' for url "
        "'https://prefect.example/api/flow_runs/filter'",
        "httpx' wording",
    ),
    crashed(
        "api-server-error-5xx",
        f"Flow run could not start: {GROUP}",
        "PrefectHQ/prefect#16977",
        logs=[line(API.format("Server error '503 x'"), logger="flow_runs.worker")],
    ),
    failed(
        "user-exception",
        "HTTPStatusError: Server error '500 Internal Server Error' for url 'https://a.example/x'",
        "not Prefect's API",
    ),
)

DATA = (
    failed(
        "data-column-missing", "KeyError: \"None of [Index(['x'])] are in the [columns]\"", "pandas"
    ),
    failed(
        "data-column-missing", "ValueError: Usecols do not match columns, x: ['customer']", "pandas"
    ),
    failed(
        "data-column-missing",
        "ValueError: Missing column provided to 'parse_dates': 'ordered_at'",
        "pandas",
    ),
    failed("data-column-missing", "ColumnNotFoundError: customer", "polars"),
    failed(
        "data-column-missing", "AttributeError: 'DataFrame' object has no attribute 'x'", "pandas"
    ),
    failed("data-column-missing", "KeyError: 'x'", "pandas", logs=[line(f"{PANDAS}frame.py")]),
    failed(
        "data-column-missing", "KeyError: 'x'", "pandas", logs=[line(f"{PANDAS}indexes/base.py")]
    ),
    failed("user-exception", "KeyError: 'x'", "a dictionary"),
    failed("module-missing-at-runtime", "ModuleNotFoundError: No module named 'x'", "Python"),
    failed("out-of-memory-python", "_ArrayMemoryError: Unable to allocate 8. GiB", "numpy"),
    failed("exception-group", f"ExceptionGroup: {GROUP}", "Python"),
    failed(
        "parameters-invalid", "ParameterBindError: missing a required argument: 'x'", "a subflow"
    ),
    failed(
        "child-crash-propagated",
        f"ExceptionGroup: {GROUP}",
        "a child awaited in a TaskGroup",
        logs=[line("Encountered exception during execution: ExceptionGroup\n | CrashedRun: so")],
    ),
    failed(
        "user-exception", "RuntimeError: exit code: 137, MemoryError, ReadTimeout", "only words"
    ),
    Case(
        verdict="failed",
        cause="user-exception",
        bundle=bundle(*FAILED, message="1/2 states failed."),
        source="prefect/states.py",
    ),
    Case(
        verdict="failed",
        cause="timed-out",
        bundle=bundle(*FAILED, name="TimedOut", message="Flow run exceeded timeout of 2.0 seconds"),
        source="prefect/flow_engine.py",
    ),
    *(
        Case(
            verdict="failed",
            cause=cause,
            bundle=bundle(*FAILED, name="TimedOut", message=message),
            source="prefect/flow_engine.py:865-877, as recorded",
        )
        for cause, message in (
            ("timed-out", "Flow run failed due to timeout: TaskRunTimeoutError('Scope timed out')"),
            ("user-exception", "Flow run failed due to timeout: TimeoutError('took too long')"),
            ("timed-out", "in other words"),
        )
    ),
    Case(
        verdict="failed",
        cause="flow-load-other",
        bundle=bundle(*FAILED, message="Flow could not be retrieved from deployment."),
        source="PrefectHQ/prefect#13490",
    ),
    Case(verdict="failed", cause="unknown", bundle=bundle(*FAILED), source="no message"),
    Case(
        verdict="failed",
        cause="user-exception",
        bundle=bundle(*FAILED, message="Task run encountered an exception ValueError: x"),
        source="prefect/states.py: a flow that ends in its task's state",
    ),
)
