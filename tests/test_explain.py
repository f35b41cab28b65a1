"""What an explanation says, from which evidence, and what it must never say."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime, timedelta

import pytest
from tests.cases.bundles import (
    RUN,
    SEEN_AT,
    bundle,
    event,
    kubernetes,
    line,
    pod,
    pod_event,
    recorded,
)

from prefect_crash_monitor.explain import (
    Confidence,
    Explanation,
    Severity,
    Verdict,
    evidence_of_bundle,
    evidence_of_crash,
    explain,
    needs_logs,
)
from prefect_crash_monitor.model.crash import Crash

NEVER = ("SCHEDULED", "PENDING", "CRASHED")
RAN = ("SCHEDULED", "PENDING", "RUNNING", "CRASHED")
RUNNING = ("SCHEDULED", "PENDING", "RUNNING")
EXIT_1 = "Process exited with status code: 1. Process exited with a general error."
IMPORT = (
    "Unexpected exception encountered when trying to load flow\n"
    "ModuleNotFoundError: No module named 'pandas'"
)
RAISED = "Flow run encountered an exception: "
CANCELLED = "Execution was cancelled by the runtime environment."
LEASE = "Concurrency lease renewal failed - slots are gone. Terminating execution to be safe."


def explained(*course: str, **parts: object) -> Explanation:
    """What is said of a run that went so."""
    return explain(evidence_of_bundle(bundle(*course, **parts)))  # type: ignore[arg-type]


def crash(message: str, *, run_count: int = 1, from_state: str = "RUNNING", **more: str) -> Crash:
    """A crash as its event tells it."""
    return Crash(
        state_id="s",
        at=SEEN_AT,
        flow_run_id=RUN,
        message=message,
        run_count=run_count,
        from_state=from_state,
        **more,  # type: ignore[arg-type]
    )


def test_the_json_has_the_shape_that_is_promised():
    """Key by key, as `crash-monitor explain --json` prints it."""
    answer = explained(*NEVER, message=EXIT_1, logs=[line(IMPORT)]).to_json()

    assert json.loads(json.dumps(answer)) == answer
    assert answer["flow_run_id"] == RUN
    assert list(answer) == [
        *("flow_run_id", "flow_run_name", "verdict", "cause", "confidence", "severity"),
        *("title", "summary", "evidence", "remediation", "commands", "insights", "recovered"),
    ]
    assert answer["evidence"][0] == {
        "source": "log",
        "text": "ModuleNotFoundError: No module named 'pandas'",
        "at": (SEEN_AT - timedelta(minutes=20)).isoformat(),
    }


def test_the_summary_names_what_was_found():
    """The module, the column, the exit code: not only the kind of trouble."""
    assert "pandas" in explained(*NEVER, message=EXIT_1, logs=[line(IMPORT)]).summary
    assert "-11" in explained(*RAN, message="Process exited with status code: -11. So.").summary


def test_unread_is_not_empty():
    """No logs at all mean something only where they were read."""
    read = explained(*NEVER, message=EXIT_1, logs=[])
    not_read = explained(*NEVER, message=EXIT_1, logs=None)

    assert read.cause == "never-reached-api"
    assert not_read.cause == "exited-before-running-other"
    assert not_read.confidence is Confidence.LOW


def test_an_answer_is_less_sure_where_more_was_to_be_read():
    """The pod's own events might have told of an eviction."""
    sure = explained(*RAN, message="Kubernetes job was deleted", worker="kubernetes")
    unsure = explained(*RAN, message="Kubernetes job was deleted", worker="kubernetes", events=None)

    assert sure.confidence is Confidence.HIGH
    assert unsure.cause == sure.cause
    assert unsure.confidence is Confidence.MEDIUM


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        (EXIT_1, True),
        (CANCELLED, True),
        ("Flow run could not start: unhandled errors in a TaskGroup (1 sub-exception)", True),
        ("No active or succeeded pods found for any job", True),
        ("", True),
        ("Process exited with status code: -9. Killed.", False),
        ("Execution was aborted by a termination signal.", False),
        ("Execution was aborted by Python system exit call.", False),
        ("Flow run marked as crashed due to missing heartbeats.", False),
    ],
)
def test_logs_are_wanted_only_where_the_message_says_too_little(message, wanted):
    """A cycle reads logs of those alone, so a specific message costs no request."""
    assert needs_logs(evidence_of_crash(crash(message, work_pool_type="process"))) is wanted


def test_logs_once_read_are_not_wanted_again():
    """Not even where they held nothing."""
    assert not needs_logs(evidence_of_crash(crash(EXIT_1), logs=[]))


def test_a_crash_is_explained_from_its_event_and_then_from_its_logs():
    """The monitor has the event; logs make the answer another one."""
    counted = crash(EXIT_1, run_count=0, from_state="PENDING", work_pool="pool", deployment="f/d")
    first = explain(evidence_of_crash(counted))
    logs = [{**line(IMPORT), "timestamp": SEEN_AT.isoformat()}]
    second = explain(evidence_of_crash(counted, logs=logs, events=[]))

    assert first.cause == "exited-before-running-other"
    assert second.cause == "flow-code-import-error"
    assert "prefect deployment inspect f/d" in second.commands


def test_what_came_long_after_a_crash_belongs_to_a_later_attempt():
    """Logs are read for all attempts of a run at once."""
    later = (SEEN_AT + timedelta(minutes=10)).isoformat()
    evidence = evidence_of_crash(crash(CANCELLED), logs=[{**line(LEASE), "timestamp": later}])

    assert explain(evidence).cause == "runtime-cancelled"


def test_an_earlier_attempt_explains_nothing_of_this_one():
    """The first attempt lost its lease; the second was cancelled by something else."""
    course = ("SCHEDULED", "PENDING", "RUNNING", "CRASHED", "SCHEDULED", "PENDING", "RUNNING")
    answer = explained(*course, "CRASHED", message=CANCELLED, logs=[line(LEASE, ago=20.1)])

    assert answer.cause == "runtime-cancelled"


def test_a_pod_that_kubernetes_retried_got_over_its_kill():
    """Two RUNNING states in a row: the kill was before the second (backoffLimit above 0)."""
    killed = pod_event("evicted", ago=20.01, diagnosis="OOMKilled", reason="OOMKilled")
    beats = [event("prefect.flow-run.heartbeat", ago=minutes) for minutes in (19, 16)]
    states = bundle(*RUNNING, "RUNNING", ago=19.9)["states"]
    answer = explained(
        *RUNNING, "RUNNING", states=states, worker="kubernetes", events=[killed, *beats]
    )

    assert answer.verdict is Verdict.GHOST
    assert answer.cause == "ghost-running"


@pytest.mark.parametrize(
    ("course", "retries", "recovered", "insights"),
    [
        ((*RAN, "RUNNING", "COMPLETED"), 0, True, ("I16",)),
        ((*RAN, "RUNNING"), 0, True, ("I16",)),
        ((*RAN, "SCHEDULED"), 0, False, ()),
        ((*RUNNING, "SCHEDULED", "PENDING", "RUNNING"), 0, True, ("I07",)),
        ((*RUNNING, "SCHEDULED", "PENDING", "RUNNING"), 2, False, ()),
        ((*RUNNING, "COMPLETED"), 0, False, ()),
    ],
)
def test_a_run_that_got_over_it_is_healthy(course, retries, recovered, insights):
    """A crash that was left, an eviction; an ordinary retry is neither, and waiting is not yet."""
    made = bundle(*course, ago=1)
    made["flow_run"]["empirical_policy"] = {"retries": retries}
    answer = explain(evidence_of_bundle(made))

    assert (answer.verdict, answer.cause) == (Verdict.HEALTHY, None)
    assert (answer.recovered, answer.insights) == (recovered, insights)


def test_a_run_that_crashed_again_and_again_is_a_crash_loop():
    """Three crashes of one run (I12)."""
    again = ("SCHEDULED", "PENDING", "RUNNING", "CRASHED")
    answer = explained(*again, *again, *again, message="Process exited with status code: -9.")

    assert "I12" in answer.insights


def test_commands_carry_the_real_names():
    """Each name is one that the evidence holds; without it the command is left out."""
    pods = kubernetes(pod(terminated="OOMKilled", code=137))
    answer = explained(
        *RAN, message="No active or succeeded pods found for any job", kubernetes=pods
    )
    bare = explain(evidence_of_crash(crash("Process exited with status code: -9.")))

    assert "kubectl describe pod job-a-x7kq2 --namespace flows" in answer.commands
    assert f"prefect flow-run retry {RUN}" in answer.commands
    assert not any("deployment" in command for command in answer.commands)
    assert bare.commands == (f"prefect flow-run logs {RUN}", f"prefect flow-run retry {RUN}")


@pytest.mark.parametrize(
    "pool", ["a b", "$(touch x)", "a;reboot", "it's", "`id`", "*", "{queue}", "ä", "#x"]
)
def test_a_hostile_name_stays_one_word_of_a_command(pool):
    """Whoever copies the command runs that command only."""
    counted = crash("Process exited with status code: -9.", work_pool=pool)
    command = next(c for c in explain(evidence_of_crash(counted)).commands if "work-pool" in c)

    assert shlex.split(command) == ["prefect", "work-pool", "set-concurrency-limit", pool, "5"]


@pytest.mark.parametrize("pool", ["--help", "a\nb", "a\x1b[2J", "postgres://u:hunter2hunter2@h/d"])
def test_a_name_that_no_command_can_carry_leaves_it_out(pool):
    """An option, control characters, a secret."""
    counted = crash("Process exited with status code: -9.", work_pool=pool)

    assert not any("work-pool" in c for c in explain(evidence_of_crash(counted)).commands)


def test_secrets_in_evidence_are_not_repeated():
    """Messages and tracebacks hold what users put in them."""
    secret = "postgresql://app:hunter2hunter2@db/prod"
    answer = explained(
        *RUNNING, "FAILED", message=f"Flow run encountered an exception: X: {secret}"
    )

    assert "hunter2hunter2" not in json.dumps(answer.to_json())
    assert "***" in answer.evidence[0].text


def test_evidence_is_short_and_on_one_line():
    """A message may be 100 kB of control characters."""
    answer = explained(*RAN, message="who knows\n\x1b[31m" + "x" * 100_000)

    assert len(answer.evidence[0].text) <= 500
    assert answer.evidence[0].text.isprintable()


def test_the_time_of_judging_decides_who_is_silent():
    """The same evidence, judged before and after three heartbeat periods."""
    evidence = evidence_of_bundle(recorded("process-worker-sigterm-inflight-sync-early.json"))
    last = evidence.course.alive_at
    assert last is not None

    early = explain(evidence, now=last + timedelta(seconds=540))
    late = explain(evidence, now=last + timedelta(seconds=541))

    assert (early.verdict, early.cause) == (Verdict.HEALTHY, None)
    assert (late.verdict, late.cause) == (Verdict.GHOST, "ghost-running")


def test_without_any_time_nothing_is_called_dead():
    """A bundle without a single time tells no age."""
    made = {"flow_run": {"state_type": "RUNNING"}, "events": [], "logs": []}
    answer = explain(evidence_of_bundle(made))

    assert (answer.verdict, answer.confidence) == (Verdict.HEALTHY, Confidence.LOW)


def test_nothing_known_is_said_to_be_nothing_known():
    """Neither a guess nor an error."""
    answer = explain(evidence_of_bundle({}))

    assert (answer.verdict, answer.confidence) == (Verdict.HEALTHY, Confidence.LOW)
    assert answer.title == "Not enough evidence"


def test_events_of_a_child_are_not_the_parents():
    """A bundle of a parent may hold what became of its children."""
    child = event("prefect.flow-run.heartbeat", ago=1, resource="prefect.flow-run.another-run")
    own = event("prefect.flow-run.heartbeat", ago=20)
    answer = explained(*RUNNING, ago=25, events=[own, child])

    assert answer.verdict is Verdict.GHOST


def test_a_completed_run_called_crashed_says_so():
    """Prefect before 3.8.8 forced it (PrefectHQ/prefect#23025)."""
    answer = explained(*RUNNING, "COMPLETED", "CRASHED", message=CANCELLED)

    assert "already completed" in answer.summary


@pytest.mark.parametrize(
    ("course", "message"),
    [
        (RAN, "3 missing heartbeats of the scanner"),
        ((*RUNNING, "FAILED"), f"{RAISED}X: Invalid authentication credentials"),
    ],
)
def test_words_that_anybody_may_use_are_no_sure_sign(course, message):
    """Prefect's own words of a cause make it sure; the same in a flow's own message do not."""
    assert explained(*course, message=message).confidence is not Confidence.HIGH


def test_severities_say_whom_to_wake():
    """A child's echo and a person's Ctrl-C wake nobody."""
    echo = explained(*RUNNING, "FAILED", message=f"{RAISED}CrashedRun: x")
    ctrl_c = explained(*RAN, message="Execution was aborted by an interrupt signal.")
    killed = explained(*RAN, message="Process exited with status code: 137.")

    assert (echo.severity, ctrl_c.severity) == (Severity.INFO, Severity.INFO)
    assert killed.severity is Severity.CRITICAL


def test_times_of_other_zones_are_judged_right():
    """An offset other than UTC, and a time without one."""
    made = bundle(*RUNNING, ago=5)
    made["captured_at"] = "2026-11-24T14:00:00+02:00"
    made["states"][-1]["timestamp"] = "2026-11-24T11:55:00"
    evidence = evidence_of_bundle(made)

    assert evidence.seen_at == datetime(2026, 11, 24, 12, tzinfo=UTC)
    assert explain(evidence).verdict is Verdict.HEALTHY
