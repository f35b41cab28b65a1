"""Silences: counted and shown, no incident; and never for good."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from prefect_crash_monitor.cli.app import app
from prefect_crash_monitor.config.parse_policy import parse_policy
from prefect_crash_monitor.config.policy import Policy, Rule, Scope
from prefect_crash_monitor.errors import BadInput
from prefect_crash_monitor.evaluate.evaluate import judge, remind
from prefect_crash_monitor.evaluate.silences import (
    Silence,
    active,
    checked,
    of_json,
    planned,
    silenced,
)
from prefect_crash_monitor.model.codec import to_json
from prefect_crash_monitor.model.crash import Crash, Diagnosis, Fate, Outcome
from prefect_crash_monitor.model.incident import Kind

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LOOP = Rule(
    name="loop", scope=Scope.DEPLOYMENT, crashes=3, within=30 * MINUTE, quiet_for=30 * MINUTE
)
POLICY = Policy(rules=[LOOP], grace=timedelta(0))
OOM = Diagnosis(cause="killed-oom-or-sigkill", confidence="medium", fingerprint="oom")


def silence(until: float = 60, since: float = 0, **matcher: str) -> Silence:
    """A silence between two minutes after noon."""
    return Silence(
        id="00000001",
        matcher=matcher or {"deployment": "etl/*"},
        since=NOON + since * MINUTE,
        until=NOON + until * MINUTE,
        reason="database upgrade",
        author="ada",
    )


def crash(minute: float, **more) -> Crash:
    """A crash some minutes after noon."""
    names = {"deployment": "etl/daily", "flow": "etl", "work_pool": "k8s", "tags": ("nightly",)}
    at = NOON + minute * MINUTE
    return Crash(state_id=f"s{minute}", at=at, flow_run_id=f"r{minute}", **{**names, **more})


def play(crashes, silences, minutes) -> list[tuple[int, str]]:
    """Judges at each minute, as cycles do; what is told."""
    told, incidents = [], ()
    outcomes = {one.state_id: Outcome(fate=Fate.STILL_CRASHED) for one in crashes}
    for minute in minutes:
        as_of = NOON + minute * MINUTE
        seen = [one for one in crashes if one.at < as_of]
        hushed = silenced(seen, {}, active(silences, as_of))
        judgement = judge(seen, outcomes, incidents, POLICY, as_of, {}, hushed)
        judgement = remind(judgement, POLICY, as_of, active(silences, as_of))
        incidents = judgement.incidents
        told += [(minute, str(t.kind)) for t in judgement.transitions]
    return told


@pytest.mark.parametrize(
    ("matcher", "expected"),
    [
        ({"deployment": "etl/daily"}, True),
        ({"deployment": "etl/*"}, True),
        ({"deployment": "ETL/*"}, False),
        ({"flow": "etl", "work_pool": "k8s"}, True),
        ({"flow": "etl", "work_pool": "process"}, False),
        ({"tag": "night*"}, True),
        ({"tag": "day*"}, False),
        ({"cause": "killed-*"}, True),
        ({"work_queue": "?*"}, False),
    ],
)
def test_matching(matcher, expected):
    """All fields must match; patterns as in a shell."""
    assert silence(**matcher).matches(crash(1), OOM) is expected


def test_a_silenced_crash_loop_opens_nothing_while_it_is_silenced():
    """It is over and quiet before the silence ends: nobody is told."""
    crashes = [crash(minute) for minute in (1, 2, 3, 4)]

    assert play(crashes, [silence(until=90)], range(5, 200, 5)) == []


def test_what_still_burns_at_the_end_of_a_silence_is_told():
    """A silence never eats an incident for good."""
    crashes = [crash(minute) for minute in range(1, 100, 5)]

    assert play(crashes, [silence(until=60)], range(5, 100, 5)) == [(60, "opened")]


def test_an_open_incident_is_not_declared_over_by_a_silence():
    """It goes on being fed, is not reminded of, and gets its all-clear when it is quiet."""
    crashes = [crash(minute) for minute in range(1, 400, 5)]
    long_silence = [silence(since=20, until=600)]

    told = play(crashes, long_silence, range(5, 520, 5))

    assert told == [(15, "opened"), (450, "resolved")]


def test_other_crashes_are_heard():
    """A silence over one deployment leaves the others."""
    crashes = [crash(m, deployment="billing/hourly", flow="billing") for m in (1, 2, 3)]

    assert play(crashes, [silence()], [5]) == [(5, "opened")]


def test_silences_of_the_policy():
    """Maintenance windows stand in the policy; a wrong one is refused with its place."""
    window = {
        "matcher": {"work_pool": "k8s"},
        "since": "2026-11-24T12:00:00+00:00",
        "until": "2026-11-24T14:00:00+00:00",
        "reason": "cluster upgrade",
    }

    (found,) = planned(parse_policy({"silences": [window]}))

    assert found.matches(crash(1), None)
    assert found.is_active(NOON + 30 * MINUTE)
    assert not found.is_active(NOON + 120 * MINUTE)
    for wrong in ({"until": window["since"]}, {"matcher": {}}, {"matcher": {"pool": "x"}}):
        with pytest.raises(BadInput, match="silences"):
            parse_policy({"silences": [window | wrong]})
    with pytest.raises(BadInput, match="silences"):
        parse_policy({"silences": [window | {"since": "2026-11-24T12:00:00"}]})


@given(st.floats(0, 300), st.floats(1, 300), st.lists(st.floats(0, 300), max_size=30, unique=True))
def test_a_silence_never_hides_what_burns_after_it(since, length, minutes):
    """Where the rule is met by crashes after the silence alone, it is told of."""
    hush = silence(since=since, until=since + length)
    crashes = [crash(minute) for minute in sorted(minutes)]
    after = [one for one in crashes if one.at >= hush.until]

    told = [kind for _, kind in play(crashes, [hush], range(5, 700, 5))]
    unsilenced = [kind for _, kind in play(after, [], range(5, 700, 5))]

    assert not unsilenced or "opened" in told


def test_json_round_trip():
    """What is stored is what was meant."""
    assert of_json(json.loads(json.dumps(to_json(Silence, silence())))) == silence()


@pytest.mark.parametrize(
    "wrong", [{"matcher": {}}, {"matcher": {"pool": "x"}}, {"until": NOON - MINUTE}]
)
def test_bad_silences_are_refused(wrong):
    """Each with what to do."""
    values = {"id": "x", "matcher": {"flow": "a"}, "since": NOON, "until": NOON + MINUTE}

    with pytest.raises(BadInput):
        checked(Silence(**{**values, "reason": "r", **wrong}))


@pytest.mark.server
def test_the_commands(api_url):
    """Add, list, remove; an end is obligatory."""
    run = CliRunner().invoke
    add = ["silence", "add", "--reason", "upgrade", "--policy", "of-a-test", "--json"]

    assert run(app, [*add, "--flow", "etl"]).exit_code == 2
    assert run(app, [*add, "--for", "2h"]).exit_code == 2
    assert run(app, [*add, "--flow", "etl", "--for", "2 hours"]).exit_code == 2
    over = [*add, "--flow", "etl", "--since", "2020-01-01T00:00:00Z", "--for", "1h"]
    assert run(app, over).exit_code == 2


@pytest.mark.server
def test_a_silence_is_kept_on_the_server(api_url):
    """What one person adds, another one sees and removes."""
    run = CliRunner().invoke
    add = ["silence", "add", "--reason", "upgrade", "--author", "ada", "--json"]

    first = json.loads(run(app, [*add, "--flow", "etl", "--for", "2h"]).stdout)
    second = json.loads(run(app, [*add, "--tag", "x", "--for", "30m"]).stdout)
    left = run(app, ["silence", "remove", first[0]["id"], "--json"])

    assert left.exit_code == 0, (left.stderr, left.exception)
    assert [s["matcher"] for s in second] == [{"tag": "x"}, {"flow": "etl"}]
    assert [s["matcher"] for s in json.loads(left.stdout)] == [{"tag": "x"}]
    assert run(app, ["silence", "remove", "nonsense"]).exit_code == 2
    (last,) = json.loads(left.stdout)
    assert json.loads(run(app, ["silence", "remove", last["id"], "--json"]).stdout) == []


def test_kinds_are_words_of_the_contract():
    """The kinds that `play` compares with."""
    assert {str(kind) for kind in Kind} == {"opened", "reminded", "resolved"}
