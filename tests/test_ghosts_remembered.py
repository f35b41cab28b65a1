"""What the monitor makes of ghosts: sure of them first, one incident, told once, an all-clear."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

from tests.support.simulator import MINUTE, NOON, Shop, Simulator, ghost

from prefect_crash_monitor.explain import Confidence
from prefect_crash_monitor.ghosts.found import Found, found, from_json, newly_sure, to_json
from prefect_crash_monitor.policy import Policy
from prefect_crash_monitor.silences import Silence

THROUGH = NOON - 5 * MINUTE


def after(*ghosts, known=(), heard=True, now=NOON):
    """What is known of ghosts after a sweep."""
    return found(ghosts, known, heard=heard, through=THROUGH, now=now)


def test_silence_is_believed_where_prefect_heard_of_others():
    """And what is sure lies within what the judgement looks at."""
    (one,) = after(ghost("a"))

    assert one.sure_at is not None
    assert one.sure_at < THROUGH


def test_silence_after_an_outage_is_believed_one_heartbeat_period_later():
    """By then all that live have spoken up."""
    (one,) = first = after(ghost("a"), heard=False)
    assert one.sure_at is None
    (one,) = second = after(ghost("a"), known=first, heard=False, now=NOON + 2 * MINUTE)
    assert one.sure_at is None
    (one,) = after(ghost("a"), known=second, heard=False, now=NOON + 3 * MINUTE)
    assert one.sure_at is not None


def test_an_end_that_a_worker_tells_of_is_believed_at_once():
    """Whatever Prefect heard of others."""
    (one,) = after(ghost("a", is_silent=False), heard=False)

    assert one.sure_at is not None


def test_what_is_none_any_more_is_forgotten_and_what_stays_is_told_once():
    """By the state it was left in: a new attempt of the same run is another ghost."""
    first = after(ghost("a"), ghost("b"))
    assert len(newly_sure(first, ())) == 2
    second = after(ghost("a"), known=first, now=NOON + 5 * MINUTE)
    assert [one.ghost.flow_run_id for one in second] == ["a"]
    assert newly_sure(second, first) == []
    again = ghost("a")
    again = replace(again, left_in=replace(again.left_in, state_id="another"))
    assert len(newly_sure(after(again, known=second), second)) == 1


def test_the_ledger_keeps_all_of_it():
    """Through JSON and back."""
    known = after(ghost("a"), ghost("b", is_silent=False), heard=False)

    assert from_json(json.loads(json.dumps(to_json(known)))) == known


def shop(*ghosts: tuple[str, float, float], **more: object) -> Simulator:
    """A monitor with its default policy, that begins before all of it."""
    monitor = Simulator(Shop(ghosts=ghosts, **more), Policy())  # type: ignore[arg-type]
    monitor.cycle(-5)
    return monitor


def test_one_incident_a_deployment_until_none_is_left():
    """Two ghosts of a deployment are one problem; the all-clear comes when both are gone."""
    monitor = shop(("etl/daily", 1, 60), ("etl/daily", 1, 30))

    told = monitor.play(range(5, 120, 5))

    assert told == [
        (5, "opened", "ghost-runs etl/daily", 2),
        (85, "resolved", "ghost-runs etl/daily", 2),
    ]


def test_a_second_ghost_joins_and_what_stays_is_reminded_of():
    """With the number as it is then."""
    monitor = shop(("etl/daily", 1, 1_000), ("etl/daily", 100, 1_000))

    told = monitor.play(range(5, 300, 5))

    assert told == [
        (5, "opened", "ghost-runs etl/daily", 1),
        (245, "reminded", "ghost-runs etl/daily", 2),
    ]


def test_a_monitor_that_was_away_neither_closes_nor_reopens():
    """It was a ghost all the time."""
    monitor = shop(("etl/daily", 1, 1_000))
    monitor.cycle(5)

    assert monitor.play([185]) == []


def test_a_silence_holds_it_back_and_no_longer():
    """What is still a ghost at its end is told of then."""
    quiet = Silence(
        id="s",
        matcher={"deployment": "etl/*"},
        since=NOON - MINUTE,
        until=NOON + 60 * MINUTE,
        reason="maintenance",
    )
    monitor = shop(("etl/daily", 1, 1_000), silences=[quiet])

    told = monitor.play(range(5, 120, 5))

    assert told == [(65, "opened", "ghost-runs etl/daily", 1)]


def test_nobody_is_told_of_what_nobody_can_tell():
    """One that never sent a heartbeat, and a subflow that died with its parent."""
    unobservable, subflow = ghost("a"), ghost("b")
    unobservable = replace(unobservable, why=replace(unobservable.why, confidence=Confidence.LOW))
    subflow = replace(subflow, left_in=replace(subflow.left_in, in_process=True))

    class Quiet(Shop):
        def dead(self, minute):
            return [unobservable, subflow]

    monitor = Simulator(Quiet(), Policy())
    monitor.cycle(-5)

    assert monitor.play(range(5, 60, 5)) == []
    assert len(monitor.ledger.ghosts) == 2


def test_an_outage_of_prefect_is_no_massacre():
    """All are silent when it is back, and speak up within three minutes."""
    monitor = shop(*((f"etl/{n}", 60, 63) for n in range(20)))
    monitor.heard = False

    assert monitor.play(range(5, 120, 5)) == []


def test_the_time_it_became_sure_stays():
    """So that a cycle done again judges the same."""
    first = after(ghost("a"))
    second = after(ghost("a"), known=first, now=NOON + timedelta(hours=1))

    assert isinstance(second[0], Found)
    assert second[0].sure_at == first[0].sure_at
