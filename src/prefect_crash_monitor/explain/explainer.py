"""Explain: from evidence to a verdict, a cause and what to do. Pure, and never raises."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from functools import lru_cache

from prefect_crash_monitor.explain.causes.table import CAUSES, UNKNOWN
from prefect_crash_monitor.explain.clues.clues import Finding, state_line
from prefect_crash_monitor.explain.evidence.evidence import Evidence, Names, Part
from prefect_crash_monitor.explain.explanation import (
    Confidence,
    Explanation,
    Line,
    Severity,
    Verdict,
    Where,
)
from prefect_crash_monitor.explain.healthy import healthy
from prefect_crash_monitor.explain.rules.cause_rule import Rule
from prefect_crash_monitor.explain.rules.table import BY_SCOPE
from prefect_crash_monitor.redaction.redact import redact
from prefect_crash_monitor.text.sanitize import one_line

LINES = 5
"""Lines of evidence that an explanation shows."""

LINE_LENGTH = 500

ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""Ids are no secrets, and each of thousands is another."""

LOOP = 3
"""Crashes of one run that make a crash loop (I12)."""

CHEAP = frozenset({Part.LOGS, Part.EVENTS, Part.HISTORY})
"""Parts that Prefect's API gives; an answer without them is less sure."""

UNTOLD = {"CRASHED": Verdict.CRASHED, "FAILED": Verdict.FAILED}
"""States that are wrong even where no rule fits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The rule that fits, and what was found; and what unread parts might still overrule it."""

    rule: Rule | None
    finding: Finding
    unread: frozenset[Part]


def explain(evidence: Evidence, now: datetime | None = None) -> Explanation:
    """Why the run is as it is, judged as of `now`, or of the time when it was captured."""
    evidence = evidence.as_of(now)
    return _answer(evidence, best_match(evidence))


def needs_logs(evidence: Evidence) -> bool:
    """Whether the run's logs, if they were read, might change its explanation."""
    return _needs_logs(evidence, best_match(evidence))


def first_answer(evidence: Evidence) -> tuple[Explanation, bool]:
    """What `explain` and `needs_logs` say, for the price of one."""
    match = best_match(evidence)
    return _answer(evidence, match), _needs_logs(evidence, match)


def best_match(evidence: Evidence) -> Match:
    """The first rule that holds, in the order of precedence."""
    unread: frozenset[Part] = frozenset()
    for rule in BY_SCOPE.get(evidence.state.type, ()):
        finding = rule.clue(evidence)
        if finding.held:
            return Match(rule=rule, finding=finding, unread=unread)
        unread |= finding.unread
    return Match(rule=None, finding=Finding(held=False), unread=unread)


def _needs_logs(evidence: Evidence, match: Match) -> bool:
    return evidence.logs is None and bool(match.unread & {Part.LOGS, Part.EVENTS})


def _answer(evidence: Evidence, match: Match) -> Explanation:
    if match.rule is not None:
        return _explained(evidence, match, match.rule)
    verdict = UNTOLD.get(evidence.state.type)
    return _untold(evidence, verdict) if verdict else healthy(evidence)


def _explained(evidence: Evidence, match: Match, rule: Rule) -> Explanation:
    cause = CAUSES[rule.cause]
    facts = {key: _safe(value) for key, value in match.finding.facts.items()}
    words = [cause.meaning, *_filled(cause.details, facts), *_standing(evidence, rule.verdict)]
    return Explanation(
        flow_run_id=_safe(evidence.names.run),
        flow_run_name=_safe(evidence.names.run_name),
        verdict=rule.verdict,
        cause=rule.cause,
        confidence=_sure(rule, match.unread),
        severity=rule.severity,
        title=cause.title,
        summary=" ".join(words),
        evidence=shown(_telling_first(evidence, match.finding.lines)),
        remediation=cause.remediation,
        commands=commands(cause.commands, evidence.names),
        insights=insights(evidence, rule.insights),
        recovered=evidence.course.crash_left,
    )


def _untold(evidence: Evidence, verdict: Verdict) -> Explanation:
    """A run that ended badly and left nothing that a rule knows."""
    cause = CAUSES[UNKNOWN]
    return Explanation(
        flow_run_id=_safe(evidence.names.run),
        flow_run_name=_safe(evidence.names.run_name),
        verdict=verdict,
        cause=UNKNOWN,
        confidence=Confidence.LOW,
        severity=Severity.WARNING,
        title=cause.title,
        summary=cause.meaning,
        evidence=shown([state_line(evidence)]),
        remediation=cause.remediation,
        commands=commands(cause.commands, evidence.names),
        insights=insights(evidence, ("I09",)),
        recovered=evidence.course.crash_left,
    )


def _telling_first(evidence: Evidence, lines: Iterable[Line]) -> Iterable[Line]:
    """What was found, then the state, whose message may say nothing, and the history last."""
    found = list(lines)
    past = [line for line in found if line.source is Where.HISTORY]
    return [*(line for line in found if line not in past), state_line(evidence), *past]


def shown(lines: Iterable[Line]) -> tuple[Line, ...]:
    """The lines as they may be shown: redacted, on one line each, shortened, none twice."""
    safe = (Line(source=line.source, text=_safe(line.text), at=line.at) for line in lines)
    return tuple(dict.fromkeys(safe))[:LINES]


@lru_cache(maxsize=1_000)
def _safe(text: str) -> str:
    """Remembered, since thousands of crashes have the same message."""
    return text if ID.fullmatch(text) else one_line(text, LINE_LENGTH)


def commands(templates: Iterable[str], names: Names) -> tuple[str, ...]:
    """The commands of which all names are known, quoted for a shell."""
    known = {field.name: getattr(names, field.name) for field in fields(names)}
    quoted = {key: _quoted(value) for key, value in known.items() if value}
    return tuple(_filled(templates, {key: value for key, value in quoted.items() if value}))


def insights(evidence: Evidence, of_rule: Iterable[str]) -> tuple[str, ...]:
    """Those of the rule, and a crash loop where the run crashed again and again."""
    loop = ("I12",) if evidence.course.crashes >= LOOP else ()
    return tuple(dict.fromkeys((*of_rule, *loop)))


@lru_cache(maxsize=10_000)
def _quoted(value: str) -> str:
    """A name as a command can carry it; empty for an option, control characters, a secret."""
    if ID.fullmatch(value):
        return value
    plain = value.isprintable() and not value.startswith("-")
    return shlex.quote(value) if plain and redact(value) == value else ""


def _sure(rule: Rule, unread: frozenset[Part]) -> Confidence:
    """One step less sure where parts that were not read might say otherwise.

    Prefect itself tells of crashes on Kubernetes, but why a pod is a ghost only Kubernetes does.
    """
    telling = CHEAP | {Part.KUBERNETES} if rule.verdict is Verdict.GHOST else CHEAP
    if not unread & telling:
        return rule.confidence
    return Confidence.MEDIUM if rule.confidence is Confidence.HIGH else Confidence.LOW


def _standing(evidence: Evidence, verdict: Verdict) -> Iterable[str]:
    state = _safe(evidence.state.name or evidence.state.type)
    if verdict is Verdict.GHOST:
        yield f"Prefect still shows the run as {state}."
    if any(state.type == "COMPLETED" for state in evidence.history or ()):
        yield "The run had already completed once."


def _filled(templates: Iterable[str], known: Mapping[str, str]) -> list[str]:
    """The templates whose every name is known, with the names in them."""
    filled = []
    for template in templates:
        try:
            filled.append(template.format_map(known))
        except KeyError:
            continue
    return filled
