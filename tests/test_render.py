"""What people read: the words of report, table and notification; no text can misuse them."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from prefect_crash_monitor.count.count import count, record_json
from prefect_crash_monitor.model.crash import Crash, Fate, Observation, Outcome, Source
from prefect_crash_monitor.model.incident import Incident, Kind, Reason, Transition
from prefect_crash_monitor.model.interval import Window
from prefect_crash_monitor.notify.notification import notification
from prefect_crash_monitor.publish.events import incident_event, interval_event
from prefect_crash_monitor.report.crash_table import crash_rows
from prefect_crash_monitor.report.report import Report, headline, render_report
from prefect_crash_monitor.text.sanitize import markdown, one_line

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
INTERVAL = Window(NOON, NOON + 5 * MINUTE)
AS_OF = NOON + timedelta(minutes=5, seconds=30)
UI = "http://127.0.0.1:4200"
RUN = "0199c0de-0000-4000-8000-00000000000{}"

HOSTILE = {
    "quotes": 'it\'s "quoted" `code` ``two``',
    "pipes": "a|b||c \\| d",
    "newlines": "one\n\n# two\r\n- three\u2028four\x0bfive",
    "html": "<script>alert(1)</script><img src=x onerror=alert(1)><!-- -->",
    "entities": "&lt;b&gt; &amp; &#60;i&#62;",
    "image": "![beacon](https://evil.example/x.png)",
    "reference": "[a]: https://evil.example\n\n[a] ![a]",
    "link": "[click here](javascript:alert(1)) <https://evil.example>",
    "bare url": "see https://evil.example and www.evil.example or a@evil.example",
    "mermaid": "```mermaid\ngraph TD; A-->B\n```",
    "tilde fence": "~~~\nx\n~~~ ~~struck~~",
    "indented": "    code\n\tcode",
    "heading": "# heading\n===\n---",
    "rule": "***",
    "emphasis": "**bold** __bold__ *it* _it_ ***both***",
    "list": "- [ ] a",
    "ordered": "1. a",
    "ordered, alone": "1.",
    "ordered, parenthesis": "1)",
    "quote": "> quoted",
    "table": "| a | b |\n| --- | --- |\n| 1 | 2 |",
    "mathematics": "$x$ $$y$$",
    "footnote": "[^1] [^1]: x",
    "backslashes": "C:\\temp\\new\\",
    "emoji": "🔥👩‍👩‍👧 ok",
    "right to left": "abc\u202egpj.exe\u2066x\u2069",
    "invisible": "a\u200bb\ufeffc",
    "escape codes": "\x1b[31mred\x1b[0m\x00\x07",
    "lone surrogate": "a\ud800b",
    "template": "{{ event.payload }} {% for x in y %}",
    "100 kB": "Traceback |<x>`\n" * 6_400,
}


def crash(number: int = 1, **more: Any) -> Crash:
    """A crash in the interval."""
    values: dict[str, Any] = {
        "state_id": f"state-{number}",
        "at": NOON + number * timedelta(seconds=10),
        "flow_run_id": RUN.format(number),
        "flow_run_name": f"calm-koala-{number}",
        "message": "Process exited with status code: -9",
        "run_count": 1,
        "flow": "etl",
        "deployment": "etl/daily",
        "deployment_id": "0199c0de-1111-4000-8000-000000000000",
        "work_pool": "main",
        "work_queue": "default",
    }
    return Crash(**{**values, **more})


def incident(**more: Any) -> Incident:
    """An open incident of three crashes."""
    values: dict[str, Any] = {
        "id": "abcdef012345",
        "episode": 1,
        "rule": "deployment-crashes",
        "scope": "deployment",
        "group": "etl/daily",
        "severity": "warning",
        "opened_at": NOON + 5 * MINUTE,
        "first_crash_at": NOON,
        "last_crash_at": NOON + 2 * MINUTE,
        "burning_until": NOON + 60 * MINUTE,
        "crashes": 3,
        "deployments": {"etl/daily": 3},
        "work_pools": {"main": 3},
        "sample": "Process exited with status code: -9",
        "sample_run_id": RUN.format(1),
        "sample_run_name": "calm-koala-1",
    }
    return Incident(**{**values, **more})


def report_of(*crashes: Crash, fates: tuple[Fate, ...] = (), **more: Any) -> Report:
    """The report of one interval with these crashes."""
    told = [*fates, *[Fate.STILL_CRASHED] * (len(crashes) - len(fates))]
    outcomes = {c.state_id: Outcome(fate=f) for c, f in zip(crashes, told, strict=True)}
    gaps = more.pop("gaps", ())
    observation = Observation(window=INTERVAL, crashes=crashes, outcomes=outcomes, gaps=gaps)
    record = count(observation, INTERVAL, counted_at=AS_OF)
    values = {"monitor": "default", "as_of": AS_OF, "records": (record,), "ui_url": UI}
    return Report(crashes=crashes, outcomes=outcomes, **{**values, **more})


def full_report(text: str) -> Report:
    """A report that shows this text wherever text of strangers goes."""
    names = {"flow_run_name": text, "message": text, "state_name": text}
    where = {"deployment": text, "flow": text, "work_pool": text, "work_queue": text}
    told = {"sample": text, "sample_run_name": text}
    burning = incident(group=text, deployments={text: 2, f"{text}b": 1}, work_pools={text: 3})
    return report_of(
        crash(**names, **where),
        gaps=(f"gap {text}",),
        notices=(text or "-",),
        open_incidents=(replace(burning, **told),),
        resolved=(incident(group=text, resolved_at=AS_OF),),
        series=((INTERVAL, 1, True),),
    )


PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
PARSER.validateLink = lambda _: True  # it hides links of odd schemes, as javascript: and our data:


def structure(text: str) -> list[str]:
    """The kinds of all markdown tokens except plain text, in order."""
    return [t.type for t in flat(PARSER.parse(text)) if t.type not in {"text", "inline"}]


def flat(tokens: list[Token]) -> list[Token]:
    """Tokens with their children, in order."""
    return [inner for token in tokens for inner in [token, *flat(token.children or [])]]


def shown(text: str) -> str:
    """All that a reader sees as text."""
    return "".join(t.content for t in flat(PARSER.parse(text)) if t.type == "text")


def without_seen(text: str) -> bool:
    """Whether nothing of a text can be seen."""
    return not one_line(text, 300)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_changes_nothing_of_the_report(text):
    """The same markdown tokens as with a harmless name, no image, link or HTML more."""
    assert structure(render_report(full_report(text))) == HARMLESS


@given(st.text(st.sampled_from("ab1 .:/\\`*_~#+-=>|!<()[]{}&;@$\"'\n\t\u202e"), max_size=30))
@example("1.")
@example("a_|_b")
@example("\\")
@example("&#124;")
@example("_a_b_")
def test_any_text_is_shown_as_it_is(text):
    """Inert, and still readable: what the reader sees is the text, in a cell and in an item."""
    assume(not without_seen(text))
    cell = f"| {markdown(text)} |\n| --- |\n| {markdown(text)} |\n"

    for source in (f"- {markdown(text)}", f"**{markdown(text)}** x", f"x {markdown(text)}", cell):
        assert structure(source) == structure(source.replace(markdown(text), "name"))
    assert shown(f"- {markdown(text)}") == one_line(text, 120)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_bare_url_becomes_a_link(text):
    """Renderers make links of bare URLs and addresses; ours are the only ones."""
    rendered = render_report(full_report(text)).replace(UI, "").replace("data:image/svg", "")

    assert not re.search(r"https?://|www\.\w|\w@\w", rendered)


HARMLESS = structure(render_report(full_report("name")))


def test_the_harmless_report_has_what_is_compared():
    """The comparison above is of a report that has everything in it."""
    assert HARMLESS.count("image") == 1
    assert HARMLESS.count("link_open") == 4
    assert HARMLESS.count("table_open") == 3
    assert HARMLESS.count("blockquote_open") == 1
    assert not {"html_block", "html_inline", "fence", "code_block"} & set(HARMLESS)


def test_ids_of_a_forged_event_make_no_markup():
    """Anyone may send an event; what its ids hold goes into URLs."""
    evil = "x) ![](https://evil.example/a.png) <b>"
    forged = report_of(crash(deployment_id=evil, flow_run_id=evil))

    honest = report_of(crash())
    assert structure(render_report(forged)) == structure(render_report(honest))


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_the_table_is_json_of_plain_strings(text):
    """One short line a cell, the same columns in each row, valid JSON."""
    report = full_report(text)
    rows = crash_rows([*report.crashes, crash(2)], outcomes(report, 2), limit=10)

    assert json.loads(json.dumps(rows, ensure_ascii=False, allow_nan=False).encode()) == rows
    assert {tuple(row) for row in rows} == {tuple(rows[0])}
    assert all(isinstance(cell, str) and len(cell) <= 300 for row in rows for cell in row.values())
    assert all(cell.isprintable() or "\u200d" in cell for row in rows for cell in row.values())


def outcomes(report: Report, number: int) -> dict[str, Outcome]:
    """The outcomes of a report's crashes, and of one more."""
    return {**report.outcomes, f"state-{number}": Outcome(fate=Fate.RECOVERED)}


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_notification_is_plain_text_for_every_chat(text, kind):
    """Nobody is mentioned, no picture loads, no link hides where it leads; short; valid JSON."""
    told = notification(hostile_transition(text, kind), ui_url=UI, monitor="default")

    whole = told["subject"] + "\n" + told["text"]
    assert "\n" not in told["subject"]
    assert len(told["subject"]) <= 150
    assert len(told["text"]) <= 3_000
    assert not re.search(r"<\S|\]\(|@(channel|here|everyone|all)\b", whole)
    assert all(char.isprintable() or char in "\n\u200d" for char in whole)
    event = incident_event(hostile_transition(text, kind), told, monitor="default", now=NOON)
    json.dumps(event.body(), ensure_ascii=False, allow_nan=False)
    assert all("\n" not in value for value in event.resource.values())


def hostile_transition(text: str, kind: Kind) -> Transition:
    """A transition of an incident that shows this text everywhere."""
    names = {"group": text, "sample": text, "sample_run_name": text}
    where = {"deployments": {text: 2, f"{text}b": 1}, "work_pools": {text: 3}}
    told = incident(**names, **where)
    reason = Reason.THRESHOLD_CROSSED
    return Transition(kind=kind, incident=told, reason=reason, at=told.opened_at)


@pytest.mark.parametrize(
    "text",
    ["<!channel> <!here|x> <@U123> <!subteam^S1>", "@channel @here @everyone @all now"],
)
def test_a_name_cannot_wake_a_whole_channel(text):
    """What Slack, Mattermost and Discord take for a mention is text, and still readable."""
    told = notification(hostile_transition(text, Kind.OPENED), ui_url="", monitor="default")

    assert not re.search(r"<[!@]|@(channel|here|everyone|all)", told["text"] + told["subject"])
    assert "channel" in told["text"]


def test_the_interval_event_is_json_whatever_the_names():
    """Also lone surrogates, which JSON has no bytes for, and 100 kB."""
    for text in HOSTILE.values():
        record = full_report(text).records[0]
        event = interval_event(record, monitor="default", now=AS_OF)
        assert json.loads(json.dumps(event.body(), allow_nan=False))["payload"]["crashed"] == 1


# The words.


def words(report: Report) -> str:
    """The report as a reader sees it, without markup."""
    return shown(render_report(report))


def test_words_without_crashes():
    """Says so first, and how the count is to be understood."""
    report = report_of()

    text = render_report(report)
    assert text.startswith("# 🟢 No flow run crashed, 2026-11-24 12:00–12:05 UTC\n")
    assert headline(report) == "0 crashes, 2026-11-24 12:00–12:05 UTC"
    assert "Counted 2026-11-24 12:05:30 UTC by crash monitor default" in text
    assert "|" not in text


def test_words_of_a_partial_view():
    """Never `no flow run crashed` where that is not known; the reason stands on top."""
    text = render_report(report_of(gaps=("The server keeps events for 7 days only.",)))

    assert text.startswith("# 🟢 No flow run seen to have crashed")
    assert text.index("Partial view") < text.index("keeps events for 7 days")
    assert headline(report_of(gaps=("x",))).startswith("at least 0 crashes")
    assert headline(report_of(gaps=("x",))).endswith("partial view")


def test_words_of_crashes():
    """How many, what became of them, where, which; links into the UI; once each."""
    lost = crash(2, source=Source.FLOW_RUNS, run_count=0, in_process=True)
    report = report_of(crash(), lost, fates=(Fate.STILL_CRASHED, Fate.RECOVERED))

    text = render_report(report)
    assert text.startswith("# 🟠 2 crashes, 2026-11-24 12:00–12:05 UTC")
    assert "**2 crashes**: 1 still crashed, 1 recovered." in text
    assert "Of them subflows: 1." in text
    assert "Found among the flow runs, without an event: 1." in text
    url = f"{UI}/deployments/deployment/0199c0de-1111-4000-8000-000000000000"
    assert f"| [etl/daily]({url}) | 2 | 1 |" in text
    run = f"[calm-koala-1]({UI}/runs/flow-run/{RUN.format(1)})"
    assert f"| {run} | — | still crashed | etl/daily | Crashed |" in text
    assert "Crashed (never started)" in text


def test_without_a_ui_there_are_no_links():
    """On a server whose UI address is unknown."""
    assert "](" not in render_report(replace(full_report("name"), ui_url="", series=()))


def test_words_of_incidents():
    """What is open comes first, with the next step; what ended is said, too."""
    burning = incident(deployments={"etl/daily": 2, "etl/hourly": 1}, group="")
    ended = incident(id="fedcba543210", group="ml/train", resolved_at=AS_OF)
    report = report_of(crash(), open_incidents=(burning,), resolved=(ended,))

    text = render_report(report)
    assert text.startswith("# 🔴 1 crash,")
    assert headline(report).endswith("1 open incident")
    assert "**all deployments**: 3 crashes since 2026-11-24 12:00:00" in text
    assert "in etl/daily (2), etl/hourly (1)" in text
    assert f"next: `prefect flow-run logs {RUN.format(1)}`" in text
    assert "✅ **ml/train** is quiet again (3 crashes, 2 min)" in text
    assert text.index("## Incidents") < text.index("Latest crashes")


def test_words_of_the_trend():
    """Against the interval before, and against the usual where there is enough to know it."""
    before = [Window(NOON - n * 5 * MINUTE, NOON - (n - 1) * 5 * MINUTE) for n in range(12, 0, -1)]
    series = (*((window, 4, True) for window in before), (INTERVAL, 2, True))

    assert "(▼ 2, usually 4)" in headline(report_of(crash(), crash(2), series=series))
    assert "(▼ 2)" in headline(report_of(crash(), crash(2), series=series[-2:]))
    assert "▼" not in headline(report_of(crash(), series=series[-1:]))


def test_the_chart_is_a_picture_that_stands_alone():
    """Well-formed SVG without scripts or references, bounded whatever the number of intervals."""
    series = tuple(
        (Window(NOON + n * MINUTE, NOON + (n + 1) * MINUTE), n % 7, n % 5 > 0) for n in range(600)
    )
    text = render_report(report_of(series=series))
    (picture,) = re.findall(r"!\[[^]]*\]\(data:image/svg\+xml;base64,([^)]+)\)", text)
    svg = base64.b64decode(picture)

    root = ET.fromstring(svg)
    kinds = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert kinds <= {"svg", "title", "line", "text", "rect"}
    assert len(svg) < 30_000


def test_large_numbers_are_cut_and_said():
    """A thousand crashes make a page, not a book; what is left out is named."""
    many = [crash(n, deployment=f"etl/d{n:03}", deployment_id="") for n in range(1, 1_001)]
    many = [replace(c, at=NOON + n * timedelta(milliseconds=200)) for n, c in enumerate(many)]
    text = render_report(report_of(*many))

    assert "**1,000 crashes**" in text
    assert "and 980 more in the artifact crash-runs" in text
    assert "and 985 more in the artifact crash-runs" in text
    assert len(text) < 20_000


def test_a_hundred_incidents_are_cut_and_said():
    """So many open at once: the first twenty, and how to see the others."""
    burning = tuple(incident(id=f"{n:012x}", group=f"g{n}") for n in range(100))

    assert "and 80 more: `crash-monitor incidents`" in render_report(
        report_of(open_incidents=burning)
    )


def test_an_empty_table_has_a_row_that_says_so():
    """Prefect takes the columns from the first row."""
    assert crash_rows([], {}, limit=5) == [{"time (UTC)": "no crashes in this interval"}]


def test_the_table_has_the_newest_rows():
    """At most as many as the policy shows, newest first."""
    rows = crash_rows([crash(1), crash(3), crash(2)], outcomes_of(1, 2, 3), limit=2)

    assert [row["flow run"] for row in rows] == ["calm-koala-3", "calm-koala-2"]
    assert rows[0]["time (UTC)"] == "2026-11-24 12:00:30"


def outcomes_of(*numbers: int) -> dict[str, Outcome]:
    """All still crashed."""
    return {f"state-{number}": Outcome(fate=Fate.STILL_CRASHED) for number in numbers}


def test_words_of_a_notification():
    """What, how many, where, why it is told, and what to type next."""
    burning = incident()
    opened = Transition(
        kind=Kind.OPENED, incident=burning, reason=Reason.THRESHOLD_CROSSED, at=burning.opened_at
    )

    told = notification(opened, ui_url=UI, monitor="default")

    assert told["subject"] == "🔴 3 crashes in etl/daily [warning]"
    assert told["text"].splitlines() == [
        "3 crashes in etl/daily crossed rule deployment-crashes, "
        "the first at 2026-11-24 12:00:00 UTC, the latest at 2026-11-24 12:02:00 UTC.",
        "Pools: main (3)",
        "Evidence: Process exited with status code: -9",
        "",
        f"Logs:  prefect flow-run logs {RUN.format(1)}",
        f"Retry: prefect flow-run retry {RUN.format(1)}",
        "Open:  crash-monitor incidents",
        f"Run:   {UI}/runs/flow-run/{RUN.format(1)}",
        f"Report: {UI}/artifacts/key/crash-report",
        "Incident abcdef012345.1",
    ]


def test_a_reminder_and_an_all_clear_say_what_they_are():
    """The subject alone tells them apart."""
    reminded = incident(reminders=2)
    at = reminded.opened_at + timedelta(hours=5)
    reminder = Transition(kind=Kind.REMINDED, incident=reminded, reason=Reason.REMINDER_DUE, at=at)
    resolved = Transition(
        kind=Kind.RESOLVED, incident=incident(), reason=Reason.QUIET_PERIOD_OVER, at=at
    )

    again = notification(reminder, ui_url=UI, monitor="eu")
    clear = notification(resolved, ui_url=UI, monitor="eu")

    assert again["subject"] == "🔴 still open: 3 crashes in etl/daily [warning]"
    assert "Open for 5 h now (reminder 2): 3 crashes in etl/daily" in again["text"]
    assert "crash-monitor incidents --policy eu" in again["text"]
    assert clear["subject"] == "✅ resolved: 3 crashes in etl/daily [warning]"
    assert (
        "All clear in etl/daily (rule deployment-crashes: quiet for long enough)" in clear["text"]
    )
    assert "Retry" not in clear["text"]


def test_the_record_as_json_has_every_key_of_the_contract():
    """Also with nothing in it."""
    keys = {"since", "until", "complete", "counted_at", "crashed", "still_crashed", "superseded"}
    keys |= {"recovered", "deleted", "in_process_subflows", "monitor_crashed", "sources", "by"}

    assert keys <= set(record_json(report_of().records[0]))
