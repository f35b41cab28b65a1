"""Wordings of every rule: recorded, or quoted from where they are documented."""

from __future__ import annotations

import pytest
from tests.cases import documented, documented_cluster
from tests.cases.bundles import LABELS, recorded
from tests.cases.documented import Case

from prefect_crash_monitor.explain import CAUSES, RULES, evidence_of_bundle, explain
from prefect_crash_monitor.explain.explainer import best_match

ALL: tuple[Case, ...] = (
    *documented.EXITS,
    *documented.INTERRUPTED,
    *documented.MARKED,
    *documented.LOADED,
    *documented.SIGNATURES,
    *documented.DATA,
    *documented_cluster.CLUSTER,
    *documented_cluster.WAITING,
)


def named(number: int, case: Case) -> str:
    """A readable name of a case for the report."""
    states = case.bundle.get("states") or [{"type": "none"}]
    return f"{number:03}-{states[-1]['type'].lower()}-{case.cause}"


CASES = {named(number, case): case for number, case in enumerate(ALL)}


@pytest.mark.parametrize("name", CASES)
def test_wording_is_taken_for_its_cause(name):
    """Old and new wordings; each case says where its wording is from."""
    case = CASES[name]
    answer = explain(evidence_of_bundle(case.bundle))

    assert (answer.verdict, answer.cause) == (case.verdict, case.cause), case.source


def test_every_rule_has_a_case():
    """A rule that nothing is taken for is one that nobody has tried."""
    bundles = [case.bundle for case in CASES.values()] + [recorded(name) for name in LABELS]
    matched = {id(best_match(evidence_of_bundle(bundle)).rule) for bundle in bundles}
    untried = [
        (rule.scope, rule.precedence, rule.cause) for rule in RULES if id(rule) not in matched
    ]

    assert untried == []


def test_every_cause_of_a_rule_is_described():
    """And none is described that no rule gives, but for `unknown`."""
    assert {rule.cause for rule in RULES} | {"unknown"} == set(CAUSES)


@pytest.mark.parametrize("slug", CAUSES)
def test_causes_say_what_to_do(slug):
    """A title without a full stop, sentences with one, and at least one remedy."""
    cause = CAUSES[slug]

    assert not cause.title.endswith(".")
    assert cause.remediation
    assert all(text.endswith(".") for text in (cause.meaning, *cause.remediation, *cause.details))


def test_precedences_do_not_collide():
    """Two rules of the same precedence would be asked in an order that nobody chose."""
    places = [(rule.scope, rule.precedence) for rule in RULES]

    assert len(places) == len(set(places))
