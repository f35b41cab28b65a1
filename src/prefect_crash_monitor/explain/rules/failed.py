"""Rules of FAILED runs: their own code or data failed, or a child crashed under them."""

from __future__ import annotations

from prefect_crash_monitor.explain.clues.clues import (
    Clue,
    all_of,
    any_of,
    engine_log,
    log,
    message,
    raised,
    state_name,
)
from prefect_crash_monitor.explain.explanation import Confidence, Severity, Verdict
from prefect_crash_monitor.explain.rules.cause_rule import Rule, Scope

HIGH, MEDIUM, LOW = Confidence.HIGH, Confidence.MEDIUM, Confidence.LOW
CRITICAL, WARNING, INFO = Severity.CRITICAL, Severity.WARNING, Severity.INFO

EXCEPTION_LOGGED = r"(?:Task run failed with exception|Encountered exception during execution)"
COLUMN = r"'(?P<column>[^'\n]{1,100})'"

SUB_EXCEPTION = r"(?P<inner>[A-Za-z_][\w.]{0,80}: [^\n]{0,300})(?=\n[ |]{0,80}\+-{4})"
"""The last line above the rule that closes a sub-exception's traceback."""

task_group = raised("(?:Base)?ExceptionGroup")


def _failed(
    cause: str,
    precedence: int,
    clue: Clue,
    confidence: Confidence,
    severity: Severity,
    *insights: str,
    verdict: Verdict = Verdict.FAILED,
    versions: str = "2.x, 3.x",
    source: str = "recorded",
) -> Rule:
    return Rule(
        cause=cause,
        scope=Scope.FAILED,
        precedence=precedence,
        clue=clue,
        verdict=verdict,
        confidence=confidence,
        severity=severity,
        insights=insights,
        versions=versions,
        source=source,
    )


DATA = (
    _failed(
        "data-column-missing",
        7020,
        any_of(
            raised(
                "KeyError",
                r"\[" + COLUMN + r".{0,200}\] not in index|None of \[.{0,300} in the \[columns\]"
                r"|not found in axis",
            ),
            raised(
                "ValueError",
                r"Usecols do not match columns[^\[]{0,60}(?:\[" + COLUMN + r")?"
                r"|Missing column provided to 'parse_dates':(?: "
                + COLUMN.replace("column", "dates")
                + r")?",
            ),
            raised("ColumnNotFoundError|SchemaFieldNotFoundError"),
            raised("SchemaErrors?", r"column " + COLUMN + r" not in"),
        ),
        HIGH,
        CRITICAL,
        "I01",
        "I03",
    ),
    _failed(
        "data-column-missing",
        7022,
        all_of(
            raised("KeyError", COLUMN),
            log(EXCEPTION_LOGGED, r"pandas[/\\]core[/\\](?:frame|groupby|reshape|generic)"),
        ),
        HIGH,
        CRITICAL,
        "I01",
        "I03",
    ),
    _failed(
        "data-column-missing",
        7023,
        any_of(
            raised("AttributeError", r"'DataFrame' object has no attribute " + COLUMN),
            all_of(raised("KeyError"), log(EXCEPTION_LOGGED, r"pandas[/\\]core[/\\]indexes")),
        ),
        MEDIUM,
        CRITICAL,
        "I01",
        "I03",
    ),
    _failed(
        "data-file-missing",
        7025,
        raised(
            "FileNotFoundError",
            r"^(?:[\s\S]{0,200}?No such file or directory: '(?P<path>[^'\n]{1,300})')?",
        ),
        MEDIUM,
        WARNING,
        "I01",
        "I03",
    ),
)

RULES = (
    _failed(
        "child-crash-propagated",
        7000,
        any_of(raised("CrashedRun"), all_of(task_group, engine_log(r"\bCrashedRun\b"))),
        HIGH,
        INFO,
    ),
    _failed(
        "submission-failed-as-failed",
        7010,
        message(r"^Submission failed\."),
        HIGH,
        WARNING,
        "I13",
        verdict=Verdict.CRASHED,
        versions="agents and workers up to 2.10.9",
        source="PrefectHQ/prefect#9523",
    ),
    *DATA,
    _failed(
        "module-missing-at-runtime",
        7030,
        raised(
            "ModuleNotFoundError|ImportError", r"(?:No module named '(?P<module>[\w.]{1,100})')?"
        ),
        HIGH,
        WARNING,
        "I09",
        source="Python's wording",
    ),
    _failed(
        "exception-group",
        7040,
        all_of(task_group, engine_log(r"^Encountered exception", SUB_EXCEPTION)),
        HIGH,
        WARNING,
        "I02",
    ),
    _failed("exception-group", 7045, task_group, MEDIUM, WARNING, "I02"),
    _failed(
        "httpx-timeout-in-code",
        7050,
        raised(
            "ReadTimeout|ConnectTimeout|PoolTimeout|WriteTimeout|ConnectError|ReadError|WriteError"
            "|RemoteProtocolError|LocalProtocolError"
        ),
        MEDIUM,
        WARNING,
        "I15",
    ),
    _failed("out-of-memory-python", 7060, raised("_?(?:Array)?MemoryError"), HIGH, WARNING),
    _failed(
        "timed-out",
        7070,
        message(
            r"^(?:Flow|Task) run exceeded timeout of"
            r"|^Flow run failed due to timeout: TaskRunTimeoutError\b"
        ),
        HIGH,
        WARNING,
    ),
    _failed(
        "user-exception",
        7072,
        message(r"^Flow run failed due to timeout: (?P<exception>\w+)"),
        MEDIUM,
        WARNING,
        source="prefect/flow_engine.py: a TimeoutError of the flow's code makes it TimedOut too",
    ),
    _failed("timed-out", 7074, state_name("TimedOut"), MEDIUM, WARNING),
    _failed(
        "parameters-invalid",
        7080,
        any_of(
            message(r"^Validation of flow parameters failed"),
            raised("ParameterBindError|ParameterTypeError|SignatureMismatchError"),
        ),
        HIGH,
        WARNING,
        source="prefect/flow_engine.py",
    ),
    _failed(
        "flow-load-other",
        7090,
        message(r"^Flow could not be retrieved from deployment"),
        HIGH,
        CRITICAL,
        "I09",
        source="PrefectHQ/prefect#13490",
    ),
    _failed(
        "user-exception",
        7890,
        raised("KeyError"),
        MEDIUM,  # only a traceback tells a dictionary from a table
        WARNING,
    ),
    _failed("user-exception", 7900, raised(r"\w+"), HIGH, WARNING),
    _failed("user-exception", 7910, message(r"\S"), MEDIUM, WARNING),
)
