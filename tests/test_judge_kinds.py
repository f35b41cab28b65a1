"""Judging crashes of several kinds: one problem is one incident, another problem another one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from prefect_crash_monitor.config.policy import Policy, Rule, Scope
from prefect_crash_monitor.evaluate.evaluate import judge
from prefect_crash_monitor.evaluate.incident_lifecycle import incident_id
from prefect_crash_monitor.model.crash import Crash, Diagnosis, Fate, Outcome

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
STORM = Rule(
    name="storm", scope=Scope.EVERYTHING, crashes=3, within=10 * MINUTE, quiet_for=30 * MINUTE
)
POLICY = Policy(rules=[STORM], grace=timedelta(0))


def crash(minute: float, kind: str, deployment: str = "etl/daily") -> tuple[Crash, Diagnosis]:
    """A crash of a kind, some minutes after noon."""
    state = f"{deployment}-{minute}-{kind}"
    at = NOON + minute * MINUTE
    diagnosis = Diagnosis(cause=kind or "unknown", confidence="high", fingerprint=kind)
    return Crash(state_id=state, at=at, flow_run_id=state, deployment=deployment), diagnosis


def judged(found, incidents=(), as_of=NOON + 10 * MINUTE, policy=POLICY):
    """The judgement of crashes that all stay crashed."""
    crashes = [one for one, _ in found]
    outcomes = {one.state_id: Outcome(fate=Fate.STILL_CRASHED) for one in crashes}
    diagnoses = {one.state_id: diagnosis for one, diagnosis in found}
    return judge(crashes, outcomes, incidents, policy, as_of, diagnoses)


def test_one_kind_over_many_deployments_is_one_incident():
    """One missing image on many deployments."""
    found = [crash(minute, "image", f"etl/{minute}") for minute in range(1, 6)]

    (incident,) = judged(found).open

    assert (incident.fingerprint, incident.cause, incident.crashes) == ("image", "image", 5)
    assert len(incident.deployments) == 5


def test_two_kinds_are_two_incidents():
    """An image that is missing and memory that runs out are two problems."""
    found = [crash(m, "image") for m in (1, 2, 3)] + [crash(m, "oom") for m in (4, 5, 6)]

    assert {i.cause for i in judged(found).open} == {"image", "oom"}


def test_kinds_that_only_together_meet_the_rule_are_one_mixed_incident():
    """Three different causes: told once, without a single cause."""
    found = [crash(1, "image"), crash(2, "oom"), crash(3, "")]

    (incident,) = judged(found).open

    assert (incident.fingerprint, incident.cause) == ("", "")
    assert incident.causes == {"image": 1, "oom": 1, "unknown": 1}


def test_what_is_left_beside_a_kind_is_judged_together():
    """Three of a kind, and three different others."""
    found = [crash(m, "image") for m in (1, 2, 3)]
    found += [crash(4, "oom"), crash(5, "exit"), crash(6, "signal")]

    incidents = judged(found).open

    assert sorted((i.fingerprint, i.crashes) for i in incidents) == [("", 3), ("image", 3)]


def test_a_mixed_incident_takes_in_the_kinds_of_its_group():
    """While it is open its members open no second incident."""
    before = judged([crash(1, "image"), crash(2, "oom"), crash(3, "exit")]).incidents
    found = [crash(1, "image"), crash(2, "oom"), crash(3, "exit")]
    found += [crash(m, "image") for m in (11, 12, 13)]

    after = judged(found, before, NOON + 15 * MINUTE)

    assert [i.crashes for i in after.open] == [6]
    assert after.transitions == ()


def test_an_incident_of_before_kinds_were_told_apart_stays_the_same():
    """An update of the monitor opens nothing anew."""
    plain = [crash(m, "") for m in (1, 2, 3)]
    before = judged(plain).incidents
    told_apart = [(one, crash(0, "image")[1]) for one, _ in plain]

    after = judged([*told_apart, crash(12, "image")], before, NOON + 15 * MINUTE)

    assert [(i.id, i.crashes) for i in after.open] == [(incident_id("storm", ""), 4)]
    assert after.transitions == ()


kinds = st.lists(
    st.tuples(st.floats(0, 60), st.sampled_from(["image", "oom", ""])), max_size=30, unique=True
)


@given(kinds, st.randoms())
def test_order_does_not_matter_and_nothing_is_told_twice(history, random):
    """Judged again, shuffled, with its own result: no more transitions."""
    found = [crash(minute, kind) for minute, kind in history]
    as_of = NOON + 61 * MINUTE
    first = judged(found, as_of=as_of)
    random.shuffle(found)

    assert judged(found, as_of=as_of).incidents == first.incidents
    assert judged(found, first.incidents, as_of).transitions == ()


@given(kinds)
def test_no_crash_is_counted_in_twice_by_a_rule(history):
    """The incidents of one rule share no crash."""
    found = [crash(minute, kind) for minute, kind in history]
    incidents = judged(found, as_of=NOON + 61 * MINUTE).incidents

    assert sum(incident.crashes for incident in incidents) <= len(found)
