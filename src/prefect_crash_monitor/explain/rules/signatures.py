"""Rules of the known error signatures, in a crashed or failed run's message or in its logs.

In logs they count only where the message itself says nothing, and only in Prefect's own lines: a
run that logged a 500, retried and was then killed was killed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from prefect_crash_monitor.explain.clues.clues import all_of, any_of, engine_log, message
from prefect_crash_monitor.explain.explanation import Confidence, Severity, Verdict
from prefect_crash_monitor.explain.rules.cause_rule import Rule, Scope
from prefect_crash_monitor.explain.rules.process import generic

API_ERROR = r"PrefectHTTPStatusError\b.{0,20}"
PREFECT_URL = (
    r"' for url '[^']{0,300}/api/(?:v2/)?(?:accounts|flow_runs|task_runs|deployments|work_pools"
    r"|work_queues|concurrency_limits|logs|events|flows|block_|variables|artifacts|automations)"
)
"""Also httpx' own exception, where the address is one of Prefect's API."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One error text that means the same wherever Prefect shows it."""

    cause: str
    precedence: int
    pattern: str
    confidence: Confidence = Confidence.HIGH
    insights: tuple[str, ...]
    versions: str = "3.x"
    source: str


SIGNATURES = (
    Signature(
        cause="pydantic-mockvalser",
        precedence=1100,
        pattern=r"'?MockValSer'? object cannot be converted to '?SchemaSerializer",
        insights=("I05",),
        versions="3.0 to 3.4.1; again with any mismatch of prefect and pydantic",
        source="PrefectHQ/prefect#18053",
    ),
    Signature(
        cause="database-connections-exhausted",
        precedence=1200,
        pattern=(
            r"TooManyConnectionsError|remaining connection slots are reserved"
            r"|too many clients already|QueuePool limit of size"
        ),
        confidence=Confidence.MEDIUM,  # the flow's own database says the same
        insights=("I14", "I15"),
        source="PrefectHQ/prefect#17344",
    ),
    Signature(
        cause="database-connections-exhausted",
        precedence=1210,
        pattern=(
            r"(?i)connection[- ]limit (?:was )?reached|too many connections"
            r"|max outbound streams is \d"
        ),
        confidence=Confidence.LOW,  # no wording of Prefect's
        insights=("I14", "I15"),
        source="PrefectHQ/prefect#7636",
    ),
    Signature(
        cause="api-rate-limited-429",
        precedence=1300,
        pattern=rf"{API_ERROR}Client error '429 |Client error '429 [^']{{0,60}}{PREFECT_URL}",
        insights=("I15",),
        source="PrefectHQ/prefect#20488",
    ),
    Signature(
        cause="api-auth-or-workspace",
        precedence=1310,
        pattern=(
            rf"{API_ERROR}Client error '40[13] |Client error '40[13] [^']{{0,60}}{PREFECT_URL}"
        ),
        insights=("I08",),
        source="Prefect's guide to troubleshooting",
    ),
    Signature(
        cause="api-auth-or-workspace",
        precedence=1315,
        pattern="Invalid authentication credentials",
        confidence=Confidence.LOW,  # any service may say so
        insights=("I08",),
        source="Prefect's guide to troubleshooting",
    ),
    Signature(
        cause="api-server-error-5xx",
        precedence=1320,
        pattern=rf"{API_ERROR}Server error '5\d\d |Server error '5\d\d [^']{{0,60}}{PREFECT_URL}",
        insights=("I02",),
        source="PrefectHQ/prefect#16977",
    ),
)


def _expanded(signature: Signature) -> Iterator[Rule]:
    clue = any_of(message(signature.pattern), all_of(generic, engine_log(signature.pattern)))
    for scope, verdict in ((Scope.CRASHED, Verdict.CRASHED), (Scope.FAILED, Verdict.FAILED)):
        yield Rule(
            cause=signature.cause,
            scope=scope,
            precedence=signature.precedence,
            clue=clue,
            verdict=verdict,
            confidence=signature.confidence,
            severity=Severity.CRITICAL,
            insights=signature.insights,
            versions=signature.versions,
            source=signature.source,
        )


RULES = tuple(rule for signature in SIGNATURES for rule in _expanded(signature))
