"""Kinds of rules: crashes in a row, kinds never seen before, outages and their symptoms."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import get_args

import pytest
from pydantic import ValidationError
from tests.support.simulator import MINUTE, NOON, Shop, Simulator, crash, numbered

from prefect_crash_monitor.config.matching import FIELDS, MatchedField
from prefect_crash_monitor.config.policy import Policy, Rule, Scope
from prefect_crash_monitor.config.rule import DEFAULT_RULES, RuleKind
from prefect_crash_monitor.evaluate.outages import OUTAGES
from prefect_crash_monitor.evaluate.rule_kinds import CONDITIONS
from prefect_crash_monitor.evaluate.rule_state import (
    HITS_KEPT,
    Beyond,
    Memory,
    Streaked,
    advance,
    of_json,
    to_json,
)
from prefect_crash_monitor.evaluate.silences import Silence
from prefect_crash_monitor.explain.causes.table import CAUSES
from prefect_crash_monitor.model.incident import Reason

DAY = 24 * 60
LOOP = Rule(name="loop", kind=RuleKind.CONSECUTIVE, crashes=3, within=timedelta(days=7))
NEW = Rule(
    name="new",
    kind=RuleKind.NEW_CAUSE,
    scope=Scope.EVERYTHING,
    crashes=1,
    within=timedelta(hours=1),
)
OUTAGE = Rule(
    name="outage",
    kind=RuleKind.OUTAGE,
    scope=Scope.EVERYTHING,
    crashes=3,
    within=15 * MINUTE,
)
CRASHES = Rule(name="crashes", crashes=3, within=timedelta(hours=1))


def policy(*rules: Rule) -> Policy:
    """A policy without grace, so that the minutes in the tests are easy."""
    return Policy(rules=list(rules), grace=timedelta(0), remind_at_most=timedelta(days=30))


def every(minutes: int, until: int):
    """Cycles right after each boundary has settled, from the start on."""
    return [minute + 1 for minute in range(0, until, minutes)]


def opened_and_resolved(told):
    """Without the reminders."""
    return [item for item in told if item[1] != "reminded"]


# ---- consecutive


def daily_crashes(*days: int) -> list:
    """A crash of the daily deployment on each of these days."""
    return numbered(crash(day * DAY + 2) for day in days)


def test_three_days_in_a_row():
    """Never three crashes in one reading: the streak is remembered, with its crashes."""
    shop = Shop(crashes=daily_crashes(0, 1, 2))

    told = Simulator(shop, policy(LOOP)).play(every(60, 3 * DAY))

    assert opened_and_resolved(told) == [(2 * DAY + 61, "opened", "loop etl/daily", 3)]


def test_a_completed_run_in_between_starts_anew():
    """Two crashes, a completed run, two crashes: never three in a row."""
    shop = Shop(crashes=daily_crashes(0, 1, 3, 4), completed=[("etl/daily", 2 * DAY)])

    assert Simulator(shop, policy(LOOP)).play(every(60, 6 * DAY)) == []


def test_a_completed_run_of_another_deployment_does_not():
    """Completed runs count for their own deployment only."""
    shop = Shop(crashes=daily_crashes(0, 1, 2), completed=[("etl/hourly", DAY + 60)])

    assert Simulator(shop, policy(LOOP)).play(every(60, 3 * DAY)) != []


def test_the_all_clear_is_the_next_completed_run():
    """Open until a run completes, however long that takes, and no longer."""
    shop = Shop(crashes=daily_crashes(0, 1, 2, 3), completed=[("etl/daily", 4 * DAY + 30)])
    monitor = Simulator(shop, policy(LOOP))

    told = opened_and_resolved(monitor.play(every(60, 6 * DAY)))

    assert [item[:2] for item in told] == [(2 * DAY + 61, "opened"), (4 * DAY + 61, "resolved")]
    assert told[-1][3] == 4
    assert monitor.told[-1].reason is Reason.RUN_COMPLETED


def test_a_loop_that_comes_back_is_a_new_episode():
    """After the all-clear three more in a row are told again."""
    shop = Shop(crashes=daily_crashes(0, 1, 2, 4, 5, 6), completed=[("etl/daily", 3 * DAY + 30)])
    monitor = Simulator(shop, policy(LOOP))
    monitor.play(every(60, 8 * DAY))

    opened = [t.incident.episode for t in monitor.told if t.kind == "opened"]
    assert opened == [1, 2]


def test_a_deployment_that_runs_no_more_is_let_go():
    """No completed run ever: resolved once the streak is too old to be one."""
    monitor = Simulator(Shop(crashes=daily_crashes(0, 1, 2)), policy(LOOP))

    told = opened_and_resolved(monitor.play(every(60, 12 * DAY)))

    assert [item[1] for item in told] == ["opened", "resolved"]
    assert told[1][0] > 9 * DAY
    assert monitor.told[-1].reason is Reason.QUIET_PERIOD_OVER


def test_one_run_that_crashes_again_and_again():
    """Scope flow-run: its deployment's other runs complete, this one does not."""
    rule = LOOP.model_copy(update={"scope": Scope.FLOW_RUN})
    again = numbered(
        crash(minute, flow_run_id="r", flow_run_name="lucky-fox") for minute in (2, 30, 90)
    )
    monitor = Simulator(Shop(crashes=again), policy(rule))
    monitor.shop.completion = lambda *_: None  # type: ignore[method-assign]

    assert monitor.play(every(60, 150)) == [(121, "opened", "loop lucky-fox (r)", 3)]


def test_what_cannot_be_known_is_not_told(monkeypatch):
    """Whether a run completed was not found out: no incident on a guess."""
    monitor = Simulator(Shop(crashes=daily_crashes(0, 1, 2)), policy(LOOP))
    monkeypatch.setattr("tests.support.simulator.questions", lambda *_: {})

    assert monitor.play(every(60, 3 * DAY)) == []


def test_killed_cycles_do_not_lengthen_a_streak():
    """Each crash is taken in once."""
    monitor = Simulator(Shop(crashes=daily_crashes(0, 1)), policy(LOOP))
    for minute in every(60, 2 * DAY):
        for _ in range(3):
            monitor.cycle(minute, killed=True)
        monitor.cycle(minute)

    assert monitor.told == []


# ---- new-cause


def test_a_kind_never_seen_before():
    """After a day of learning, one crash of a new kind is told of, one of a known kind is not."""
    crashes = numbered([crash(2), crash(2 * DAY), crash(2 * DAY + 10, "ml/train")])
    shop = Shop(crashes=crashes, causes={crashes[2].state_id: "new-kind"})

    told = Simulator(shop, policy(NEW)).play(every(60, 3 * DAY))

    assert [item[:3] for item in told if item[1] == "opened"] == [(2 * DAY + 61, "opened", "new ")]
    assert [item[1] for item in told] == ["opened", "resolved"]


def test_nothing_is_new_to_a_new_monitor():
    """On its first day it learns."""
    assert Simulator(Shop(crashes=daily_crashes(0)), policy(NEW)).play(every(60, DAY)) == []


# ---- outages


def outage_of(*causes: tuple[float, str, str]) -> Shop:
    """Crashes at these minutes, of these deployments and causes."""
    crashes = numbered(crash(minute, deployment) for minute, deployment, _ in causes)
    told = zip(crashes, causes, strict=True)
    return Shop(crashes=crashes, causes={one.state_id: cause for one, (_, _, cause) in told})


API_DOWN = (
    (2, "a/a", "request-to-api-failed"),
    (2.5, "b/b", "api-server-error-5xx"),
    (3, "c/c", "request-to-api-failed"),
    (3.1, "d/d", "process-exit-general-error"),
    (3.2, "d/d", "process-exit-general-error"),
    (3.3, "d/d", "unknown"),
)


def test_an_outage_is_one_incident_with_its_symptoms():
    """Crashes that say nothing at that time belong to it, and open nothing of their own."""
    monitor = Simulator(outage_of(*API_DOWN), policy(OUTAGE, CRASHES))

    told = monitor.play(every(5, 20))

    assert told == [(6, "opened", "outage an outage of the Prefect API or its database", 6)]
    assert set(monitor.told[0].incident.deployments) == {"a/a", "b/b", "c/c", "d/d"}
    assert monitor.told[0].incident.sample_cause == "request-to-api-failed"


def test_another_problem_at_that_time_is_another_incident():
    """A deployment that runs out of memory is no symptom of a server's trouble."""
    shop = outage_of(*API_DOWN, *((4 + i / 10, "x/x", "killed-oom-or-sigkill") for i in range(3)))

    told = Simulator(shop, policy(OUTAGE, CRASHES)).play(every(5, 20))

    assert [item[2] for item in told] == [
        "outage an outage of the Prefect API or its database",
        "crashes x/x",
    ]


def test_one_deployment_alone_is_no_outage():
    """Its own trouble with the API is judged by the other rules."""
    shop = outage_of(*((2 + i / 10, "a/a", "api-server-error-5xx") for i in range(4)))

    told = Simulator(shop, policy(OUTAGE, CRASHES)).play(every(5, 20))

    assert [item[2] for item in told] == ["crashes a/a"]


def test_an_image_that_is_missing_hits_its_pool_only():
    """Two pools, one of them without its image."""
    crashes = numbered(
        crash(2 + i / 10, f"f/{i}", work_pool="k8s" if i < 3 else "local") for i in range(6)
    )
    causes = ["k8s-image-pull-error"] * 2 + ["exited-before-running-other"] * 4
    causes[2] = "k8s-image-pull-error"
    shop = Shop(
        crashes=crashes,
        causes={one.state_id: cause for one, cause in zip(crashes, causes, strict=True)},
    )

    told = Simulator(shop, policy(OUTAGE)).play(every(5, 20))

    assert told == [(6, "opened", "outage an outage of image or code storage: work pool k8s", 3)]


def test_outages_are_told_by_causes_that_there_are():
    """A typing error would leave one untold; nothing is both."""
    for outage in OUTAGES:
        assert outage.roots | outage.symptoms <= set(CAUSES)
        assert not outage.roots & outage.symptoms


# ---- which crashes, and the table


def test_a_rule_can_look_at_some_crashes_only():
    """A critical deployment's first crash speaks, others' do not."""
    crashes = numbered([crash(2), crash(3, "pay/bill", tags=("critical",))])

    told = Simulator(Shop(crashes=crashes), Policy(grace=timedelta(0))).play(every(5, 20))

    assert told == [(6, "opened", "critical-deployments pay/bill", 1)]


def test_every_kind_of_rule_has_its_condition():
    """And every field that can be matched on its reading."""
    assert set(CONDITIONS) == set(RuleKind)
    assert set(FIELDS) == set(get_args(MatchedField))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"kind": "consecutive", "scope": "work-pool"}, "scope deployment or flow or flow-run"),
        ({"kind": "outage", "scope": "deployment"}, "scope everything"),
        ({"kind": "count", "within": timedelta(days=8)}, "7 days"),
        ({"kind": "consecutive", "crashes": 101}, "100"),
        ({"kind": "rates"}, "consecutive"),
        ({"only": {"colour": "red"}}, "work_queue"),
    ],
)
def test_rules_that_make_no_sense_are_refused(wrong, words):
    """With what would."""
    with pytest.raises(ValidationError, match=words):
        Rule(name="wrong", **wrong)


def test_a_policy_without_long_windows_reads_little_history():
    """A streak of a week is remembered, not read again every cycle."""
    assert Policy(rules=[LOOP]).lookback == Policy(rules=[]).lookback
    assert Policy(rules=list(DEFAULT_RULES)).lookback < timedelta(hours=2)


def test_kinds_of_another_version_of_fingerprints_are_learnt_anew():
    """Else a new version would make every kind of crash a new one."""
    monitor = Simulator(Shop(crashes=daily_crashes(0)), policy(NEW))
    monitor.play(every(60, DAY))
    stored = to_json(monitor.ledger.memory)

    again = of_json({**stored, "fingerprints": "v0"})

    assert of_json(stored) == monitor.ledger.memory
    assert (again.seen, again.began) == ({}, None)
    assert of_json(to_json(Memory())) == Memory()


# ---- what a review found


def healed(crashes, *numbers):
    """Those that got going again a minute later."""
    chosen = [crashes[number] for number in numbers]
    return {one.state_id: (one.at - NOON) / MINUTE + 1 for one in chosen}


def test_crashes_that_heal_do_not_hide_a_completed_run():
    """Crash, crash, success, crash, and two that retries heal: never three in a row."""
    crashes = numbered(crash(m) for m in (2, DAY + 2, 2 * DAY + 2, 2 * DAY + 3, 2 * DAY + 4))
    shop = Shop(
        crashes=crashes, completed=[("etl/daily", DAY + 60)], recovered=healed(crashes, 3, 4)
    )
    graced = Policy(rules=[LOOP], grace=5 * MINUTE)

    assert Simulator(shop, graced).play(every(5, 3 * DAY)) == []


def test_catching_up_a_streak_begins_after_the_completed_run():
    """All read at once: two crashes, a success, three crashes."""
    shop = Shop(
        crashes=numbered(crash(m) for m in (10, 20, 40, 50, 60)), completed=[("etl/daily", 30)]
    )

    assert Simulator(shop, policy(LOOP)).play([1, 91]) == [(91, "opened", "loop etl/daily", 3)]


def test_a_silenced_deployment_neither_hides_nor_makes_an_outage():
    """Its crashes do not count towards one, and do not keep others' from counting."""
    noisy = [(m + 0.7, "noisy/one", "unknown") for m in range(2, 12)]
    shop = outage_of(*API_DOWN[:3], *noisy)
    whole = {"since": NOON, "until": NOON + timedelta(hours=2), "reason": "r"}
    shop.silences = [Silence(id="s", matcher={"deployment": "noisy/*"}, **whole)]
    silent = outage_of(*API_DOWN[:3], (4, "d/d", "process-exit-general-error"))
    silent.silences = [Silence(id="s", matcher={"deployment": "[abc]/*"}, **whole)]

    assert [item[2] for item in Simulator(shop, policy(OUTAGE)).play(every(5, 20))] == [
        "outage an outage of the Prefect API or its database"
    ]
    assert Simulator(silent, policy(OUTAGE)).play(every(5, 20)) == []


def test_a_loop_is_told_when_the_silence_over_it_ends():
    """Though nothing crashes then: it is still in its loop."""
    third = 2 * DAY
    silence = Silence(
        id="s",
        matcher={"deployment": "etl/*"},
        since=NOON + third * MINUTE,
        until=NOON + (third + 120) * MINUTE,
        reason="maintenance",
    )
    shop = Shop(crashes=daily_crashes(0, 1, 2), silences=[silence])

    told = Simulator(shop, policy(LOOP)).play(every(60, 3 * DAY))

    assert opened_and_resolved(told) == [(third + 121, "opened", "loop etl/daily", 3)]


def test_a_loop_resolves_though_its_streak_is_forgotten():
    """The ledger was rebuilt from events, or the rule asks for more now."""
    shop = Shop(crashes=daily_crashes(0, 1, 2), completed=[("etl/daily", 3 * DAY + 30)])
    monitor = Simulator(shop, policy(LOOP))
    monitor.play(every(60, 3 * DAY))
    monitor.ledger = replace(monitor.ledger, memory=Memory())
    monitor.policy = policy(LOOP.model_copy(update={"crashes": 5}))

    told = monitor.play(3 * DAY + minute for minute in every(60, DAY))

    assert [(item[0], item[1]) for item in told] == [(3 * DAY + 61, "resolved")]


def test_a_loop_without_a_new_crash_is_reminded_of_once():
    """It may have been paused on purpose."""
    monitor = Simulator(Shop(crashes=daily_crashes(0, 1, 2)), policy(LOOP))

    kinds = [item[1] for item in monitor.play(every(60, 12 * DAY))]

    assert kinds == ["opened", "reminded", "resolved"]


def test_after_an_absence_the_first_reminder_waits():
    """What is told of now for the first time is not reminded of in the same breath."""
    shop = Shop(crashes=numbered(crash(m) for m in range(5, 360, 5)))
    counting = Policy(rules=[CRASHES], grace=timedelta(0), remind_after=timedelta(hours=1))

    told = Simulator(shop, counting).play([1, 361])

    assert [item[1] for item in told] == ["opened"]


def test_symptoms_before_the_first_sign_belong_to_the_outage():
    """The processes died a minute before one could say why."""
    deaths = [(1 + i / 20, f"p/{i % 3}", "process-exit-general-error") for i in range(12)]
    storm = Rule(name="storm", scope=Scope.EVERYTHING, crashes=10, within=15 * MINUTE)

    told = Simulator(outage_of(*deaths, *API_DOWN[:3]), policy(OUTAGE, storm)).play(every(5, 20))

    assert [item[2:] for item in told] == [
        ("outage an outage of the Prefect API or its database", 15)
    ]


def test_a_crash_event_that_comes_late_joins_its_streak():
    """Within the horizon in which late events are read."""
    crashes = daily_crashes(0, 1, 2)
    shop = Shop(crashes=crashes[:2])
    monitor = Simulator(shop, policy(LOOP))
    monitor.play(every(5, 2 * DAY + 15))
    shop.crashes = crashes

    told = monitor.play([2 * DAY + 16])

    assert [item[1:] for item in told] == [("opened", "loop etl/daily", 3)]


def test_kinds_have_defaults_of_their_own():
    """Three within an hour would never be met by a daily deployment, or by one new crash."""
    new, loop = Rule(name="n", kind="new-cause"), Rule(name="l", kind=RuleKind.CONSECUTIVE)

    assert (new.crashes, new.within, new.scope) == (1, timedelta(days=1), Scope.EVERYTHING)
    assert (loop.crashes, loop.within) == (3, timedelta(days=7))
    assert Rule(name="l", kind="consecutive", within=timedelta(days=2)).within.days == 2


def test_the_latest_streaks_are_remembered_within_bounds():
    """A ledger has no room for all that may ever crash."""
    crashes = numbered(crash(m / 100, f"f/{m}") for m in range(7_000))
    known = advance(Beyond(), crashes, [LOOP], {}, {}, NOON + timedelta(hours=2)).memory

    assert len(known.streaks) == HITS_KEPT
    assert Streaked("loop", "f/6999") in known.streaks
    assert Streaked("loop", "f/0") not in known.streaks


def test_two_rules_for_one_deployment_remind_once():
    """The loop was opened after the count; the earlier rule's incident speaks for both."""
    crashes = numbered(crash(m) for m in (2, 3, 20, *range(30, 600, 10)))
    shop = Shop(crashes=crashes, completed=[("etl/daily", 10)])

    told = Simulator(shop, policy(LOOP, CRASHES)).play(every(5, 600))

    assert [item[1:3] for item in told if item[1] == "opened"] == [
        ("opened", "crashes etl/daily"),
        ("opened", "loop etl/daily"),
    ]
    assert {item[2] for item in told if item[1] == "reminded"} == {"loop etl/daily"}


def test_a_loop_that_was_told_is_not_told_again_without_a_new_crash():
    """The run that completed was deleted: nothing says any more that it is over."""
    shop = Shop(crashes=numbered(crash(m) for m in (10, 11, 12)), completed=[("etl/daily", 20)])
    monitor = Simulator(shop, policy(LOOP))
    told = monitor.play([1, 16, 21, 26])
    shop.completed = []

    assert [item[1] for item in told] == ["opened", "resolved"]
    assert monitor.play(every(5, 120)) == []


def test_what_is_remembered_is_not_read_again():
    """A kind's first crash is in the memory; only several of them must lie in the reading."""
    several = Rule(name="n", kind="new-cause", crashes=2)

    assert Policy(rules=[NEW]).lookback == Policy(rules=[]).lookback
    assert Policy(rules=[several]).lookback > several.within


def test_a_silence_added_now_silences_what_is_told_now():
    """The crashes are from just before it, the notification would come after it."""
    shop = Shop(crashes=numbered(crash(m) for m in (1, 2, 3)))
    since, until = (NOON + minute * MINUTE for minute in (5.5, 30))
    matcher = {"deployment": "etl/*"}
    shop.silences = [Silence(id="s", matcher=matcher, since=since, until=until, reason="r")]

    told = Simulator(shop, policy(CRASHES)).play(every(5, 60))

    assert [item[:3] for item in told] == [(31, "opened", "crashes etl/daily")]
