"""Failed runs beside the crashes: what is behind them is told, and nothing of it is counted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from tests.support.world import CRASHED, RUNNING, unique
from tests.test_render import crash, report_of

from prefect_crash_monitor.count.count import count
from prefect_crash_monitor.explain.failed_runs import beside
from prefect_crash_monitor.explain.read_failed_runs import read_failures
from prefect_crash_monitor.model.interval import Window
from prefect_crash_monitor.observe.read_crashes import observe
from prefect_crash_monitor.prefect_api.client import open_api
from prefect_crash_monitor.report.report import render_report

RAISED = "Flow run encountered an exception: "
COLUMN = f"{RAISED}ValueError: Usecols do not match columns, columns expected but not found: ['x']"
SUBMISSION = "Submission failed. KubernetesError: 403"


def failure(number: int, message: str, **more):
    """The event of a failed run, read like a crash."""
    return crash(number, message=message, state_name="Failed", **more)


def test_what_is_behind_failures_is_told_by_cause():
    """A missing column and a failed submission; errors of the code itself are only numbered."""
    found = [
        failure(1, COLUMN),
        failure(2, COLUMN, deployment="etl/hourly"),
        failure(3, SUBMISSION),
        failure(4, f"{RAISED}ValueError: no"),
    ]

    told = beside(900, found, {})

    assert [(f.why.cause, f.number, f.deployments) for f in told.told] == [
        ("data-column-missing", 2, 2),
        ("submission-failed-as-failed", 1, 1),
    ]
    assert (told.failed, told.looked_at) == (900, 4)
    assert told.told[0].latest.flow_run_name == "calm-koala-2"


def test_the_report_shows_them_apart():
    """With what they say; the counts above stay the crashes'."""
    text = render_report(report_of(crash(), beside=beside(900, [failure(2, COLUMN)], {})))

    section = text[text.index("## Failed, not crashed") :]
    assert "900 flow runs failed, of which the latest 1 were looked at." in section
    assert "| data-column-missing | 1 | 1 | " in section
    assert "not found: \\['x'\\]" in section
    assert "1 crash" in text.splitlines()[0]
    assert "Failed, not crashed" not in render_report(report_of(crash()))


def test_own_runs_are_not_among_them():
    """The monitor does not speak of itself here."""
    own = failure(1, SUBMISSION, flow="crash-monitor", tags=("managed-by:crash-monitor",))
    other = failure(2, SUBMISSION, deployment_id="ours")

    assert beside(2, [own, other], {}, own_deployments=["ours"]).told == ()


@pytest.mark.server
async def test_a_column_that_only_the_traceback_tells(world, wait_until):
    """By the run's log, of a failed run on a real server; it is no crash."""
    start, flow = datetime.now(UTC), unique("failed")
    failed = {"type": "FAILED", "name": "Failed", "message": f"{RAISED}KeyError: 'amount'"}
    run = world.run(RUNNING, failed, flow=flow)
    world.run(RUNNING, CRASHED, flow=flow)
    line = {
        "name": "prefect.flow_runs",
        "level": 40,
        "flow_run_id": run,
        "timestamp": datetime.now(UTC).isoformat(),
        "message": "Encountered exception during execution: KeyError('amount')\n"
        'Traceback (most recent call last):\n  File "pandas/core/frame.py", line 4102, in '
        "__getitem__\nKeyError: 'amount'",
    }
    world.post("/logs/", [line])
    window = Window(start, datetime.now(UTC))
    span = window.start.isoformat(), window.end.isoformat()
    wait_until(lambda: world.crash_events(*span) == 1)

    async with open_api() as api:
        told = await read_failures(api, window, ())
        cost = api.requests
        observation = await observe(
            api, window, now=datetime.now(UTC) + timedelta(minutes=1), settle=timedelta(0)
        )

    assert [(f.why.cause, f.latest.flow_run_id) for f in told.told] == [
        ("data-column-missing", run)
    ]
    assert cost == 2
    assert count(observation, window, counted_at=datetime.now(UTC)).crashed == 1
