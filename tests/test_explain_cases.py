"""Recorded runs: the verdict and the cause of each, and no sure answer from less evidence."""

from __future__ import annotations

import copy
import uuid
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from tests.cases.bundles import HERE, LABELS, Bundle, recorded

from prefect_crash_monitor.explain import Confidence, Explanation, evidence_of_bundle, explain

RECORDED = {name: recorded(name) for name in LABELS}


def explained(bundle: Bundle) -> Explanation:
    """What is said of a bundle."""
    return explain(evidence_of_bundle(bundle))


def is_right(explanation: Explanation, name: str) -> bool:
    """Whether that is what the recording's label says."""
    label = LABELS[name]
    accepted = label["accept"] or [None]
    return explanation.verdict == label["verdict"] and explanation.cause in accepted


def test_every_recorded_run_is_explained_as_its_label_says():
    """The table: accuracy, and what was taken for what."""
    answers = {name: explained(bundle) for name, bundle in RECORDED.items()}
    wrong = {name: answer for name, answer in answers.items() if not is_right(answer, name)}
    print(f"{len(answers) - len(wrong)} of {len(answers)} right")
    for name, answer in wrong.items():
        print(f"{name}: {answer.verdict} {answer.cause} ({answer.confidence}), not {LABELS[name]}")

    assert wrong == {}


def test_labels_name_every_recording():
    """A recording without a label would be tested by nothing."""
    files = {path.name for path in HERE.glob("*.json")}

    assert files == set(LABELS)


def test_recordings_are_of_many_kinds():
    """At least twenty causes come from runs that really went that way."""
    causes = Counter(cause for label in LABELS.values() for cause in label["accept"][:1])

    assert len(causes) >= 20


def drop(*keys: str) -> Callable[[Bundle], None]:
    """Leaves parts out, as where they were not read."""

    def change(bundle: Bundle) -> None:
        for key in keys:
            bundle.pop(key, None)

    return change


def empty(*keys: str) -> Callable[[Bundle], None]:
    """Leaves parts in, but empty, as where nothing was sent."""

    def change(bundle: Bundle) -> None:
        for key in keys:
            bundle[key] = []

    return change


def no_heartbeats(bundle: Bundle) -> None:
    """As behind a proxy that lets no websocket through."""
    kept = [event for event in bundle["events"] if not event["event"].endswith(".heartbeat")]
    bundle["events"] = kept


def only_warnings(bundle: Bundle) -> None:
    """As where only the telling levels were asked for."""
    bundle["logs"] = [line for line in bundle["logs"] if line["level"] >= 30]


def only_the_end(bundle: Bundle) -> None:
    """As where the list of states was cut off."""
    bundle["states"] = bundle["states"][-1:]


LESS = {
    "no logs": drop("logs"),
    "empty logs": empty("logs"),
    "no events": drop("events"),
    "empty events": empty("events"),
    "no Kubernetes": drop("kubernetes"),
    "no states": drop("states"),
    "last state only": only_the_end,
    "no heartbeats": no_heartbeats,
    "warnings only": only_warnings,
    "message only": drop("logs", "events", "kubernetes"),
    "nothing but the run": drop("logs", "events", "kubernetes", "states"),
}


@pytest.mark.parametrize("less", LESS)
def test_less_evidence_never_gives_a_wrong_cause_with_high_confidence(less):
    """What is missing makes an answer less sure, or unknown; it never misleads."""
    misled = {}
    for name, bundle in RECORDED.items():
        cut = copy.deepcopy(bundle)
        LESS[less](cut)
        answer = explained(cut)
        if answer.confidence is Confidence.HIGH and not is_right(answer, name):
            misled[name] = (answer.verdict, answer.cause)

    assert misled == {}


def renamed(value: object, names: dict[str, str]) -> object:
    """All ids and the names of run, flow and deployment replaced, wherever they stand."""
    if isinstance(value, dict):
        return {key: renamed(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [renamed(item, names) for item in value]
    if isinstance(value, str):
        for old, new in names.items():
            value = value.replace(old, new)
    return value


def names_in(bundle: Bundle) -> Iterator[str]:
    """Names that a rule must not read, the longest first."""
    run = bundle["flow_run"]
    pid = str(run.get("infrastructure_pid") or run["id"])
    found = {run["id"], run["name"], pid.rpartition(":")[2]}
    for event in bundle["events"]:
        for related in [event["resource"], *event["related"]]:
            if related.get("prefect.resource.role") in {"flow", "deployment", "worker"}:
                found.add(related.get("prefect.resource.name", run["name"]))
    yield from sorted(found, key=len, reverse=True)


def test_names_and_ids_change_nothing():
    """A rule that reads a scenario's name would know only this scenario."""
    for name, bundle in RECORDED.items():
        names = {old: f"x{uuid.uuid4().hex[:10]}" for old in names_in(bundle) if len(old) > 4}
        other = renamed(bundle, names)
        assert isinstance(other, dict)
        before, after = explained(bundle), explained(other)

        assert (after.verdict, after.cause, after.confidence) == (
            before.verdict,
            before.cause,
            before.confidence,
        ), name


def test_the_order_of_lists_changes_nothing():
    """Events and logs come in the order of the request, newest first or oldest first."""
    for name, bundle in RECORDED.items():
        other = copy.deepcopy(bundle)
        for part in ("states", "logs", "events"):
            other[part].reverse()

        assert is_right(explained(other), name), name
