"""Triage, decided and written: what a scene says, and that no text in it can misuse the report."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.test_render import HOSTILE, structure

from prefect_crash_monitor.explain import evidence_of_bundle, explain
from prefect_crash_monitor.explain.evidence.lenient_json import name
from prefect_crash_monitor.model.crash import Crash, Diagnosis
from prefect_crash_monitor.model.interval import Window
from prefect_crash_monitor.notify.automations.triage import triage_automation
from prefect_crash_monitor.triage.findings import changed_between, findings
from prefect_crash_monitor.triage.parse import edits_of, past_run
from prefect_crash_monitor.triage.render import render_triage, summary
from prefect_crash_monitor.triage.scene import (
    AROUND,
    Around,
    DeploymentNow,
    Edit,
    PastRun,
    PoolNow,
    Scene,
    Worker,
    WorkerEvent,
)

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
RUN = "0199c0de-0000-4000-8000-000000000001"
SECRET = "hunter2-a1B2c3D4"


def bundle(
    run_name: str = "brave-ibis", message: str = "Process exited with status code: -9", **more: Any
) -> dict:
    """What was captured of a run that crashed at noon."""
    states = [
        {"type": kind, "name": kind.capitalize(), "timestamp": at.isoformat(), "message": text}
        for kind, at, text in (
            ("PENDING", NOON - 2 * MINUTE, ""),
            ("RUNNING", NOON - MINUTE, ""),
            ("CRASHED", NOON, message),
        )
    ]
    run = {"id": RUN, "name": run_name, "state_type": "CRASHED", "state_name": "Crashed"}
    run |= {"work_pool_name": "vm", "labels": {"prefect.worker.name": "w1"}, "run_count": 1}
    captured = (NOON + MINUTE).isoformat()
    return {
        "captured_at": captured,
        "flow_run": run,
        "states": states,
        "logs": [],
        "events": [],
    } | more


def scene(bundled: dict | None = None, **more: Any) -> Scene:
    """The scene of that crash."""
    evidence = evidence_of_bundle(bundled or bundle())
    return Scene(
        run_id=RUN,
        looked_at=NOON + MINUTE,
        crashed_at=NOON,
        evidence=evidence,
        explanation=explain(evidence),
        **more,
    )


def run(state: str, minutes: float, **more: Any) -> PastRun:
    """A run of the deployment that started so many minutes before noon."""
    at = NOON - minutes * MINUTE
    label = state.capitalize()
    return PastRun(
        id=f"{state}-{minutes}", state_type=state, state_name=label, at=at, ended_at=at, **more
    )


def crash(
    number: int, deployment: str = "etl/daily", after: timedelta = SECOND, pool: str = "vm"
) -> Crash:
    """Another crash."""
    return Crash(
        state_id=f"s{number}",
        at=NOON + after,
        flow_run_id=f"r{number}",
        flow_run_name=f"run-{number}",
        deployment=deployment,
        work_pool=pool,
    )


def around(*crashes: Crash, workers: str = "", left_out: int = 0) -> Around:
    """What crashed beside it, taken by one worker."""
    span = Window(NOON - AROUND, NOON + AROUND)
    names = {crash.flow_run_id: workers for crash in crashes}
    return Around(span=span, crashes=crashes, workers=names, left_out=left_out)


W1, W2 = Worker(name="w1", online=True, heartbeat_at=NOON), Worker(name="w2", online=True)
OFF = Worker(name="w1", online=False, heartbeat_at=NOON - 5 * SECOND)
POOL = PoolNow(id="p", name="vm", kind="process", status="READY")
GOOD = run("COMPLETED", 10, version="v1", worker="w1", job_variables={"image": "a", "env.A": "1"})
LIMITED = DeploymentNow(id="d", name="daily", limit=2, slots_taken=2, limit_name="deployment:d")


@pytest.mark.parametrize(
    ("seen", "words", "telling"),
    [
        # How it went before.
        ({"before": ()}, "No earlier run is known.", False),
        (
            {"before": (run("FAILED", 5),)},
            "No earlier run is known to have completed; 1 run looked",
            True,
        ),
        (
            {"before": (*(run("CRASHED", m) for m in (5, 6)), GOOD), "completed": GOOD},
            "2 runs right before it crashed or failed as well. The last one that completed ended "
            "2026-11-24 11:50:00 UTC.",
            True,
        ),
        (
            {"before": tuple(run("COMPLETED", m) for m in (5, 6, 7)), "completed": GOOD},
            "3 runs right before it completed: something is new, or it was chance.",
            True,
        ),
        ({"since": (run("COMPLETED", -1),)}, "Since the crash 1 run completed: it may be", False),
        # What changed.
        (
            {"run": replace(GOOD, version="v2"), "completed": GOOD},
            "It differs from the last run that completed in version v1 → v2.",
            True,
        ),
        (
            {"run": replace(GOOD, worker="w2"), "completed": GOOD},
            "It differs from the last run that completed in worker w1 → w2.",
            False,
        ),
        ({"run": GOOD, "completed": GOOD}, "an image under the same tag, packages, data.", False),
        (
            {
                "edits": (
                    Edit(at=NOON - MINUTE, what="deployment", fields=("job_variables.image",)),
                )
            },
            "The deployment was changed before the crash, 2026-11-24 11:59:00 UTC "
            "(job_variables.image).",
            True,
        ),
        (
            {"edits": (Edit(at=NOON + MINUTE, what="work pool"),)},
            "The work pool was changed since the crash",
            False,
        ),
        (
            {"completed": GOOD, "deployment": DeploymentNow(id="d", updated_at=NOON - MINUTE)},
            "Between the last run that completed and the crash the deployment was deployed",
            True,
        ),
        # What crashed beside it.
        ({"around": around()}, "No other run crashed within 10 min of it.", False),
        ({"around": around(crash(1))}, "1 run besides it crashed within 10 min", False),
        (
            {"around": around(crash(1), crash(2, "ml/train"), left_out=8)},
            "10 runs besides it crashed within 10 min of it. Of the first 2: etl/daily (1), "
            "ml/train (1).",
            True,
        ),
        (
            {"around": around(crash(1), crash(2, "ml/train"))},
            "2 runs of several deployments crashed within 30 s of it: look at what they share.",
            True,
        ),
        (
            {"around": around(crash(1), workers="w1"), "workers": (W1, W2)},
            "All of them and it were taken by worker w1, one of 2 of the pool",
            True,
        ),
        (
            {"around": around(crash(1), crash(2, pool="k8s"))},
            "They are of 2 work pools: look at what these share",
            True,
        ),
        # Who should have run it.
        ({"workers": (W1,)}, "Worker w1, which took it, is online.", False),
        (
            {"workers": (OFF, W2)},
            "Worker w1, which took it, is offline; its last heartbeat came 2026-11-24 11:59:55 "
            "UTC, 5 s before the crash.",
            True,
        ),
        ({"workers": (W2,)}, "Worker w1, which took it, is not known to the pool any more.", False),
        (
            {"worker_events": (WorkerEvent(at=NOON - 4 * SECOND, worker="w1", stopped=True),)},
            "Worker w1 stopped 2026-11-24 11:59:56 UTC, 4 s before the crash.",
            True,
        ),
        (
            {"worker_events": (WorkerEvent(at=NOON - 4 * SECOND, worker="w1", stopped=False),)},
            "Worker w1 started",
            False,
        ),
        ({"pool": POOL, "workers": (OFF,)}, "No worker of work pool vm is online", True),
        ({"pool": replace(POOL, paused=True)}, "Work pool vm is paused", True),
        ({"deployment": DeploymentNow(id="d", paused=True)}, "The deployment is paused", False),
        # Slots of its limit.
        (
            {"deployment": LIMITED, "active": 1},
            "2 of 2 slots of the deployment's concurrency limit are taken, and 1 run pending",
            True,
        ),
        ({"deployment": LIMITED, "active": 2}, "limit are taken; none leaked.", False),
    ],
)
def test_a_finding(seen, words, telling):
    """Each is said where it is seen, and only there is it said to lead to the reason."""
    (found,) = [f for f in findings(scene(**seen)) if words in f.text]

    assert found.telling is telling
    assert not [f for f in findings(scene()) if words in f.text]


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        ({"around": around(crash(1), workers="w1"), "workers": (W1,)}, "All of them"),
        ({"around": around(crash(1), workers="w2"), "workers": (W1, W2)}, "All of them"),
        ({"around": around(crash(1), workers="w1", left_out=1), "workers": (W1, W2)}, "All of"),
        ({"around": around(crash(1), crash(2, "ml/x", 5 * MINUTE))}, "within 30 s"),
        ({"pool": POOL, "workers": ()}, "No worker"),  # a push pool has none
        ({"before": (run("COMPLETED", 5),), "completed": GOOD, "since": ()}, "Since the crash"),
        (
            {"completed": GOOD, "deployment": DeploymentNow(id="d", updated_at=NOON + MINUTE)},
            "edit",
        ),
    ],
)
def test_what_is_not_said(seen, words):
    """Nothing is drawn from one worker alone, from part of the crashes, from what came later."""
    assert not [f.text for f in findings(scene(**seen)) if words in f.text]


def test_telling_findings_come_first():
    """What may be the reason stands at the top."""
    told = [f.telling for f in findings(scene(workers=(OFF, W2), before=(), around=around()))]

    assert told == sorted(told, reverse=True)
    assert set(told) == {True, False}


def test_changes_tell_names_never_values():
    """Values are compared by digests; an environment by its variables, parameters as a whole."""
    before = past_run(
        {
            "id": "1",
            "deployment_version": "a" * 40,
            "parameters": {"day": 1, "same": {"x": 1}},
            "job_variables": {"image": "etl:1", "env": {"TOKEN": SECRET, "B": "1"}},
        }
    )
    after = past_run(
        {
            "id": "2",
            "deployment_version": "b" * 40,
            "parameters": {"day": 2, "same": {"x": 1}},
            "job_variables": {"image": "etl:2", "env": {"TOKEN": SECRET + "!", "B": "1"}},
        }
    )

    assert changed_between(before, after) == [
        f"version {'a' * 12}… → {'b' * 12}…",
        "job variables env.TOKEN, image",
        "parameters day",
    ]
    assert SECRET not in repr(before) + repr(after)


def test_edits_tell_names_never_values():
    """Those that Prefect's own event gives, down to the variables of an environment."""
    updates = {
        "infra_overrides": {
            "from": {"image": "a", "env": {"TOKEN": "x", "B": "1"}},
            "to": {"image": "a", "env": {"TOKEN": SECRET, "B": "1"}},
        },
        "version": {"from": "1", "to": "2"},
    }
    event = {
        "event": "prefect.deployment.updated",
        "occurred": NOON.isoformat(),
        "payload": {"updated_fields": list(updates), "updates": updates},
    }
    other = event | {"event": "prefect.deployment.ready"}

    (edit,) = edits_of({"events": [event, other]})

    assert edit == Edit(at=NOON, what="deployment", fields=("job_variables.env.TOKEN", "version"))


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(odd=ODD)
def test_odd_answers_leave_gaps_and_never_raise(odd):
    """A field of any type, from a server older or newer than ours."""
    fields = ("id", "state_type", "start_time", "labels", "parameters", "job_variables")
    for field in fields:
        assert isinstance(past_run({field: odd}), PastRun)
    assert edits_of({"events": odd}) == ()
    payload = {"updated_fields": odd, "updates": odd}
    event = {
        "event": "prefect.deployment.updated",
        "occurred": NOON.isoformat(),
        "payload": payload,
    }
    assert len(edits_of({"events": [event]})) == 1


def full(text: str) -> Scene:
    """A scene with the same text in the place of everything that a stranger may name."""
    text = name(text)  # as all that is read from the API
    bundled = bundle(
        text,
        text,
        logs=[{"timestamp": NOON.isoformat(), "level": 40, "name": text, "message": text}],
    )
    bundled["flow_run"] |= {"work_pool_name": text, "labels": {"prefect.worker.name": text}}
    past = PastRun(id="1", name=text, state_name=text, version=text, worker=text)
    other = replace(crash(1), flow_run_name=text, deployment=text, work_pool=text)
    return scene(
        bundled,
        incident=text,
        run=replace(past, id=RUN, job_variables={text: "1"}),
        completed=past,
        before=(past,),
        since=(past,),
        deployment=DeploymentNow(id="d", name=text, limit=1, slots_taken=1),
        active=0,
        around=replace(
            around(other, workers=text),
            diagnoses={"s1": Diagnosis(cause=text, confidence="low", fingerprint="")},
        ),
        pool=PoolNow(id="p", name=text),
        workers=(Worker(name=text, online=False, heartbeat_at=NOON),),
        worker_events=(WorkerEvent(at=NOON, worker=text, stopped=True),),
        edits=(Edit(at=NOON, what="deployment", fields=(text,)),),
        gaps=(text,),
    )


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_everything_of_strangers_is_inert(text):
    """No picture, link elsewhere, HTML, heading, fence or cell comes out of a name or message."""
    plain = render_triage(full("x"), ui_url="http://ui", requests=1)

    shown = render_triage(full(text), ui_url="http://ui", requests=1)

    assert structure(shown) == structure(plain)


def test_no_secret_is_shown():
    """Whatever place it stands in."""
    secret = f"password={SECRET}"
    shown = render_triage(full(secret), ui_url="http://ui", requests=1) + summary(full(secret))

    assert SECRET not in shown


def test_the_report_of_a_triage():
    """In the order of the questions; telling things in bold; what is not known is said."""
    shown = render_triage(
        scene(incident="abc.1", workers=(OFF, W2), pool=POOL, gaps=("Workers: refused",)),
        ui_url="",
        requests=17,
    )

    order = [
        "# 🔎 brave-ibis: ",
        "Crashed 2026-11-24 12:00:00 UTC; work pool vm, worker w1, incident abc.1, ",
        "**killed-oom-or-sigkill** (",
        "## Around it\n\n- **Worker w1, which took it, is offline",
        "## Next",
        f"- `prefect flow-run logs {RUN}`",
        "## Its states",
        "## Its log\n\nNo log line is there",
        "## Workers of work pool vm",
        "- Not known: Workers: refused",
        "in 17 requests",
    ]
    places = [shown.find(words) for words in order]
    assert -1 not in places, order[places.index(-1)]
    assert places == sorted(places)


def test_the_summary_is_one_line():
    """Run, cause, and how much stands out."""
    line = summary(scene(workers=(OFF, W2)))

    assert line.startswith("brave-ibis: ")
    assert line.endswith("; 1 thing stands out around it")


def test_the_last_lines_are_shown_where_none_is_a_warning():
    """What it did last, so that a silent death has at least a place."""
    logs = [
        {"timestamp": (NOON - n * SECOND).isoformat(), "level": 20, "name": "f", "message": f"m{n}"}
        for n in range(20)
    ]

    shown = render_triage(scene(bundle(logs=logs)), ui_url="", requests=1)

    assert "no warning among them" in shown
    assert "| m0 |" in shown
    assert "| m8 |" not in shown


def test_the_automation_cannot_react_to_a_flow_run():
    """It matches our own event of this monitor alone, once per incident and cooldown."""
    from prefect_crash_monitor.config.policy import Policy

    body = triage_automation(Policy(cooldown=10 * MINUTE), "d", monitor="eu")

    assert body["name"] == "Crash monitor: triage (eu)"
    trigger = body["trigger"]
    assert trigger["expect"] == ["crash-monitor.incident.opened"]
    assert trigger["match"] == {"crash-monitor.monitor": "eu", "crash-monitor.notify": "alone"}
    assert (trigger["threshold"], trigger["within"]) == (1, 600)
    assert trigger["for_each"] == ["prefect.resource.id"]
