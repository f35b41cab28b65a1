"""Writes docs/causes.md from the explainer's own tables, so that the two cannot drift apart.

Run it after changing a cause or a rule: `python -m docs.causes`. A test holds the file against it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Formatter

from docs.clue_words import alternatives, in_full, words
from docs.insights import INSIGHTS, SIGNATURES, Insight, Sample, Signature

from prefect_crash_monitor.explain import CAUSES, RULES, Evidence, explain
from prefect_crash_monitor.explain.causes import failed as causes_failed
from prefect_crash_monitor.explain.causes import kubernetes as causes_kubernetes
from prefect_crash_monitor.explain.causes import process as causes_process
from prefect_crash_monitor.explain.causes import signatures as causes_signatures
from prefect_crash_monitor.explain.causes import waiting as causes_waiting
from prefect_crash_monitor.explain.causes.cause import Cause
from prefect_crash_monitor.explain.causes.table import UNKNOWN
from prefect_crash_monitor.explain.clues.kubernetes import SIGNS
from prefect_crash_monitor.explain.evidence.evidence import Course, Log, State
from prefect_crash_monitor.explain.explainer import UNTOLD
from prefect_crash_monitor.explain.explanation import Severity
from prefect_crash_monitor.explain.rules.cause_rule import Rule
from prefect_crash_monitor.explain.rules.process import generic

TARGET = Path(__file__).parent / "causes.md"

INTRODUCTION = """\
# Causes

What `crash-monitor explain` and the report can say of a run, how each cause is told, and what to
do. This page is made of the explainer's own tables by `python -m docs.causes`.

A rule looks at a run in the state that it names. The first rule that fits wins, in an order that
asks for special signs before general ones; where a part of the evidence was not read, the answer
is one step less sure than said here. Where no rule fits the answer is `unknown`, and for a run
with which nothing is wrong it is `healthy`, without a cause.

| verdict | the run |
| --- | --- |
| crashed | was ended, or never started, by its infrastructure |
| failed | failed by its own code or data |
| ghost | has ended without saying so |
| stuck | cannot start |
| healthy | is done, cancelled, paused, waits for its time, or runs and is alive |
"""

READING = """\
## How to read it

In a rule, what `;` separates must all hold, also within brackets. `…` stands for anything,
`<name>` for what the explanation then names. Wordings are looked for within messages and log
lines, not as the whole.

- The **message** is that of the run's state. It is **generic** where it means nothing alone, and
  what stands next to it decides: {}; or no message at all.
- The **attempt** is the run since it was last scheduled: logs and events of an earlier one explain
  nothing of this one.
- **Prefect's own log** are the lines of engine, worker and observer, not those of a flow's code.
- **Its end shows** where every pod is over, its worker saw it end or was stopped, or it has been
  silent for more than three heartbeat periods.
- **An end of the process's own making** is a `sys.exit`, an exception that no `except Exception`
  catches, or native code that crashed: no node and no cluster made it.
- The **observer** is the one of prefect-kubernetes: its log and its pod events, with their
  diagnosis, are read from Prefect. What the **pod**, the **Job** and the **cluster** say themselves
  is known only where a bundle holds it: the monitor does not read the cluster.
- In **commands** the explanation fills in the names; one whose names are not known is left out.
"""

GROUPS: Mapping[str, Mapping[str, Cause]] = {
    "Processes and workers": causes_process.CAUSES,
    "Error signatures": causes_signatures.CAUSES,
    "Kubernetes and containers": causes_kubernetes.CAUSES,
    "Failed by code or data": causes_failed.CAUSES,
    "Waiting, and ghosts": causes_waiting.CAUSES,
}

BY_CAUSE: Mapping[str, tuple[Rule, ...]] = {
    slug: tuple(rule for rule in RULES if rule.cause == slug) for slug in CAUSES
}

SIGNS_OF = {sign.cause: sign for sign in SIGNS}
SEVERITIES = tuple(Severity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """How rules that differ in the state only tell a cause."""

    states: tuple[str, ...]
    rule: Rule

    @property
    def head(self) -> str:
        """Of which runs, with which answer."""
        states = " or ".join(self.states)
        return f"**{self.rule.verdict}**, {self.rule.confidence} confidence, of a {states} run"


def causes_page() -> str:
    """The whole page."""
    parts = [
        INTRODUCTION,
        *_index(),
        *_insights(),
        *_signatures(),
        READING.format(in_full(generic).removeprefix("the message says ")),
        *(line for title, causes in GROUPS.items() for line in _group(title, causes)),
    ]
    return "\n".join(parts).rstrip() + "\n"


def causes_of(insight: str) -> tuple[str, ...]:
    """The causes whose rules carry the insight, in the order of the page."""
    told = {rule.cause for rule in RULES if insight in rule.insights}
    return tuple(slug for slug in CAUSES if slug in told)


def cause_of(sample: Sample) -> str:
    """What the explainer takes a run for that shows a signature so."""
    logs = [Log(at=None, level=40, logger=sample.logger, text=sample.log)] if sample.log else []
    evidence = Evidence(
        state=State(type=sample.state, name=sample.state.capitalize(), message=sample.message),
        course=Course(ran=sample.ran, heartbeats=0),
        history=(),
        logs=tuple(logs),
        events=(),
    )
    return explain(evidence).cause or UNKNOWN


def _index() -> Iterator[str]:
    yield "## Index\n"
    for title, causes in GROUPS.items():
        yield f"| {title} | in words | verdict | severity |"
        yield "| --- | --- | --- | --- |"
        for slug, cause in causes.items():
            yield f"| {_link(slug)} | {cause.title} | {_verdicts(slug)} | {_severities(slug)} |"
        yield ""


def _insights() -> Iterator[str]:
    yield "## Insights\n"
    yield "The known troubles of Prefect in production, the causes that tell of each, and what"
    yield "this version does not look for yet.\n"
    yield "| insight | severity | told by | not looked for yet |"
    yield "| --- | --- | --- | --- |"
    for number, insight in INSIGHTS.items():
        head = f"{number} {insight.title} | {insight.severity}"
        yield f"| {head} | {_told_by(number, insight)} | {insight.missing or '-'} |"
    yield ""


def _told_by(number: str, insight: Insight) -> str:
    causes = ", ".join(map(_link, causes_of(number)))
    return "; ".join(part for part in (causes, insight.beside) if part)


def _signatures() -> Iterator[str]:
    yield "## Error signatures, and what they are taken for\n"
    yield "| signature | causes, by where it is found | today |"
    yield "| --- | --- | --- |"
    for signature in SIGNATURES:
        yield f"| `{signature.text}` | {_taken_for(signature)} | {signature.today} |"
    yield ""


def _taken_for(signature: Signature) -> str:
    found = dict.fromkeys(cause_of(sample) for sample in signature.samples)
    return ", ".join(map(_link, found))


def _group(title: str, causes: Mapping[str, Cause]) -> Iterator[str]:
    yield f"## {title}\n"
    for slug, cause in causes.items():
        yield from _cause(slug, cause)


def _cause(slug: str, cause: Cause) -> Iterator[str]:
    yield f"### {slug}\n"
    yield f"**{cause.title}.** {cause.meaning}"
    for detail in cause.details:
        yield _named(detail)
    yield f"\nSeverity {_severities(slug)}{_insights_of(slug)}.\n"
    yield from _how(slug)
    yield "What to do:\n"
    yield from (f"- {remedy}" for remedy in cause.remediation)
    yield "\n```bash"
    yield from map(_command, cause.commands)
    yield "```\n"


def _how(slug: str) -> Iterator[str]:
    yield "How it is told:\n"
    versions = {rule.versions for rule in BY_CAUSE[slug]}
    for told in _merged(BY_CAUSE[slug]):
        head = told.head + (f" ({told.rule.versions})" if len(versions) > 1 else "")
        parts = alternatives(told.rule.clue)
        if len(parts) == 1:
            yield f"- {head}: {parts[0]}"
        else:
            yield f"- {head}, where one of these holds:"
            yield from (f"  - {part}" for part in parts)
    if slug == UNKNOWN:
        yield f"- **{'** or **'.join(UNTOLD.values())}**, low confidence, where no rule fits"
    if sign := SIGNS_OF.get(slug):
        yield "\nThe signs, of which any will do:\n"
        yield from (f"- {part}" for part in alternatives(sign.clue))
    yield f"\n{_known(BY_CAUSE[slug])}\n"


def _merged(rules: Iterable[Rule]) -> list[Told]:
    """Rules that ask and answer the same of runs in several states, as one."""
    found: dict[tuple[str, ...], Told] = {}
    for rule in rules:
        key = (words(rule.clue), rule.verdict, rule.confidence)
        before = found[key].states if key in found else ()
        found[key] = Told(states=tuple(dict.fromkeys((*before, rule.scope))), rule=rule)
    return list(found.values())


def _known(rules: Collection[Rule]) -> str:
    sources = dict.fromkeys(
        re.sub("^recorded", "recorded runs", rule.source) for rule in rules if rule.source
    )
    versions = {rule.versions for rule in rules}
    true_for = f"True for {', '.join(versions)}. " if len(versions) == 1 else ""
    return f"{true_for}Known from {' · '.join(sources)}."


def _verdicts(slug: str) -> str:
    verdicts = dict.fromkeys(rule.verdict for rule in BY_CAUSE[slug])
    untold = dict.fromkeys(UNTOLD.values()) if slug == UNKNOWN else {}
    return ", ".join(verdicts | untold)


def _severities(slug: str) -> str:
    found = {rule.severity for rule in BY_CAUSE[slug]}
    return ", ".join(severity for severity in SEVERITIES if severity in found)


def _insights_of(slug: str) -> str:
    numbers = [number for number in INSIGHTS if slug in causes_of(number)]
    return f"; insight {', '.join(numbers)}" if numbers else ""


def _named(detail: str) -> str:
    """What the explanation adds where the evidence names it."""
    names = {name: f"`<{name}>`" for _, name, _, _ in Formatter().parse(detail) if name}
    return f"Where the evidence names it: {detail.format_map(names)}"


def _command(template: str) -> str:
    names = {name: name.upper() for _, name, _, _ in Formatter().parse(template) if name}
    return template.format_map(names)


def _link(slug: str) -> str:
    return f"[{slug}](#{slug})"


if __name__ == "__main__":
    TARGET.write_text(causes_page())
