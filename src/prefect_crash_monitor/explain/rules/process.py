"""Rules of crashes that the process itself, its runner or its worker reported."""

from __future__ import annotations

import re

from prefect_crash_monitor.explain.clues.clues import (
    Clue,
    all_of,
    any_of,
    engine_log,
    event,
    log,
    message,
    never_ran,
    none_of,
    quietly,
    ran,
)
from prefect_crash_monitor.explain.explanation import Confidence, Severity
from prefect_crash_monitor.explain.rules.cause_rule import crash
from prefect_crash_monitor.prefect_api.vocabulary import ACTION_EXECUTED, ACTION_TRIGGERED

HIGH, MEDIUM, LOW = Confidence.HIGH, Confidence.MEDIUM, Confidence.LOW
CRITICAL, WARNING, INFO = Severity.CRITICAL, Severity.WARNING, Severity.INFO

EXITED = (
    r"^(?:Process|Flow run process|Flow run infrastructure|Process for flow run '[^']{0,300}')"
    r" exited with (?:non-zero )?(?:status|exit) code:? "
)
"""3.8, 2.14 to 3.6, workers of all versions, and the runner's own log line."""


def exit_code(*codes: str) -> Clue:
    """The state says that the process ended with one of these codes."""
    return message(rf"{EXITED}(?P<code>{'|'.join(codes)})(?![\w])")


INTERRUPTED_BY = r"^Execution was interrupted by an unexpected exception:\s+"

exit_one = quietly(exit_code("1"))
no_command = exit_code("125", "126", "127")
native = exit_code("-11", "-6", "-7", "-8", "-4", "139", "134", "135", "136", "132")
any_exit = exit_code(r"-?\d{1,10}", r"0x[0-9A-Fa-f]{1,8}")
system_exit = message(r"^Execution was aborted by Python system exit call")
cancelled = message(r"^Execution was cancelled by the runtime environment")
submission = message(
    r"^(?:Failed to submit flow run to infrastructure"
    r"|Flow run could not be submitted to infrastructure"
    r"|Flow run could not start|Submission failed"
    r"|Flow run bundle could not be created|Flow run execution failed)"
)
generic = quietly(
    message(
        rf"{EXITED}1(?!\w)|^Execution was cancelled by the runtime environment|^\s*$"
        r"|unhandled errors in a TaskGroup|^No active or succeeded pods found"
    )
)
"""Messages that mean nothing alone; what stands next to them decides."""

familiar = any_of(
    any_exit,
    cancelled,
    submission,
    message(r"^Execution was (?:aborted|interrupted) by"),
    message(r"^(?:No active or succeeded pods found|Kubernetes job was deleted)"),
)
"""Prefect's own words, which no automation and no person wrote."""

worker_logs = quietly(log(r"\S", logger=".worker"))
at_work = (
    r"trying to load flow|Beginning flow run|Engine execution|Downloading flow code"
    r"|deployment pull step|Executing deployment step|Importing flow code"
)
"""Lines that only a run which reached the API can have logged."""


EXITS = (
    crash(
        "killed-oom-or-sigkill",
        5000,
        exit_code("-9", "137", "247"),
        MEDIUM,
        CRITICAL,
        "I09",
        "I06",
    ),
    crash("sigterm-exit", 5010, exit_code("-15", "143"), HIGH, WARNING, "I07"),
    crash("native-crash-segfault", 5020, native, HIGH, CRITICAL),
    crash("container-command-error", 5030, all_of(never_ran, no_command), HIGH, CRITICAL, "I09"),
    crash("process-exit-other-code", 5032, all_of(ran, no_command), LOW, CRITICAL),
    crash("container-command-error", 5034, no_command, MEDIUM, CRITICAL, "I09"),
    crash(
        "interrupt-signal",
        5040,
        exit_code("-2", "130", "0xC000013A", "3221225786"),
        MEDIUM,
        INFO,
        source="prefect/_internal/infrastructure_exit_codes.py",
    ),
    crash(
        "never-reached-api",
        5100,
        all_of(never_ran, exit_one, none_of(log(at_work)), worker_logs),
        MEDIUM,
        CRITICAL,
        "I08",
        "I09",
    ),
    crash(
        "never-reached-api",
        5105,
        all_of(never_ran, exit_one, none_of(log(at_work))),
        LOW,
        CRITICAL,
        "I08",
        "I09",
    ),
    crash(
        "flow-code-storage-unavailable",
        5110,
        all_of(
            never_ran,
            exit_one,
            log(r"Downloading flow code from storage at '?(?P<path>[^'\n]{1,300})|pull step"),
            none_of(log(r"trying to load flow|Beginning flow run|Engine execution")),
        ),
        MEDIUM,
        CRITICAL,
        "I09",
    ),
    crash("exited-before-running-other", 5120, all_of(never_ran, any_exit), LOW, CRITICAL, "I09"),
    crash(
        "request-to-api-failed",
        5190,
        all_of(ran, exit_one, engine_log(r"httpx\.\w{3,40}(?:Error|Timeout)\b")),
        MEDIUM,
        CRITICAL,
        "I15",
        "I08",
        source="prefect/client/base.py:409-427",
    ),
    crash("process-exit-general-error", 5200, all_of(ran, exit_one), LOW, CRITICAL, "I02", "I08"),
    crash("process-exit-other-code", 5300, any_exit, LOW, CRITICAL),
)

INTERRUPTED = (
    crash(
        "concurrency-lease-lost",
        1000,
        all_of(generic, engine_log(r"^Concurrency lease renewal failed", r"Terminating execution")),
        HIGH,
        CRITICAL,
        "I04",
        versions="3.4.10+, before it was not fatal",
    ),
    crash(
        "termination-signal",
        6000,
        message(r"^Execution was aborted by a termination signal"),
        HIGH,
        WARNING,
        "I07",
    ),
    crash(
        "interrupt-signal",
        6010,
        message(r"^Execution was aborted by an interrupt signal"),
        HIGH,
        INFO,
    ),
    crash("python-system-exit", 6020, system_exit, HIGH, WARNING),
    crash("runtime-cancelled", 6030, cancelled, LOW, WARNING, "I07"),
    crash(
        "request-to-api-failed",
        6040,
        message(
            r"^Request (?:to \S{1,500} (?:failed|timed out)"
            r"|failed while attempting to contact the server:)"
        ),
        HIGH,
        CRITICAL,
        "I15",
        "I08",
        versions="2.x, early 3.x",
        source="prefect/states.py:236",
    ),
    crash(
        "base-exception-group",
        6050,
        message(rf"{INTERRUPTED_BY}BaseExceptionGroup: unhandled errors in a TaskGroup"),
        MEDIUM,
        WARNING,
        "I02",
    ),
    crash(
        "unexpected-base-exception",
        6060,
        message(rf"{INTERRUPTED_BY}(?P<exception>[A-Za-z_][\w.]{{0,100}})?"),
        MEDIUM,
        CRITICAL,
    ),
)

MARKED = (
    crash(
        "zombie-marked",
        3000,
        any_of(
            message(
                r"(?i)\bmarked\b.{0,80}\bmissing heartbeats?"
                r"|^Marked as crashed by crash-monitor \("
            ),
            all_of(
                ran,
                none_of(familiar),
                event(
                    "|".join(map(re.escape, (*ACTION_TRIGGERED, *ACTION_EXECUTED))),
                    action_type="^change-flow-run-state$",
                    prefect__posture="^Proactive$",
                ),
            ),
        ),
        HIGH,
        CRITICAL,
        "I06",
        "I11",
    ),
    crash(
        "zombie-marked",
        3010,
        all_of(message(r"(?i)missing heartbeats?"), none_of(familiar)),
        MEDIUM,  # or the flow's own words, of something else that beats
        CRITICAL,
        "I06",
        "I11",
    ),
    crash("crashed-by-user-or-api", 6900, message(r"\S"), LOW, INFO),
)

RULES = (*INTERRUPTED, *MARKED, *EXITS)
