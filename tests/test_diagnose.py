"""Explaining many crashes at once: what is alike is found out once, and the budget goes far."""

from __future__ import annotations

from dataclasses import replace

from bench.messages import logs_of, storm
from hypothesis import given
from hypothesis import strategies as st

from prefect_crash_monitor.explain import evidence_of_crash, explain, first_answer, needs_logs
from prefect_crash_monitor.explain.sampling import (
    FirstLook,
    Read,
    exemplars,
    first_look,
    second_look,
)
from prefect_crash_monitor.model.crash import Crash

STORM = [told.crash for told in storm(400)]
KILLED = "Process exited with status code: -9."
EXIT_1 = "Process exited with status code: 1."


def crashes(number: int, message: str, deployment: str) -> list[Crash]:
    """Runs of a deployment that never started, so that only their logs tell why."""
    return [
        replace(
            STORM[0],
            state_id=f"{deployment}-{message}-{index}",
            message=message,
            deployment_id=deployment,
            deployment=deployment,
            run_count=0,
            from_state="PENDING",
        )
        for index in range(number)
    ]


def test_alike_crashes_are_told_as_if_each_were_alone():
    """Whatever is shared between them, each names its own run in its command."""
    alike = [
        replace(crash, message=KILLED, state_id=f"s{index}", flow_run_id=f"run-{index}")
        for index, crash in enumerate(STORM)
    ]

    together = first_look([*STORM, *alike]).diagnoses
    alone = {c.state_id: first_look([c]).diagnoses[c.state_id] for c in (*STORM, *alike)}

    assert together == alone
    assert together["s1"].command != together["s2"].command


@given(
    st.lists(
        st.builds(
            replace,
            st.sampled_from(STORM[:3]),
            message=st.sampled_from([KILLED, EXIT_1, ""]),
            state_id=st.uuids().map(str),
            state_name=st.sampled_from(["Crashed", "Evicted"]),
            from_state=st.sampled_from(["PENDING", "RUNNING", ""]),
            run_count=st.integers(0, 1),
            deployment=st.sampled_from(["", "flow/x"]),
            work_pool_type=st.sampled_from(["process", "kubernetes"]),
        ),
        max_size=20,
        unique_by=lambda crash: crash.state_id,
    )
)
def test_crashes_that_differ_in_what_a_rule_asks_for_are_not_alike(some):
    """Any mixture of them is explained as each of them alone."""
    look = first_look(some)

    assert [look.diagnoses[c.state_id] for c in some] == [
        first_look([c]).diagnoses[c.state_id] for c in some
    ]
    assert list(look.unclear) == [c for c in some if needs_logs(evidence_of_crash(c))]


def test_the_first_answer_is_the_explanation_and_whether_it_may_change():
    """Two questions in one, with the same answers."""
    for crash in STORM:
        evidence = evidence_of_crash(crash)
        assert first_answer(evidence) == (explain(evidence), needs_logs(evidence))


def look_of(*groups: list[Crash]) -> FirstLook:
    """The first look at all of them together."""
    return first_look([crash for group in groups for crash in group])


def test_every_kind_of_message_is_looked_at_before_any_twice():
    """However rare it is among thousands."""
    rare = crashes(1, "unhandled errors in a TaskGroup (1 sub-exception)", "a")
    look = look_of(crashes(50, EXIT_1, "a"), rare, crashes(50, EXIT_1, "b"))

    assert {crash.message for crash in exemplars(look, 2)} == {EXIT_1, rare[0].message}


def test_where_most_crashed_is_looked_at_first():
    """A small budget then leaves few crashes to guess: it used to be the latest that came first."""
    sizes = {"a": 1, "b": 30, "c": 2, "d": 40}
    look = look_of(*(crashes(size, EXIT_1, name) for name, size in sizes.items()))

    assert [crash.deployment for crash in exemplars(look, 4)] == ["d", "b", "c", "a"]


def test_no_crash_is_looked_at_twice_and_none_is_left_out():
    """With a budget for all of them, each is read once."""
    look = look_of(crashes(3, EXIT_1, "a"), crashes(2, EXIT_1, "b"), crashes(2, "", "a"))

    chosen = exemplars(look, 100)

    assert sorted(c.state_id for c in chosen) == sorted(c.state_id for c in look.unclear)


def test_a_storm_is_explained_by_a_hundred_looks():
    """2,000 crashes of hundreds of kinds, all of which are told rightly."""
    many = storm(2_000)
    by_id = {told.crash.state_id: told for told in many}
    look = first_look([told.crash for told in many])
    chosen = exemplars(look, 100)
    read = {c.state_id: Read(logs=logs_of(by_id[c.state_id])) for c in chosen}

    diagnoses = second_look(look, read)

    assert len(chosen) == 100
    assert {i: why.cause for i, why in diagnoses.items()} == {
        i: told.kind.cause for i, told in by_id.items()
    }
