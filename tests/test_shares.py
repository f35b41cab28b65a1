"""Few crashes among many runs are no incident, where Prefect can tell how many ran."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError
from tests.support.simulator import MINUTE, NOON, Shop, Simulator, crash, numbered
from tests.support.world import COMPLETED, CRASHED, RUNNING, unique

from prefect_crash_monitor.config.policy import Policy, Rule, Scope
from prefect_crash_monitor.config.rule import RuleKind
from prefect_crash_monitor.evaluate.min_share import (
    ASKED,
    SPANS_ASKED,
    asked,
    of_groups,
    too_small,
    totals,
)
from prefect_crash_monitor.evaluate.read_finished_runs import shares_of
from prefect_crash_monitor.model.runs import EVERY_RUN, Ending, Runs, RunsOf
from prefect_crash_monitor.prefect_api.client import open_api

HOUR = timedelta(hours=1)
THREE = Rule(name="three")


def monitor(crashes, per_hour, rule=THREE):
    """One in a shop where so many runs of each deployment end every hour."""

    def ended(_runs, since, until):
        return int(per_hour * ((until - since) / HOUR))

    policy = Policy(rules=[rule], grace=timedelta(0))
    shop = Simulator(Shop(crashes=numbered(crashes), ended=ended), policy)
    shop.cycle(-5)
    return shop


def kinds(told):
    """What is told of, in order."""
    return [(minute, kind) for minute, kind, _, _ in told]


def burst(number, start=1.0):
    """Crashes of one deployment within four minutes."""
    return [crash(start + 3 * n / number) for n in range(number)]


def test_three_of_thousands_an_hour_are_no_incident():
    """At one in a hundred retries no longer hide it; below, nobody is woken."""
    assert monitor(burst(3), per_hour=5_000).play(range(5, 90, 5)) == []
    assert kinds(monitor(burst(3), per_hour=200).play(range(5, 120, 5))) == [
        (10, "opened"),
        (100, "resolved"),
    ]


def test_many_of_thousands_are_one():
    """Fifty-one of five thousand."""
    assert kinds(monitor(burst(51), per_hour=5_000).play(range(5, 30, 5))) == [(10, "opened")]


def test_it_ends_when_only_the_usual_few_crash():
    """A deployment that always loses some must not keep its incident for ever."""
    few = [crash(10 + 15.0 * n) for n in range(40)]
    told = monitor([*burst(60), *few], per_hour=5_000).play(range(5, 400, 5))

    assert [kind for _, kind in kinds(told)] == ["opened", "resolved"]


def test_zero_tells_of_any():
    """For a rule that means it."""
    rule = THREE.model_copy(update={"at_least": 0})

    assert kinds(monitor(burst(3), 5_000, rule).play(range(5, 30, 5))) == [(10, "opened")]


def test_a_rule_for_some_runs_is_not_compared_with_all():
    """How many runs are tagged so is not asked."""
    rule = Rule(name="tagged", only={"deployment": "etl/*"})

    assert kinds(monitor(burst(3), 5_000, rule).play(range(5, 30, 5))) == [(10, "opened")]


def test_what_is_not_known_is_told_of():
    """Beyond what is asked for in a cycle, say."""
    assert not too_small(THREE, burst(3), NOON + 5 * MINUTE, {})


def test_a_small_server_is_asked_once_for_all_of_its_groups():
    """Where all runs together are too few, no group has enough for a small share."""
    crashes = [crash(1 + n / 10, f"etl/{g}") for g in range(9) for n in range(3)]
    wanted = asked(crashes, [THREE], [NOON + 5 * MINUTE])
    (total,) = totals(wanted)

    assert len(wanted) == 9
    assert of_groups(wanted, {total: 297}) == ()
    assert len(of_groups(wanted, {total: 298})) == 9


def test_a_monitor_that_was_away_tells_of_no_small_share_of_that_time():
    """Three an hour of thousands, for the twelve hours that are judged afterwards."""
    usual = [crash(20.0 * n) for n in range(36)]

    assert monitor(usual, per_hour=5_000).play([720]) == []


def test_what_is_asked_after_an_outage_is_bounded_too_the_latest_first():
    """A monitor of ten seconds that was away for a day has thousands of intervals to judge."""
    throughs = [NOON + n * MINUTE / 6 for n in range(60, 6 * 60 * 24)]
    usual = [crash(10.0 * n) for n in range(6 * 24)]
    wanted = asked(usual, [THREE], throughs)
    groups = of_groups(wanted, dict.fromkeys(totals(wanted), 1_000_000))

    assert len(wanted) > SPANS_ASKED
    assert len(totals(wanted)) == len(groups) == SPANS_ASKED
    assert totals(wanted)[0].until == groups[0].until == throughs[-1]


def test_what_is_asked_is_bounded_the_fewest_crashes_first():
    """A storm over hundreds of deployments costs no more."""
    crashes = [crash(1 + n / 100, f"etl/{g}") for g in range(100) for n in range(3 + g)]
    wanted = asked(crashes, [THREE], [NOON + 5 * MINUTE])
    groups = of_groups(wanted, {totals(wanted)[0]: 1_000_000})

    assert len(groups) == ASKED
    assert groups[0].runs == Runs(RunsOf.DEPLOYMENT, "etl/0")


@pytest.mark.parametrize("scope", ["tag", "flow-run", "work-queue"])
def test_a_share_needs_runs_that_can_be_counted(scope):
    """Said at once, not silently left out."""
    with pytest.raises(ValidationError, match="at_least needs kind"):
        Rule(name="wrong", scope=scope, at_least=0.1)


@pytest.mark.server
async def test_prefect_tells_how_many_runs_ended(world):
    """Of a deployment, a flow, a pool and altogether; a bad id in an event is not asked for."""
    flow, pool = unique("shares"), unique("pool")
    world.post("/work_pools/", {"name": pool, "type": "process"})
    deployment = world.deployment(flow, "daily", work_pool_name=pool)
    for states in ([RUNNING, COMPLETED], [RUNNING, COMPLETED], [RUNNING, CRASHED], [RUNNING]):
        world.deployed_run(deployment, *states)
    parent = world.run(RUNNING, COMPLETED, flow=flow)
    task_run = world.post(
        "/task_runs/", {"flow_run_id": parent, "task_key": "sub", "dynamic_key": "0"}
    )
    for _ in range(3):  # in their parent's process, which crashes as one
        world.run(RUNNING, COMPLETED, flow=flow, parent_task_run_id=task_run["id"])
    now = datetime.now(UTC) + timedelta(seconds=1)
    one = crash(
        (now - NOON) / MINUTE - 0.02,
        f"{flow}/daily",
        flow_id=world.flow(flow),
        deployment_id=deployment,
        work_pool=pool,
    )
    forged = crash((now - NOON) / MINUTE - 0.02, "forged/one", deployment_id="no id", flow="x")
    scopes = [Scope.DEPLOYMENT, Scope.FLOW, Scope.WORK_POOL, Scope.EVERYTHING]
    rules = [Rule(name=str(s), scope=s, crashes=1, at_least=1, within=MINUTE) for s in scopes]
    wanted = asked([one, forged], rules, [now])

    async with open_api() as api:
        found = await shares_of(api, wanted)
        before = api.requests
        nothing = await shares_of(api, ())
        cost = api.requests - before

    def number(of, id_):
        return found[Ending(Runs(of, id_), now - MINUTE, now)]

    assert number(RunsOf.DEPLOYMENT, deployment) == 2
    assert number(RunsOf.FLOW, world.flow(flow)) == 3
    assert number(RunsOf.WORK_POOL, pool) == 2
    assert found[Ending(EVERY_RUN, now - MINUTE, now)] >= 3
    assert (nothing, cost) == ({}, 0)


def test_the_default_for_critical_deployments_is_any_crash():
    """However often they run."""
    (rule,) = [rule for rule in Policy().rules if rule.name == "critical-deployments"]

    assert rule.kind is RuleKind.COUNT
    assert not rule.wants_a_share
