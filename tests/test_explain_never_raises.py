"""Whatever a bundle holds: an answer, in the promised shape, in time that grows with its size."""

from __future__ import annotations

import copy
import json
import time
import unicodedata
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cases.bundles import LABELS, recorded

from prefect_crash_monitor.explain import (
    CAUSES,
    Evidence,
    Explanation,
    evidence_of_bundle,
    evidence_of_crash,
    explain,
    needs_logs,
)
from prefect_crash_monitor.explain.explainer import best_match
from prefect_crash_monitor.model.crash import Crash

TYPES = ["CRASHED", "FAILED", "RUNNING", "PENDING", "SCHEDULED", "CANCELLING", "COMPLETED", "X"]
WORDS = [
    "Process exited with status code: 1.",
    "Flow run encountered an exception: KeyError: 'x'",
    "unhandled errors in a TaskGroup (1 sub-exception)",
    "No active or succeeded pods found for any job",
    "prefect.kubernetes.pod.evicted",
    "prefect.worker.executed-flow-run",
    "prefect.flow-run.heartbeat",
    "2026-11-24T12:00:00Z",
    "9999-12-31T23:59:59-23:59",
    "0001-01-01T00:00:00+14:00",
    "OOMKilled",
    "\ud800 lone",
    "\x00\x1b[2J",
    "²",
    "-",
]
KEYS = [
    *("flow_run", "states", "logs", "events", "kubernetes", "captured_at", "id", "name", "state"),
    *("type", "state_type", "message", "timestamp", "level", "event", "occurred", "resource"),
    *("payload", "related", "labels", "pods", "jobs", "status", "metadata", "spec", "conditions"),
    *("containerStatuses", "terminated", "waiting", "reason", "empirical_policy", "run_count"),
    *("infrastructure_pid", "state_details", "scheduled_time", "exitCode", "suspend"),
    *("kubernetes.diagnosis", "prefect.resource.id", "prefect.state-type", "prefect.worker-type"),
]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from([*TYPES, *WORDS]),
    st.text(st.characters(exclude_categories=[]), max_size=20),
)
json_values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=6),
    ),
    max_leaves=30,
)
bundles = st.dictionaries(st.sampled_from(KEYS), json_values, max_size=8)
RECORDED = {name: recorded(name) for name in LABELS}


def promised(answer: Explanation) -> bool:
    """Whether an answer can be printed, stored and acted on."""
    told = answer.to_json()
    json.dumps(told).encode()
    json.dumps(told, ensure_ascii=False).encode()
    texts = [answer.title, answer.summary, *(line.text for line in answer.evidence)]
    plain = all(unicodedata.category(char) not in {"Cc", "Cs"} for char in "".join(texts))
    return plain and (answer.cause is None or answer.cause in CAUSES)


def answered(bundle: Any) -> bool:
    """Whether a bundle gets an answer of the promised kind."""
    evidence = evidence_of_bundle(bundle)
    needs_logs(evidence)
    return promised(explain(evidence)) and promised(explain(evidence, now=datetime.now(UTC)))


@given(bundles)
def test_any_bundle_gets_an_answer(bundle):
    """Missing keys, nulls, wrong types, lone surrogates, times at the end of time."""
    assert answered(bundle)


@given(json_values)
def test_what_is_no_bundle_gets_an_answer(value):
    """A list, a number, a text: the command says that it is no bundle, this does not break."""
    assert answered(value)


@given(st.sampled_from(sorted(LABELS)), st.data())
def test_a_damaged_recording_gets_an_answer(name, data):
    """One value anywhere in it replaced, or a list cut off, several times."""
    bundle = copy.deepcopy(RECORDED[name])
    for _ in range(data.draw(st.integers(1, 6))):
        damage(bundle, data)

    assert answered(bundle)


def damage(value: Any, data: st.DataObject) -> None:
    """Goes down a random way and breaks what is there."""
    while value:
        places = list(value) if isinstance(value, dict) else range(len(value))
        place = data.draw(st.sampled_from(places))
        inner = value[place]
        if isinstance(inner, dict | list) and data.draw(st.booleans()):
            value = inner
            continue
        if isinstance(value, list) and data.draw(st.booleans()):
            del value[place:]
        else:
            value[place] = data.draw(scalars)
        return


@given(st.text(st.characters(exclude_categories=[])), st.sampled_from(TYPES), st.integers())
def test_any_crash_gets_an_answer(message, from_state, run_count):
    """As the cycle asks, for each crash."""
    crash = Crash(
        state_id="s",
        at=datetime(2026, 11, 24, tzinfo=UTC),
        flow_run_id=message,
        flow_run_name=message,
        message=message,
        from_state=from_state,
        run_count=run_count,
        work_pool=message,
    )

    assert promised(explain(evidence_of_crash(crash, logs=[{"message": message}], events=[])))


def test_a_huge_bundle_is_cut_down():
    """A hundred thousand logs and events cost no more than two thousand."""
    log = {"name": "prefect.flow_runs", "level": 40, "message": "x" * 10_000}
    event = {"event": "prefect.flow-run.heartbeat", "occurred": "2026-11-24T12:00:00Z"}
    evidence = evidence_of_bundle({"logs": [log] * 100_000, "events": [event] * 100_000})

    assert len(evidence.logs or ()) == 2_000
    assert len(evidence.events or ()) == 2_000
    assert all(len(one.text) <= 8_003 for one in evidence.logs or ())


HOSTILE = [
    "Process exited with status code: -",
    "Flow run encountered an exception: A.",
    "Client error '429 ",
    "Server error '500 x' for url '/api/",
    "KeyError: ['x'",
    "None of [",
    "Script at '",
    "| ValueError: x\n    +--",
    "Concurrency lease renewal failed ",
    "trying to load flow ",
    "Container '",
    "-" * 10,
    " " * 10,
    "'" * 10,
    "A.",
    "\n|",
]


def hostile(fragment: str, length: int, kind: str) -> Evidence:
    """A run whose message and logs repeat the beginning of what a pattern looks for."""
    text = (fragment * (length // len(fragment) + 1))[:length]
    heads = ("Encountered exception during execution", "Engine execution ", "")
    logs = [{"name": "prefect.flow_runs", "level": 40, "message": head + text} for head in heads]
    states = [{"type": "PENDING"}, {"type": kind, "message": text}]
    return evidence_of_bundle({"flow_run": {"state_type": kind}, "states": states, "logs": logs})


def cost(evidence: Evidence) -> float:
    """Processor time of one explanation, the least of some tries."""
    tries = []
    for _ in range(5):
        begun = time.process_time()
        best_match(evidence)
        tries.append(time.process_time() - begun)
    return min(tries)


@pytest.mark.parametrize("kind", ["CRASHED", "FAILED"])
@pytest.mark.parametrize("fragment", HOSTILE)
def test_hostile_text_costs_in_proportion_to_its_length(fragment, kind):
    """Eight times the text: about eight times the work, where backtracking makes it 64."""
    short, long = hostile(fragment, 1_000, kind), hostile(fragment, 8_000, kind)

    assert cost(long) < 28 * cost(short)
