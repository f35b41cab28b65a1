"""What the monitor makes of ghosts: sure of them first, one incident, told once, an all-clear."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

from tests.support.simulator import MINUTE, NOON, Shop, Simulator, ghost
from tests.test_render import report_of

from prefect_crash_monitor.config.policy import Policy
from prefect_crash_monitor.evaluate.silences import Silence
from prefect_crash_monitor.explain import Confidence
from prefect_crash_monitor.ghosts.tracking import Found, found, heard_since, newly_sure
from prefect_crash_monitor.model.codec import each_of, to_json
from prefect_crash_monitor.report.ghosts import ghosts_section
from prefect_crash_monitor.report.report import headline

THROUGH = NOON - 5 * MINUTE


def of_confidence(one, confidence):
    """It, explained with another confidence."""
    return replace(one, why=replace(one.why, confidence=confidence))


def after(*ghosts, known=(), heard=4.0, now=NOON):
    """What is known of ghosts after a sweep; Prefect last heard of anyone so many minutes ago."""
    at = None if heard is None else now - heard * MINUTE
    return found(ghosts, known, heard=at, through=THROUGH, now=now)


def test_silence_is_believed_where_prefect_heard_of_others():
    """And what is sure lies within what the judgement looks at."""
    (one,) = after(ghost("a"))

    assert one.sure_at is not None
    assert one.sure_at < THROUGH


def test_silence_after_an_outage_is_believed_one_heartbeat_period_later():
    """By then all that live have spoken up."""
    (one,) = first = after(ghost("a"), heard=None)
    assert one.sure_at is None
    (one,) = second = after(ghost("a"), known=first, heard=None, now=NOON + 2 * MINUTE)
    assert one.sure_at is None
    (one,) = after(ghost("a"), known=second, heard=3, now=NOON + 4 * MINUTE)
    assert one.sure_at is not None


def test_silence_while_nothing_is_stored_is_never_believed():
    """A server may answer for hours while it stores no event: then all that run are silent."""
    known = after(ghost("a"), heard=None)
    for minute in range(5, 600, 5):
        known = after(ghost("a"), known=known, heard=None, now=NOON + minute * MINUTE)

    assert known[0].sure_at is None


def test_an_hour_later_it_counts_what_was_heard_since_the_monitor_knows_of_it():
    """On a server where nothing else runs than the monitor, once an hour."""
    known = after(ghost("a"), heard=None)

    assert after(ghost("a"), known=known, heard=61, now=NOON + 60 * MINUTE)[0].sure_at is None
    assert after(ghost("a"), known=known, heard=60, now=NOON + 60 * MINUTE)[0].sure_at


def test_only_what_is_not_sure_yet_needs_to_be_heard_of():
    """So that a ghost once known costs nothing more."""
    sure, unsure = after(ghost("a")), after(ghost("a"), heard=None)
    later = NOON + 20 * MINUTE

    assert heard_since([], (), later) is None
    assert heard_since([ghost("a", is_silent=False)], (), later) is None
    assert heard_since([ghost("a")], sure, later) is None
    assert heard_since([ghost("a")], (), later) == later - 6 * MINUTE
    assert heard_since([ghost("a")], unsure, later) == NOON


def test_an_end_that_a_worker_tells_of_is_believed_at_once():
    """Whatever Prefect heard of others."""
    (one,) = after(ghost("a", is_silent=False), heard=None)

    assert one.sure_at is not None


def test_what_is_only_likely_must_stay_so():
    """Two workers may share a name: only one was stopped, and the other's runs soon speak up."""
    likely = of_confidence(ghost("a", is_silent=False), Confidence.MEDIUM)
    first = after(likely)
    assert first[0].sure_at is None
    assert after(likely, known=first, now=NOON + 2 * MINUTE)[0].sure_at is None
    assert after(likely, known=first, now=NOON + 5 * MINUTE)[0].sure_at


def test_what_nobody_can_tell_is_no_ghost_run_and_no_event():
    """It is listed last, as what it is; more than fifteen of them hide none that is dead."""
    dead = ghost("dead")
    dead = replace(dead, left_in=replace(dead.left_in, flow_run_name="truly-dead"))
    unclear = [of_confidence(ghost(f"{n}"), Confidence.LOW) for n in range(20)]
    known = after(*unclear, dead)
    text = ghosts_section(known, ui_url="")

    assert [one.ghost.flow_run_id for one in newly_sure(known, ())] == ["dead"]
    assert "truly-dead" in text
    assert "nobody can tell" in text
    assert "nobody can tell" not in ghosts_section(after(dead), ui_url="")
    assert "ghost run" not in headline(report_of(ghosts=after(*unclear)))
    assert "1 ghost run" in headline(report_of(ghosts=known))


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
    known = after(ghost("a"), ghost("b", is_silent=False), heard=None)

    stored = json.loads(json.dumps([to_json(Found, one) for one in known]))

    assert each_of(Found, stored) == (tuple(known), 0)


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
    unobservable, subflow = of_confidence(ghost("a"), Confidence.LOW), ghost("b")
    inside = replace(subflow.left_in, in_process=True, deployment="", deployment_id="")
    subflow = replace(subflow, left_in=inside)

    class Quiet(Shop):
        def dead(self, minute):
            return [unobservable, subflow]

    monitor = Simulator(Quiet(), Policy())
    monitor.cycle(-5)

    assert monitor.play(range(5, 60, 5)) == []
    assert len(monitor.ledger.ghosts) == 2


def test_a_dead_child_that_a_parent_waits_for_is_told_of():
    """The parent of a `run_deployment` lives, and waits for ever."""
    child = ghost("a")
    child = replace(child, left_in=replace(child.left_in, in_process=True))

    class Waiting(Shop):
        def dead(self, minute):
            return [child] if minute > 0 else []

    monitor = Simulator(Waiting(), Policy())
    monitor.cycle(-5)

    assert monitor.play([5]) == [(5, "opened", "ghost-runs etl/daily", 1)]


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
