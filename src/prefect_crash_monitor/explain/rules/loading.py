"""Rules of crashes before the flow began: its code, its parameters, its submission."""

from __future__ import annotations

from prefect_crash_monitor.explain.clues.clues import (
    all_of,
    any_of,
    engine_log,
    event,
    log,
    message,
    never_ran,
    none_of,
)
from prefect_crash_monitor.explain.explanation import Confidence, Severity
from prefect_crash_monitor.explain.rules.cause_rule import crash
from prefect_crash_monitor.explain.rules.process import exit_one, generic, submission

HIGH, MEDIUM = Confidence.HIGH, Confidence.MEDIUM
CRITICAL, WARNING = Severity.CRITICAL, Severity.WARNING

loading = r"trying to load flow|Flow could not be retrieved from deployment"

not_imported = r"\b(?:ModuleNotFoundError|ImportError|SyntaxError|IndentationError|TabError)\b"
came_of_more = none_of(
    engine_log(
        loading, rf"Script at '[^'\n]{{1,300}}' encountered an exception: (?!{not_imported})"
    )
)
"""An import that failed may have been handled; Prefect says what the script ended with."""

opened_a_file = engine_log(loading, r"\n {4,}\S[^\n]*\n(?:[ ~^]+\n)?FileNotFoundError")
"""A line of code opened it; the script itself is opened by Python, which shows no line."""

RULES = (
    crash(
        "pull-step-failed",
        4000,
        all_of(never_ran, generic, event(r"prefect\.flow-run\.pull-step\.failed")),
        HIGH,
        CRITICAL,
        "I09",
    ),
    crash(
        "flow-code-import-error",
        4010,
        all_of(
            never_ran,
            generic,
            engine_log(
                loading,
                rf"{not_imported}(?:\(|: )[\"']?(?:No module named '(?P<module>[\w.]{{1,100}})')?",
            ),
            came_of_more,
        ),
        HIGH,
        CRITICAL,
        "I09",
    ),
    crash(
        "flow-code-missing",
        4020,
        all_of(
            never_ran,
            generic,
            engine_log(
                loading,
                r"MissingFlowError|with name '[^'\n]{1,300}' not found in|FileNotFoundError\(2"
                r"|Script at '[^']{1,300}' .{0,60}FileNotFoundError",
            ),
            none_of(opened_a_file),
        ),
        HIGH,
        CRITICAL,
        "I09",
    ),
    crash(
        "flow-load-other",
        4030,
        all_of(never_ran, any_of(all_of(generic, engine_log(loading)), message(loading))),
        HIGH,
        CRITICAL,
        "I09",
    ),
    crash(
        "pull-step-failed",
        4035,
        all_of(
            never_ran,
            exit_one,
            log(r"^Executing deployment step: (?P<step>\S{1,200})"),
            none_of(log(r"All deployment steps completed")),
            none_of(log(r"Beginning flow run|trying to load flow|Engine execution")),
        ),
        MEDIUM,
        CRITICAL,
        "I09",
        source="recorded; for servers that get no events over a websocket",
    ),
    crash(
        "parameters-invalid",
        4040,
        any_of(
            all_of(
                generic,
                engine_log(r"(?:ParameterBindError|ParameterTypeError|SignatureMismatchError): "),
            ),
            message(r"^Validation of flow parameters failed"),
        ),
        HIGH,
        WARNING,
    ),
    crash("submission-failed", 4100, all_of(never_ran, submission), HIGH, CRITICAL, "I13", "I09"),
    crash(
        "submission-failed",
        4105,
        all_of(never_ran, generic, engine_log(r"^Failed to submit flow run '")),
        MEDIUM,
        CRITICAL,
        "I13",
        "I09",
    ),
)
