"""Clues: small questions put to evidence, of which the rules' tables are made.

The answer is one of three: it holds (with the lines that prove it), it does not, or the part it
needs was not read. That is how an explanation knows what reading more might change.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from prefect_crash_monitor.explain.evidence.attempt import in_attempt
from prefect_crash_monitor.explain.evidence.evidence import Event, Evidence, Log, Part
from prefect_crash_monitor.explain.explanation import Line, Where

ERROR = 40

ENGINE_SAYS = re.compile(
    r"(?:Encountered exception during execution|Engine execution |Crash detected!|Crash details:"
    r"|Unexpected exception encountered when trying to load flow|Concurrency lease renewal failed"
    r"|Failed to submit flow run|Flow could not be retrieved|Validation of flow parameters)"
)
"""How lines of Prefect's own begin; anything else may be a user's words."""

LOGGERS_OF_INFRASTRUCTURE = (".worker", ".observer", ".runner")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The answer to a clue."""

    held: bool
    lines: tuple[Line, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    """Named pieces of what was found: a column, a module, an exit code."""
    unread: frozenset[Part] = frozenset()
    """Not held so far, but these parts were not read."""

    @property
    def open(self) -> bool:
        """Whether reading more may make it hold."""
        return not self.held and bool(self.unread)


MISSED = Finding(held=False)
Clue = Callable[[Evidence], Finding]


def unread(part: Part) -> Finding:
    """The answer where the part that would tell was not read."""
    return Finding(held=False, unread=frozenset({part}))


def holds(*lines: Line, **facts: str) -> Finding:
    """The answer that a clue holds."""
    return Finding(held=True, lines=lines, facts=facts)


def all_of(*clues: Clue) -> Clue:
    """Holds where each of them does."""

    def ask(evidence: Evidence) -> Finding:
        found = []
        for clue in clues:
            finding = clue(evidence)
            if not finding.held and not finding.open:
                return MISSED
            found.append(finding)
        parts = frozenset[Part]().union(*(finding.unread for finding in found))
        if parts:
            return Finding(held=False, unread=parts)
        facts = {key: value for finding in found for key, value in finding.facts.items()}
        lines = tuple(line for finding in found for line in finding.lines)
        return Finding(held=True, lines=lines, facts=facts)

    return ask


def any_of(*clues: Clue) -> Clue:
    """Holds where one of them does; the first that does gives the lines."""

    def ask(evidence: Evidence) -> Finding:
        parts: frozenset[Part] = frozenset()
        for clue in clues:
            finding = clue(evidence)
            if finding.held:
                return finding
            parts |= finding.unread
        return Finding(held=False, unread=parts)

    return ask


def none_of(*clues: Clue) -> Clue:
    """Holds where none of them does."""
    some = any_of(*clues)

    def ask(evidence: Evidence) -> Finding:
        finding = some(evidence)
        return MISSED if finding.held else finding if finding.open else holds()

    return ask


def quietly(clue: Clue) -> Clue:
    """The clue without its lines, where they say nothing alone."""

    def ask(evidence: Evidence) -> Finding:
        finding = clue(evidence)
        return replace(finding, lines=()) if finding.lines else finding

    return ask


def message(pattern: str) -> Clue:
    """The message of the run's state matches anywhere."""
    wanted = re.compile(pattern)

    def ask(evidence: Evidence) -> Finding:
        found = wanted.search(evidence.state.message)
        return holds(state_line(evidence), **_groups(found)) if found else MISSED

    return ask


def state_name(name: str) -> Clue:
    """The run's state is called so."""

    def ask(evidence: Evidence) -> Finding:
        return holds(state_line(evidence)) if evidence.state.name == name else MISSED

    return ask


RAISED = re.compile(
    r"(?:(?:Flow|Task) run encountered an exception[:.]?"
    r"|Execution was interrupted by an unexpected exception:)\s+"
    r"(?:[A-Za-z_]\w{0,60}\.){0,8}(?P<exception>[A-Za-z_]\w{0,100})(?::\s?(?P<text>[\s\S]*))?"
)
"""The wordings of 2.x and 3.x, of flows and of tasks."""


def raised(types: str, text: str = "") -> Clue:
    """The state tells of an exception of one of these types, with this in its own text."""
    wanted, words = re.compile(types), re.compile(text)

    def ask(evidence: Evidence) -> Finding:
        told = RAISED.match(evidence.state.message)
        if told is None or not wanted.fullmatch(told["exception"]):
            return MISSED
        found = words.search(told["text"] or "")
        if found is None:
            return MISSED
        return holds(state_line(evidence), exception=told["exception"], **_groups(found))

    return ask


def engine_log(*patterns: str, level: int = ERROR) -> Clue:
    """One line of Prefect's own (engine, worker, observer) matches all patterns."""
    return _log(patterns, lambda log: log.level >= level and says_prefect(log))


def log(*patterns: str, logger: str = "", since_running: bool = False) -> Clue:
    """One line of any logger whose name ends so matches all patterns."""
    return _log(patterns, lambda log: log.logger.endswith(logger), since_running=since_running)


def event(name: str, **labels: str) -> Clue:
    """An event of this name, its labels and payload matching; `kubernetes__reason` for dots."""
    wanted = re.compile(name)
    wanted_labels = {k.replace("__", "."): re.compile(v) for k, v in labels.items()}

    def fits(one: Event) -> bool:
        told = {**one.payload, **one.labels}
        return wanted.fullmatch(one.name) is not None and all(
            pattern.search(told.get(key, "")) for key, pattern in wanted_labels.items()
        )

    def ask(evidence: Evidence) -> Finding:
        if evidence.events is None:
            return unread(Part.EVENTS)
        found = next((one for one in reversed(evidence.events) if fits(one)), None)
        return holds(event_line(found), **facts_of(found)) if found else MISSED

    return ask


def ran(evidence: Evidence) -> Finding:
    """The attempt was RUNNING."""
    if evidence.course.ran is None:
        return unread(Part.HISTORY)
    return holds() if evidence.course.ran else MISSED


def never_ran(evidence: Evidence) -> Finding:
    """The attempt was never RUNNING."""
    if evidence.course.ran is None:
        return unread(Part.HISTORY)
    if evidence.course.ran:
        return MISSED
    course = " > ".join(state.name for state in (evidence.history or ())[-8:])
    text = f"{course}: never RUNNING" if course else "never RUNNING in this attempt"
    return holds(Line(source=Where.HISTORY, text=text, at=evidence.state.at))


def says_prefect(log: Log) -> bool:
    """Whether a line is Prefect's own, not a user's."""
    return log.logger.endswith(LOGGERS_OF_INFRASTRUCTURE) or bool(ENGINE_SAYS.match(log.text))


def state_line(evidence: Evidence) -> Line:
    """The run's state as evidence."""
    state = evidence.state
    return Line(source=Where.STATE, text=state.message or state.name or state.type, at=state.at)


def event_line(event: Event) -> Line:
    """An event as evidence: its name and the labels that tell something."""
    telling = ("kubernetes.diagnosis", "kubernetes.reason", "prefect.resource.name")
    told = [
        f"{key.rpartition('.')[2]}={event.labels[key]}" for key in telling if key in event.labels
    ]
    told += [f"{key}={event.payload[key]}" for key in ("qualified_name",) if key in event.payload]
    source = Where.WORKER if event.name.startswith("prefect.worker.") else Where.EVENT
    return Line(source=source, text=" ".join([event.name, *told]), at=event.at)


def facts_of(event: Event) -> dict[str, str]:
    """What an event names that a summary may want to say."""
    step = event.payload.get("qualified_name", "").rpartition(".")[2]
    return {"step": step} if step else {}


def _log(
    patterns: Iterable[str], fits: Callable[[Log], bool], *, since_running: bool = False
) -> Clue:
    wanted = [re.compile(pattern) for pattern in patterns]

    def ask(evidence: Evidence) -> Finding:
        if evidence.logs is None:
            return unread(Part.LOGS)
        since = evidence.course.running_at if since_running else None
        for one in filter(fits, evidence.logs):
            if not in_attempt(one.at, since):
                continue
            found = [pattern.search(one.text) for pattern in wanted]
            if all(found):
                matches = [match for match in found if match]
                facts = {k: v for match in matches for k, v in _groups(match).items()}
                return holds(_log_line(one, matches[-1]), **facts)
        return MISSED

    return ask


def _log_line(log: Log, found: re.Match[str]) -> Line:
    """That line of a long record in which the match ends."""
    start = log.text.rfind("\n", 0, found.end()) + 1
    end = log.text.find("\n", found.end())
    line = log.text[start : end if end >= 0 else None].strip(" |+")
    return Line(source=Where.LOG, text=line, at=log.at)


def _groups(found: re.Match[str] | None) -> dict[str, str]:
    return {key: value for key, value in found.groupdict().items() if value} if found else {}
