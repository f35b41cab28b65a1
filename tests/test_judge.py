"""Judging: when an incident opens, is reminded of, resolves and reopens; and why."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_crash_monitor.config.policy import Policy, Rule, Scope
from prefect_crash_monitor.evaluate.eligibility import groups_of, standing_crashes
from prefect_crash_monitor.evaluate.evaluate import Judgement, as_it_is_now, judge, remind
from prefect_crash_monitor.evaluate.incident_lifecycle import incident_id
from prefect_crash_monitor.model.crash import Crash, Fate, Outcome
from prefect_crash_monitor.model.incident import Kind, Reason

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
THREE_IN_TEN = Rule(name="loop", crashes=3, within=10 * MINUTE, quiet_for=30 * MINUTE)
POLICY = Policy(rules=[THREE_IN_TEN], grace=timedelta(0))


def crash(minute: float, deployment: str = "etl/daily", **more) -> Crash:
    """A crash some minutes after noon."""
    at = NOON + minute * MINUTE
    names = {"flow": "etl", "deployment": deployment, "flow_run_id": f"run-{minute}"}
    return Crash(state_id=f"{deployment}-{minute}", at=at, **{**names, **more})


def still(crashes):
    """Everything stays crashed."""
    return {crash.state_id: Outcome(fate=Fate.STILL_CRASHED) for crash in crashes}


def play(crashes, minutes, policy=POLICY, outcomes=None) -> list[tuple[int, str, int]]:
    """Judges at each of these minutes; returns (minute, kind, episode) of what is told."""
    told, incidents = [], ()
    for minute in minutes:
        as_of = NOON + minute * MINUTE
        seen = [crash for crash in crashes if crash.at < as_of]
        judgement = judge(seen, outcomes or still(crashes), incidents, policy, as_of)
        judgement = remind(judgement, policy, as_of)
        incidents = judgement.incidents
        told += [(minute, str(t.kind), t.incident.episode) for t in judgement.transitions]
    return told


EVERY_FIVE = range(5, 200, 5)


def test_two_crashes_open_nothing():
    """Below the threshold nobody is told."""
    assert play([crash(1), crash(2)], EVERY_FIVE) == []


def test_opens_once_and_resolves_after_the_quiet_period():
    """Three in ten minutes open; minute 1 falls out of the window at 11, quiet until 41."""
    crashes = [crash(1), crash(2), crash(3)]

    assert play(crashes, EVERY_FIVE) == [(5, "opened", 1), (45, "resolved", 1)]


def test_the_window_slides():
    """Three within ten minutes across a boundary of intervals and of windows count."""
    assert play([crash(9), crash(14), crash(18)], EVERY_FIVE)[0] == (20, "opened", 1)


def test_three_crashes_too_far_apart_open_nothing():
    """Eleven minutes are not within ten."""
    assert play([crash(1), crash(6), crash(12.1)], EVERY_FIVE) == []


def test_more_crashes_keep_it_open():
    """The all-clear waits for the last stretch that meets the rule."""
    crashes = [crash(minute) for minute in range(1, 31)]

    assert play(crashes, EVERY_FIVE) == [(5, "opened", 1), (70, "resolved", 1)]


def test_reopens_as_another_episode():
    """What comes back after the all-clear is told again."""
    crashes = [crash(m) for m in (1, 2, 3, 101, 102, 103)]

    told = play(crashes, EVERY_FIVE)

    assert told == [
        (5, "opened", 1),
        (45, "resolved", 1),
        (105, "opened", 2),
        (145, "resolved", 2),
    ]


def test_crashes_of_a_closed_episode_do_not_reopen_it():
    """Two old crashes and one new one are not three."""
    policy = Policy(
        rules=[Rule(name="loop", crashes=3, within=60 * MINUTE, quiet_for=15 * MINUTE)],
        grace=timedelta(0),
    )
    crashes = [crash(m) for m in (1, 2, 3)]
    closed = play(crashes, range(5, 100, 5), policy)
    late = play([*crashes, crash(85)], range(5, 100, 5), policy)

    assert closed == late == [(5, "opened", 1), (80, "resolved", 1)]


def test_reminders_double_their_gap_up_to_the_cap():
    """Told at 15, 45 (30 later), then every 60 minutes at most."""
    policy = POLICY.model_copy(update={"remind_after": 15 * MINUTE, "remind_at_most": 60 * MINUTE})
    crashes = [crash(minute) for minute in range(1, 190)]

    told = [minute for minute, kind, _ in play(crashes, EVERY_FIVE, policy) if kind == "reminded"]

    assert told == [20, 50, 110, 170]


def test_no_reminder_while_it_only_waits_for_quiet():
    """A problem that is over does not nag."""
    policy = POLICY.model_copy(update={"remind_after": 15 * MINUTE})

    assert [kind for _, kind, _ in play([crash(1), crash(2), crash(3)], EVERY_FIVE, policy)] == [
        "opened",
        "resolved",
    ]


def test_a_removed_rule_resolves_its_incident():
    """Nothing stays open that no rule watches."""
    crashes = [crash(1), crash(2), crash(3)]
    opened = judge(crashes, still(crashes), (), POLICY, NOON + 5 * MINUTE)

    after = judge(crashes, still(crashes), opened.incidents, Policy(rules=[]), NOON + 10 * MINUTE)

    assert [(t.kind, t.reason) for t in after.transitions] == [(Kind.RESOLVED, Reason.RULE_REMOVED)]


GRACE = 5 * MINUTE


@pytest.mark.parametrize(
    ("fate", "recovered_after", "stands"),
    [
        (Fate.STILL_CRASHED, None, True),
        (Fate.DELETED, None, True),
        (Fate.SUPERSEDED, None, True),
        (Fate.RECOVERED, 4 * MINUTE, False),
        (Fate.RECOVERED, 6 * MINUTE, True),
        (Fate.RECOVERED, None, True),
    ],
    ids=["still", "deleted", "superseded", "in time", "too late", "when is unknown"],
)
def test_what_stands_after_the_grace(fate, recovered_after, stands):
    """Only a recovery within the grace takes a crash out of the judgement."""
    one = crash(0)
    recovered = one.at + recovered_after if recovered_after else None
    outcome = {one.state_id: Outcome(fate=fate, recovered_at=recovered)}

    later = NOON + GRACE + timedelta(seconds=1)

    assert bool(standing_crashes([one], outcome, GRACE, later)) is stands


def test_nothing_stands_before_its_grace_is_over():
    """A crash a minute ago is not judged yet; in-process subflows never are.

    The child that a flow starts by `run_deployment` is: its process, and its crash, are its own.
    """
    early, subflow = crash(0), crash(1, deployment="", in_process=True)
    child = crash(2, in_process=True, deployment_id="its-own")
    all_ = [early, subflow, child]

    assert standing_crashes(all_, still(all_), GRACE, NOON) == []
    assert standing_crashes(all_, still(all_), GRACE, NOON + 9 * GRACE) == [early, child]


@pytest.mark.parametrize(
    ("scope", "dimension", "expected"),
    [
        ("everything", "", ("",)),
        ("flow", "", ("etl",)),
        ("deployment", "", ("etl/daily",)),
        ("work-pool", "", ("pool",)),
        ("work-queue", "", ("pool/high",)),
        ("tag", "", ("client_id:acme", "nightly")),
        ("dimension", "client_id", ("acme",)),
        ("dimension", "region", ("eu",)),
        ("dimension", "team", ()),
    ],
)
def test_groups(scope, dimension, expected):
    """Each scope's groups; a dimension comes from a tag or else from a label."""
    rule = Rule(name="r", scope=scope, dimension=dimension)
    one = crash(
        0,
        work_pool="pool",
        work_queue="high",
        tags=("client_id:acme", "nightly"),
        labels=(("client_id", "other"), ("region", "eu")),
    )

    assert groups_of(one, rule) == expected


def test_a_run_without_deployment_is_counted_under_its_flow():
    """Ad-hoc runs are not lost to rules over deployments."""
    assert groups_of(crash(0, deployment=""), Rule(name="r")) == ("etl",)


def storm_policy() -> Policy:
    """A storm over everything comes before the loop of a deployment."""
    storm = Rule(
        name="storm",
        scope=Scope.EVERYTHING,
        crashes=6,
        within=10 * MINUTE,
        quiet_for=15 * MINUTE,
    )
    return Policy(rules=[storm, THREE_IN_TEN], grace=timedelta(0))


def test_one_problem_is_told_once():
    """Crashes of a burning storm open no incidents of later rules, nor after it is over."""
    crashes = [crash(i / 10, deployment=f"etl/{i % 2}") for i in range(1, 9)]

    told = play(crashes, EVERY_FIVE, storm_policy())

    assert told == [(5, "opened", 1), (30, "resolved", 1)]


def test_an_incident_that_was_open_before_the_storm_ends_by_itself():
    """A deployment's loop that goes on in a storm is not declared over by it."""
    crashes = [crash(m) for m in (1, 2, 3)]
    crashes += [crash(6 + i / 10, deployment=f"etl/{i % 2}") for i in range(8)]
    crashes += [crash(m) for m in (7, 8, 9)]

    told = play(crashes, [5, 10, 15, 20, 25, 30, 35, 40, 45, 50], storm_policy())

    assert [kind for _, kind, _ in told] == ["opened", "opened", "resolved", "resolved"]


def test_incident_ids_are_stable():
    """Part of the contract: what deduplicates must not change between versions."""
    assert incident_id("deployment-crashes", "etl/daily") == "5dd85acb63d3"


histories = st.lists(st.floats(0, 180), max_size=40, unique=True)


@given(histories, st.integers(1, 5))
def test_judging_in_more_steps_never_misses_an_incident(minutes, threshold):
    """What a slow monitor finds in one look, a frequent one finds, too."""
    rule = Rule(name="loop", crashes=threshold, within=10 * MINUTE, quiet_for=30 * MINUTE)
    policy = Policy(rules=[rule], grace=timedelta(0))
    crashes = [crash(minute) for minute in sorted(minutes)]

    often = play(crashes, range(5, 260, 5), policy)
    rarely = play(crashes, range(20, 260, 20), policy)

    assert bool(often) == bool(rarely)


@given(histories)
def test_every_incident_ends_with_an_all_clear(minutes):
    """Opened and resolved alternate, and the last one is resolved once it is quiet."""
    told = play([crash(minute) for minute in minutes], range(5, 400, 5))
    kinds = [kind for _, kind, _ in told]

    assert kinds == ["opened", "resolved"] * (len(kinds) // 2)


@given(histories, st.randoms())
def test_judging_again_decides_the_same(minutes, random):
    """Order and repetition change nothing: a killed cycle decides the same when done again."""
    crashes = [crash(minute) for minute in minutes]
    as_of = NOON + 200 * MINUTE
    first = judge(crashes, still(crashes), (), POLICY, as_of)
    random.shuffle(crashes)

    assert judge(crashes, still(crashes), (), POLICY, as_of) == first


@given(histories)
def test_judging_the_result_again_tells_nothing_more(minutes):
    """A doubled cycle has nothing to tell."""
    crashes = [crash(minute) for minute in minutes]
    as_of = NOON + 200 * MINUTE
    first = judge(crashes, still(crashes), (), POLICY, as_of)

    again = judge(crashes, still(crashes), first.incidents, POLICY, as_of)

    assert again.transitions == ()


def test_an_incident_knows_what_it_is_about():
    """Deployments, pools, sample and times are of the crashes counted in."""
    crashes = [crash(1, message="a"), crash(2, message="password=hunter2"), crash(3, message="c")]
    crashes = [replace(one, work_pool="pool") for one in crashes]

    incident = judge(crashes, still(crashes), (), POLICY, NOON + 5 * MINUTE).open[0]

    assert incident.deployments == {"etl/daily": 3}
    assert incident.work_pools == {"pool": 3}
    assert (incident.first_crash_at, incident.last_crash_at) == (crashes[0].at, crashes[2].at)
    assert incident.sample == "c"
    assert isinstance(Judgement(incidents=(incident,)).open, tuple)


def test_an_opening_is_told_as_of_the_end_of_the_cycle():
    """Intervals judged at once: the notification knows the crashes of the later ones, too."""
    crashes = [crash(minute) for minute in (1, 2, 3, 6, 7)]
    first = judge(crashes[:3], still(crashes), (), POLICY, NOON + 5 * MINUTE)
    second = judge(crashes, still(crashes), first.incidents, POLICY, NOON + 10 * MINUTE)

    (told,) = as_it_is_now([*first.transitions, *second.transitions], second.incidents)

    assert (told.kind, told.at) == (Kind.OPENED, NOON + 5 * MINUTE)
    assert told.incident.crashes == 5
