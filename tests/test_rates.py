"""Crash rates: what is usual for a deployment, and when it is more than that."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.support.simulator import MINUTE, NOON, Shop, Simulator, crash, numbered

from prefect_crash_monitor.config.policy import Policy, Rule
from prefect_crash_monitor.config.rule import RuleKind
from prefect_crash_monitor.evaluate import rule_state as memory
from prefect_crash_monitor.evaluate.rate import daily_counts as tallies
from prefect_crash_monitor.evaluate.rate.candidates import (
    Wanted,
    days_wanted,
    not_looked_at,
    wanted,
)
from prefect_crash_monitor.evaluate.rate.crash_rate import Rates, in_words, too_high
from prefect_crash_monitor.evaluate.rate.daily_counts import DAYS_KEPT, Day, Tally, tallied
from prefect_crash_monitor.evaluate.rate.proportion import Share, usual
from prefect_crash_monitor.evaluate.rule_state import Memory
from prefect_crash_monitor.model.crash import Crash
from prefect_crash_monitor.model.incident import Kind
from prefect_crash_monitor.model.interval import Window
from prefect_crash_monitor.report.incidents import incidents_section
from prefect_crash_monitor.state.ledger import Ledger

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
RATE = Rule(name="rate", kind=RuleKind.RATE, crashes=5)
POLICY = Policy(rules=[RATE], grace=timedelta(0), remind_at_most=timedelta(days=30))
MIDNIGHT = NOON - timedelta(hours=12)


def share(crashed: int, runs: int) -> Share:
    """So many of so many."""
    return Share(crashed=crashed, ended=runs - crashed)


def counted(days: int, per_day: int = 0, *groups: str) -> Memory:
    """A memory of the days before today, each counted whole, with crashes."""
    crashes = dict.fromkeys(groups or ["etl/daily"], per_day) if per_day else {}
    whole = Day(covered=DAY, crashes=crashes)
    return Memory(
        tallies={
            "rate": Tally(
                only="{}",
                through=MIDNIGHT,
                days={MIDNIGHT - n * DAY: whole for n in range(days, 0, -1)},
            )
        }
    )


def hourly(per_hour: float):
    """Runs that complete evenly all day."""

    def ended(_deployment: str, since: datetime, until: datetime) -> int:
        return int(per_hour * ((until - since) / HOUR))

    return ended


def burst(number: int, start: float = 0, minutes: float = 60, name: str = "etl/daily"):
    """Crashes evenly over some minutes."""
    return [crash(start + n * minutes / number + 0.1, name) for n in range(number)]


def monitor(crashes: Iterable[Crash], per_hour: float = 300, days: int = 7, per_day: int = 20):
    """One that knows the days before, of a deployment that runs evenly."""
    shop = Shop(crashes=numbered(crashes), ended=hourly(per_hour))
    ledger = Ledger(monitor="m", watermark=NOON - 5 * MINUTE, memory=counted(days, per_day))
    return Simulator(shop, POLICY, ledger)


# ---- shares


@settings(deadline=None)
@given(st.integers(0, 500), st.integers(0, 5000))
def test_the_bounds_hold_the_rate(crashed, others):
    """Whatever the numbers, and they get narrower with more of the same."""
    few, many = (Share(crashed=n * crashed, ended=n * others) for n in (1, 9))

    assert 0 <= few.bounds[0] <= few.rate + 1e-9
    assert few.rate <= few.bounds[1] + 1e-9
    if few.runs:
        assert many.bounds[1] - many.bounds[0] < few.bounds[1] - few.bounds[0]


def test_the_bounds_are_wilsons():
    """They are as many standard deviations away, as those are there; unknown of no runs."""
    for bound in share(10, 100).bounds:
        deviation = (bound * (1 - bound) / 100) ** 0.5
        assert abs(0.1 - bound) / deviation == pytest.approx(3)
    assert share(0, 0).bounds == (0, 1)


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        ([(1, 100), (3, 100)], (4, 200)),
        ([(1, 100), (80, 100), (3, 100)], (4, 200)),
        ([(0, 0), (1, 100)], (1, 100)),
        ([(0, 0)], (0, 0)),
        ([(0, 100)] * 7, (0, 600)),
        ([(2, 100), (0, 0), (9, 10)], (11, 110)),
    ],
)
def test_what_is_usual(days, expected):
    """All runs together; of three days that had runs the worst is left out."""
    assert usual([share(*day) for day in days]) == share(*expected)


# ---- too high


def look(long: Share, usually: Share, short: Share | None = None) -> Rates:
    """A short window like the long one, unless said."""
    quarter = short or Share(crashed=-(-long.crashed // 4), ended=long.ended // 4)
    return Rates(long=long, short=quarter, usual=usually)


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        (look(share(12, 300), share(150, 50_000)), True),
        (look(share(3, 3), share(0, 168)), True),
        (look(share(3, 3), share(30, 168)), False),  # it always was like that
        (look(share(3, 30), share(1, 100)), False),  # chance
        (look(share(5, 5), share(0, 10)), False),  # too little known of before
        (look(share(20, 3_000), share(50, 500_000)), False),  # below 1 %
        (look(share(12, 300), share(150, 50_000), short=share(0, 75)), False),  # over
        (look(share(12, 300), share(150, 50_000), short=share(1, 300)), False),  # nearly
    ],
)
def test_when_a_rate_is_too_high(seen, told):
    """Beyond chance, more than rare, and still."""
    assert too_high(RATE, seen) is told


shares = st.tuples(st.integers(0, 2_000), st.integers(0, 2_000)).map(
    lambda numbers: Share(crashed=numbers[0], ended=numbers[1])
)


@settings(deadline=None)
@given(shares, shares, shares)
def test_what_is_below_the_factor_is_never_told(long, short, before):
    """Nor what is below the least share, nor what is over."""
    if too_high(RATE, Rates(long=long, short=short, usual=before)):
        assert long.rate > RATE.factor * before.rate
        assert long.rate >= RATE.at_least
        assert short.crashed


@pytest.mark.parametrize("per_hour", [1, 6, 60, 3_000])
@pytest.mark.parametrize("rate", [0.001, 0.02, 0.2])
def test_a_rate_that_stays_the_same_is_not_told(rate, per_hour):
    """A hundred weeks of one deployment, every hour of the next day looked at."""
    chance = random.Random(per_hour)

    def lost(runs: int) -> Share:
        spread = (runs * rate * (1 - rate)) ** 0.5
        crashed = (
            round(chance.gauss(runs * rate, spread))
            if spread > 3
            else sum(chance.random() < rate for _ in range(runs))
        )
        return share(min(max(crashed, 0), runs), runs)

    for _ in range(100):
        before = usual([lost(24 * per_hour) for _ in range(7)])
        for _ in range(24):
            hour = lost(per_hour)
            if hour.crashed >= RATE.crashes:
                assert not too_high(RATE, look(hour, before))


def test_words():
    """What a person reads first."""
    assert in_words(RATE, look(share(12, 300), share(150, 50_000))) == (
        "12 of 300 runs crashed within 1 h (4.0 %, usually 0.3 %)"
    )
    assert "100.0 %, usually 0 %" in in_words(RATE, look(share(5, 5), share(0, 100)))
    assert "usually below 0.1 %" in in_words(RATE, look(share(5, 5), share(1, 10_000)))


# ---- played


def test_more_than_usual_is_told_and_has_its_all_clear():
    """20 a day of 7,200, then 20 in an hour; the words are those of the last bad look."""
    told = monitor(burst(20))
    played = told.play(range(1, 240, 5))

    assert [item[1:3] for item in played] == [
        ("opened", "rate etl/daily"),
        ("resolved", "rate etl/daily"),
    ]
    opened, resolved = (transition.incident for transition in told.told)
    assert opened.basis == "9 of 309 runs crashed within 1 h (2.9 %, usually 0.3 %)"
    assert resolved.basis == "16 of 316 runs crashed within 1 h (5.1 %, usually 0.3 %)"
    assert opened.basis in incidents_section([opened], [], as_of=NOON + HOUR, ui_url="")
    assert resolved.crashes == 20
    assert resolved.first_crash_at == told.shop.crashes[0].at


def test_a_busy_deployment_that_crashes_as_usual_is_not_told():
    """Nine an hour would be three incidents' worth for a rule that counts."""
    crashes = burst(9 * 12, minutes=12 * 60)
    quiet = monitor(crashes, per_hour=3_000, per_day=9 * 24)
    count = monitor(crashes)
    count.policy = POLICY.model_copy(update={"rules": [Rule(name="crashes")]})

    assert quiet.play(range(1, 12 * 60, 5)) == []
    assert count.play(range(1, 60, 5)) != []


def test_trouble_that_lasts_for_days_does_not_become_usual_at_once():
    """It is compared with the time before it, for a week; what lasts longer is usual."""
    days = 24 * 60
    lasting = monitor(burst(20 * 24 * 9, minutes=9 * days))
    lasting.policy = POLICY.model_copy(update={"interval": HOUR})

    told = [item for item in lasting.play(range(1, 9 * days, 60)) if item[1] != "reminded"]

    assert [item[1] for item in told] == ["opened", "resolved"]
    assert 7 * days < told[1][0] < 8.6 * days


@pytest.mark.parametrize("days", [0, 1])
def test_without_a_day_to_compare_with_nothing_is_told(days):
    """One is enough."""
    told = monitor(burst(20), days=days).play(range(1, 60, 5))

    assert [item[1] for item in told] == ["opened"] * days


def test_the_monitor_counts_its_days_itself():
    """From its first cycle: the rest of that day is no whole day, the next one is."""
    days = 24 * 60
    usual_ones = [crash(n * 60 + 0.1) for n in range(3 * 24)]
    bad = burst(20, start=20 * 60), burst(20, start=2 * days)
    told = monitor([*usual_ones, *bad[0], *bad[1]], days=0)
    told.ledger = Ledger(monitor="m")

    played = told.play(range(1, 2 * days + 120, 60))

    assert [item[1] for item in played] == ["opened"]
    assert played[0][0] > 2 * days
    tally = told.ledger.memory.tallies["rate"]
    assert [day.whole for day in tally.days.values()] == [False, True, False]
    assert tally.days[MIDNIGHT + DAY].crashes == {"etl/daily": 20 + 24 - 4 + 4}


def test_days_on_which_the_monitor_was_away_are_not_compared_with():
    """Longer than it catches up: their numbers would be too low."""
    away = monitor([], days=0)
    away.ledger = Ledger(monitor="m")
    hours = [hour for hour in range(24 * 6) if not 40 <= hour < 80]

    away.play(60 * hour + 1 for hour in hours)

    whole = [at for at, day in away.ledger.memory.tallies["rate"].days.items() if day.whole]
    assert whole == [MIDNIGHT + n * DAY for n in (1, 3, 4, 5)]


def test_what_is_not_known_opens_and_closes_nothing(monkeypatch):
    """As where more deployments are in question than are looked at."""
    open_one, new = monitor(burst(90, minutes=360)), monitor(burst(90, minutes=360))
    open_one.play([61])
    monkeypatch.setattr("tests.support.simulator.wanted", lambda *_: Wanted())

    assert [t.kind for t in open_one.told] == [Kind.OPENED]
    assert open_one.play(range(66, 360, 5)) == []
    assert new.play(range(1, 360, 5)) == []


def test_a_retry_that_heals_counts_for_neither():
    """What recovers within the grace is no crash of the rate, nor of the days before."""
    healed = monitor(burst(20))
    healed.policy = POLICY.model_copy(update={"grace": 5 * MINUTE})
    healed.shop.recovered = {
        one.state_id: (one.at - NOON) / MINUTE + 1 for one in healed.shop.crashes
    }

    assert healed.play(range(1, 120, 5)) == []
    assert all(not day.crashes or day.whole for day in _days(healed))


def _days(played: Simulator) -> Iterable[Day]:
    return played.ledger.memory.tallies["rate"].days.values()


def test_killed_cycles_count_nothing_twice():
    """The tally of a day is what crashed on it."""
    told = monitor(burst(20))
    for minute in range(1, 70, 5):
        told.cycle(minute, killed=True)
        told.cycle(minute)

    assert told.ledger.memory.tallies["rate"].days[MIDNIGHT].crashes == {"etl/daily": 20}


# ---- what is asked


def asked(crashes: Iterable[Crash], known: Memory, *minutes: int) -> Wanted:
    """What must be known to judge these crashes at these minutes."""
    throughs = [NOON + minute * MINUTE for minute in minutes]
    return wanted(known, numbered(crashes), [RATE], {}, throughs)


def test_in_quiet_times_nothing_is_asked():
    """Nor before there is a day to compare with."""
    assert asked(burst(4), counted(7), 60) == Wanted()
    assert asked(burst(5), counted(0), 60) == Wanted()
    assert asked(burst(5), Memory(), 60) == Wanted()


def test_two_windows_and_all_days_known_are_asked_for():
    """Of the deployment in question only."""
    what = asked([*burst(5), *burst(4, name="ml/train")], counted(9), 60)

    spans = [(ending.since, ending.until) for ending in what.windows]
    assert spans == [(NOON, NOON + HOUR), (NOON + 45 * MINUTE, NOON + HOUR)]
    days = days_wanted(what, dict.fromkeys(what.windows, 495))
    assert [ending.since for ending in days] == [MIDNIGHT - n * DAY for n in range(9, 0, -1)]
    assert {ending.runs.id for ending in (*what.windows, *days)} == {"etl/daily"}


def test_days_are_asked_for_only_where_the_rate_is_high_enough():
    """A busy deployment always has some crashes; it is not compared each time."""
    what = asked(burst(5), counted(9), 60)

    assert days_wanted(what, dict.fromkeys(what.windows, 496)) == ()
    assert days_wanted(what, {}) == ()


def test_those_furthest_above_their_usual_number_come_first():
    """Ten that always crash a lot do not hide one that does not."""
    busy = [one for n in range(10) for one in burst(50, name=f"busy/{n}")]
    known = counted(7, 50 * 24, *(f"busy/{n}" for n in range(10)))
    what = asked([*busy, *burst(6, name="calm/one")], known, 60)

    assert what.suspects[0].group == "calm/one"
    assert len(what.left_out) == 1


def test_the_number_of_questions_is_bounded():
    """The worst deployments and the latest intervals come first, and it is said."""
    storm = [one for n in range(30) for one in burst(5 + n, name=f"etl/{n:02}")]
    what = asked(storm, counted(7), *range(5, 125, 5))

    assert len({suspect.runs for suspect in what.suspects}) == 10
    assert len(what.windows) == 60
    assert len(what.left_out) == 20
    assert not_looked_at(what) == (
        "The crash rate of etl/00 and 19 more was not judged: 10 deployments in one cycle, those "
        "furthest above their usual number of crashes.",
    )


def test_a_quiet_cycle_does_not_load_pandas():
    """It takes 0.4 s and 40 MB; a deployment in question does load it."""
    program = (
        "import sys; from tests.test_rates import burst, monitor;"
        "monitor(burst(4)).play([1, 61]); print('pandas' in sys.modules);"
        "monitor(burst(20)).play([1, 61]); print('pandas' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert (done.stdout.split(), done.stderr) == (["False", "True"], "")


# ---- what is kept


def test_a_rule_that_looks_at_others_starts_anew():
    """Its days counted other crashes; and a rule that is gone is forgotten."""
    before = counted(7, 20).tallies
    span = Window(NOON, NOON + 5 * MINUTE)
    narrower = RATE.model_copy(update={"only": {"cause": "oom"}})

    assert set(tallied(before, [], [RATE], {}, span)["rate"].days) > {MIDNIGHT - DAY}
    assert list(tallied(before, [], [narrower], {}, span)["rate"].days) == [MIDNIGHT]
    assert tallied(before, [], [Rule(name="rate")], {}, span) == {}


def test_old_days_go(monkeypatch):
    """A week and what is needed for it; fewer where there is no room."""
    span = Window(NOON, NOON + 5 * MINUTE)
    days = counted(20, 20).tallies

    assert len(tallied(days, [], [RATE], {}, span)["rate"].days) == DAYS_KEPT
    monkeypatch.setattr(tallies, "NUMBERS_KEPT", 3)
    kept = tallied(days, burst(1), [RATE], {}, span)["rate"].days
    assert list(kept) == [MIDNIGHT - 2 * DAY, MIDNIGHT - DAY, MIDNIGHT]


def test_the_tallies_are_written_down():
    """And a ledger of before there were any is read."""
    known = replace(counted(3, 20), began=NOON)
    stored = memory.to_json(known)

    assert memory.of_json(stored) == known
    older = {key: value for key, value in stored.items() if key != "tallies"}
    assert memory.of_json(older).tallies == {}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"kind": "rate", "scope": "flow"}, "scope deployment"),
        ({"kind": "rate", "within": timedelta(days=2)}, "within 1 day"),
        ({"factor": 2}, "factor needs kind: rate"),
        ({"kind": "outage", "scope": "everything", "at_least": 0.5}, "at_least needs kind"),
        ({"kind": "rate", "factor": 1}, "greater than 1"),
        ({"kind": "rate", "at_least": 2}, "less than or equal to 1"),
    ],
)
def test_rules_that_make_no_sense_are_refused(wrong, words):
    """With what would."""
    with pytest.raises(ValidationError, match=words):
        Rule(name="wrong", **wrong)


def test_other_kinds_keep_their_defaults():
    """A policy that is written out and read again is the same."""
    assert Policy.model_validate(Policy().model_dump()) == Policy()
