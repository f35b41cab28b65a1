"""Counting: any order, any split, any duplication gives the same numbers."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from prefect_crash_monitor.count.count import count, record_json
from prefect_crash_monitor.model.crash import Crash, Fate, Observation, Outcome, Source
from prefect_crash_monitor.model.interval import Window, equal_parts
from prefect_crash_monitor.model.own import is_own
from prefect_crash_monitor.observe.outcomes import RunNow, fates

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR = Window(NOON, NOON + timedelta(hours=1))
LATER = NOON + timedelta(hours=2)


@st.composite
def crashes(draw, size=30):
    """Crashes of an hour, of few runs, with names that repeat."""
    number = draw(st.integers(0, size))
    return [
        Crash(
            state_id=f"state-{index}",
            at=NOON + draw(st.timedeltas(timedelta(0), timedelta(minutes=59))),
            flow_run_id=f"run-{draw(st.integers(0, 5))}",
            flow=draw(st.sampled_from(["etl", "crash-monitor"])),
            deployment=draw(st.sampled_from(["", "etl/daily", "etl/hourly"])),
            tags=draw(st.sampled_from([(), ("managed-by:crash-monitor",)])),
            in_process=draw(st.booleans()),
        )
        for index in range(number)
    ]


def observed(found):
    """An observation in which everything is still crashed."""
    outcomes = {crash.state_id: Outcome(fate=Fate.STILL_CRASHED) for crash in found}
    return Observation(window=HOUR, crashes=tuple(found), outcomes=outcomes)


@given(crashes(), st.integers(1, 12))
def test_any_split_of_a_span_gives_the_same_counts(found, parts):
    """The records of adjacent windows add up to the record of the whole."""
    whole = count(observed(found), HOUR, counted_at=LATER)

    pieces = [count(observed(found), part, counted_at=LATER) for part in equal_parts(HOUR, parts)]

    assert sum(piece.crashed for piece in pieces) == whole.crashed
    assert sorted(id_ for piece in pieces for id_ in piece.state_ids) == sorted(whole.state_ids)
    assert sum((Counter(p.by["deployment"]) for p in pieces), Counter()) == Counter(
        whole.by["deployment"]
    )


@given(crashes(), st.randoms())
def test_order_does_not_matter(found, random):
    """Events arrive in any order."""
    whole = count(observed(found), HOUR, counted_at=LATER)
    random.shuffle(found)

    again = count(observed(found), HOUR, counted_at=LATER)

    assert again.crashed == whole.crashed
    assert set(again.state_ids) == set(whole.state_ids)


@given(crashes())
def test_own_runs_are_kept_apart(found):
    """Own crashes and the others are all the crashes there are."""
    record = count(observed(found), HOUR, counted_at=LATER)

    assert record.crashed + record.monitor_crashed == len(found)
    assert record.monitor_crashed == sum(is_own(crash) for crash in found)


def test_a_users_flow_of_our_name_is_not_ours():
    """Own tag and flow name only count together; an own deployment's id is enough."""
    crash = Crash(state_id="s", at=NOON, flow_run_id="r", flow="crash-monitor", deployment_id="d")

    assert not is_own(crash)
    assert is_own(crash, own_deployments=["d"])


RUN = RunNow(id="r", state_id="now", state_type="COMPLETED", state_at=LATER)


def fate(run, crash_id="s", later=None):
    """The fate of one crash at noon."""
    crash = Crash(state_id=crash_id, at=NOON, flow_run_id="r")
    return fates([crash], {"r": run} if run else {}, later or {})[crash_id].fate


def test_fates():
    """Each fate, in order of precedence."""
    states = {
        kind: RunNow(id="r", state_id="now", state_type=kind, state_at=LATER)
        for kind in ["SCHEDULED", "PENDING", "RUNNING", "FAILED", "CANCELLED", "CRASHED"]
    }

    assert fate(None) is Fate.DELETED
    assert fate(states["CRASHED"], "now") is Fate.STILL_CRASHED
    assert fate(states["CRASHED"]) is Fate.SUPERSEDED
    assert fate(RUN, later={"r": LATER}) is Fate.SUPERSEDED
    assert fate(states["SCHEDULED"]) is Fate.STILL_CRASHED
    assert fate(states["PENDING"]) is Fate.STILL_CRASHED
    assert {fate(states[kind]) for kind in ["RUNNING", "FAILED", "CANCELLED"]} == {Fate.RECOVERED}
    assert fate(RUN) is Fate.RECOVERED


def test_json_has_every_key_of_the_contract():
    """A quiet window has all keys, too."""
    record = count(Observation(window=HOUR), HOUR, counted_at=LATER)

    answer = record_json(record)

    assert set(answer) >= {
        *("since", "until", "complete", "counted_at", "crashed", "still_crashed", "superseded"),
        *("recovered", "deleted", "in_process_subflows", "monitor_crashed", "sources", "by"),
    }
    assert set(answer["by"]) == {"deployment", "flow", "work_pool", "state_name"}
    assert answer["sources"] == {str(source): 0 for source in Source}
