"""The pages on causes and on names are held against the explainer, the commands and the tree."""

from __future__ import annotations

import re

import pytest
import typer.main
from docs import clue_words
from docs.causes import cause_of, causes_of, causes_page
from docs.insights import INSIGHTS, SIGNATURES

from prefect_crash_monitor.cli.app import app
from prefect_crash_monitor.explain import CAUSES, RULES

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]

NAMES = """
ETL Task3, lakefs_test_latest_file.csv, read_deployment, _submit_run, _check_flow_run,
concurrency_limit, for_each, backpressure, MockValSer, SchemaSerializer,
_mark_flow_run_as_cancelled, set_flow_run_state, runner, ghost runs, Kueue, SIGTERM, SIGKILL,
kubernetes-job, Pending, zombie flow run, terminal state, Crashed, Lazarus Service, Failed state,
Cloud hooks, agent, worker, flow run, on_failure, asyncpg, SQLAlchemy, pgbouncer, prefect-server,
prefect-worker, run_deployment, httpx, state handlers, Automations API
"""
REFERENCES = [name.strip() for name in NAMES.replace("\n", " ").split(",")]

PROMISED = [
    "500 Internal Server Error",
    "prefect.exceptions.PrefectHTTPStatusError",
    "unhandled errors in a TaskGroup",
    "TypeError: 'MockValSer' object cannot be converted to 'SchemaSerializer'",
    "ExceptionGroup: unhandled errors in a TaskGroup",
    "Pod never started",
    "Pod has status 'Pending'",
    "remaining connection slots are reserved for non-replication superuser connections",
    "asyncpg.exceptions.TooManyConnectionsError",
    "connection-limit reached error",
    "httpx crash",
]

GONE = {
    "_check_flow_run",
    "kubernetes-job",
    "Lazarus Service",
    "Cloud hooks",
    "agent",
    "state handlers",
}


@pytest.fixture
def causes(repository) -> str:
    """The page of causes as it is in the repository."""
    return (repository / "docs" / "causes.md").read_text()


@pytest.fixture
def glossary(repository) -> str:
    """The glossary."""
    return (repository / "docs" / "glossary.md").read_text()


def entries(page: str) -> dict[str, str]:
    """The text under each heading of the third level, by heading; each heading only once."""
    parts = re.split(r"^### (.+)$", page, flags=re.MULTILINE)[1:]
    assert len(parts[::2]) == len(set(parts[::2]))
    found = zip(parts[::2], parts[1::2], strict=True)
    return {heading: text.partition("\n## ")[0] for heading, text in found}


def row(page: str, first: str) -> list[str]:
    """The cells of the one table row that begins with this."""
    (line,) = re.findall(rf"^\| ({re.escape(first)} .*) \|$", page, re.MULTILINE)
    return [cell.strip() for cell in line.split("|")]


def links_to_causes(text: str) -> set[str]:
    """The causes that a text links to."""
    return set(re.findall(r"\]\((?:causes\.md)?#([\w-]+)\)", text))


def test_the_page_of_causes_is_made_of_the_tables(causes):
    """Run `python -m docs.causes` after changing a cause or a rule."""
    assert causes == causes_page()


def test_every_cause_has_its_entry(causes):
    """Those described and those of rules are the same, and all are on the page."""
    assert set(entries(causes)) == set(CAUSES) == {rule.cause for rule in RULES} | {"unknown"}


@pytest.mark.parametrize("slug", CAUSES)
def test_an_entry_says_it_all(causes, slug):
    """Meaning, severity, how it is told, what to do, and a command."""
    text = entries(causes)[slug]
    cause = CAUSES[slug]

    assert f"**{cause.title}.** {cause.meaning}" in text
    assert all(f"- {remedy}" in text for remedy in cause.remediation)
    assert re.search(r"^Severity (critical|warning|info)", text, re.MULTILINE)
    assert re.search(r"^- \*\*(crashed|failed|ghost|stuck)\*\*", text, re.MULTILINE)
    assert re.search(r"^```bash\n\w", text, re.MULTILINE)


def test_every_cause_is_in_the_index(causes):
    """Once, as a link with its title."""
    index = causes.partition("## Insights")[0]

    for slug, cause in CAUSES.items():
        assert index.count(f"| [{slug}](#{slug}) | {cause.title} |") == 1


@pytest.mark.parametrize(
    "rule", RULES, ids=[f"{rule.cause}-{rule.scope}-{rule.precedence}" for rule in RULES]
)
def test_a_rule_is_told_in_words(causes, rule):
    """Nothing of how patterns are written is left in the words for a person."""
    told = clue_words.words(rule.clue)

    assert told
    assert not re.search(r"\\[bwdsS.]|\(\?|\{\d*,\d*\}|<locals>", told)
    assert all(part in causes for part in clue_words.alternatives(rule.clue))


@pytest.mark.parametrize(
    ("pattern", "texts"),
    [
        ("status code:? -9", ["status code: -9"]),
        ("a|b", ["a", "b"]),
        ("^x (?:y|z)$", ["x y", "x z"]),
        (r"(?:late )?end\.", ["end.", "late end."]),
        (r"'(?P<path>[^'\n]{1,300})'", ["'<path>'"]),
        (r"code (?P<code>1|2)(?!\d)", ["code 1/2"]),
        (r"a.{0,60}b\s+5\d\d", ["a…b 5NN"]),
        ("40[13] ", ["401", "403"]),
        (r"(?i)up[/\\]down|(?-i:left)", ["up/down", "left"]),
    ],
)
def test_patterns_become_texts(pattern, texts):
    """What a person would look for; `…` for what varies."""
    assert clue_words.texts(pattern) == texts


@pytest.mark.parametrize("number", [f"I{n:02}" for n in range(1, 17)])
def test_every_insight_leads_to_its_causes(causes, number):
    """Or to what shows it beside a cause; and what is not looked for is said."""
    insight = INSIGHTS[number]
    _, severity, told_by, missing = row(causes, number)

    assert links_to_causes(told_by) == set(causes_of(number))
    assert links_to_causes(told_by) or insight.beside
    assert severity == insight.severity
    assert missing == (insight.missing or "-")


def test_rules_carry_known_insights_only():
    """A typing error would hide one."""
    assert {number for rule in RULES for number in rule.insights} <= set(INSIGHTS)


@pytest.mark.parametrize("signature", SIGNATURES, ids=lambda signature: signature.text)
def test_every_signature_leads_to_its_causes(causes, signature):
    """The explainer itself is asked; a text that it does not know would be `unknown`."""
    _, told_by, _ = row(causes, f"`{signature.text}` |")
    taken_for = {cause_of(sample) for sample in signature.samples}

    assert links_to_causes(told_by) == taken_for
    assert taken_for.isdisjoint({"unknown", "user-exception", "crashed-by-user-or-api"})


def test_all_signatures_are_there():
    """Those that people were promised, in that order."""
    assert [signature.text for signature in SIGNATURES] == PROMISED


def test_commands_of_ours_exist(causes):
    """A command that the page offers can be typed."""
    offered = set(re.findall(r"\bcrash-monitor (\w+)", causes))

    assert offered
    assert offered <= set(COMMANDS)


def test_every_reference_is_an_entry_of_the_glossary(glossary):
    """All 38, each once, and nothing else."""
    assert len(REFERENCES) == 38
    assert sorted(entries(glossary)) == sorted(REFERENCES)


@pytest.mark.parametrize("name", REFERENCES)
def test_an_entry_of_the_glossary_says_what_is_today_and_here(glossary, name):
    """Also what took its place, for what is gone and for nothing else."""
    said = re.findall(r"^- \*\*(\w+):\*\* ", entries(glossary)[name], re.MULTILINE)

    assert said == (["Today", "Successor", "Here"] if name in GONE else ["Today", "Here"])
    assert ("**Today:** gone" in entries(glossary)[name]) == (name in GONE)


def test_what_the_glossary_names_exists(glossary, repository):
    """Modules, pages and headings, causes, and commands of ours."""
    files = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", glossary)
    within = re.findall(r"\]\(#([\w-]+)\)", glossary)
    headings = re.findall(r"^## (.+)$", glossary, re.MULTILINE)

    assert [path for path in files if not (repository / "docs" / path).is_file()] == []
    assert set(re.findall(r"causes\.md#([\w-]+)", glossary)) <= set(CAUSES)
    assert within == [heading.lower().replace(" ", "-") for heading in headings]
    assert set(re.findall(r"`crash-monitor (\w+)", glossary)) <= set(COMMANDS)


def test_the_groups_of_the_glossary_list_their_entries(glossary):
    """Its index is whole, and in the order of the page."""
    listed = re.findall(r"^\| \[.+?\]\(#.+?\) \| (.+) \|$", glossary, re.MULTILINE)

    assert ", ".join(listed).split(", ") == list(entries(glossary))


def test_the_glossary_is_right_about_what_is_gone():
    """Asked of the Prefect that is installed."""
    import prefect
    from prefect.client.orchestration import PrefectClient
    from prefect.runner import Runner
    from prefect.workers.base import BaseWorker

    assert hasattr(PrefectClient, "read_deployment")
    assert hasattr(PrefectClient, "set_flow_run_state")
    assert hasattr(BaseWorker, "_submit_run")
    assert not hasattr(BaseWorker, "_check_flow_run")
    assert hasattr(BaseWorker, "_mark_flow_run_as_cancelled")
    in_the_runner = prefect.__version__.startswith("3.8.")
    assert hasattr(Runner, "_mark_flow_run_as_cancelled") is in_the_runner
