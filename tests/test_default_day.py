"""A day with the default policy, cycle by cycle: every text that anybody receives, as agreed.

Times are real ones, of intervals of five minutes and a grace of five: a crash is explained in one
cycle and told in a later one, which compressed times hide. Rewrite the file, after reading what
changes: `GOLDEN=write python -m pytest tests/test_default_day.py`.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from tests.support.simulator import Explaining, Shop, crash, numbered

from prefect_crash_monitor.config.policy import Policy
from prefect_crash_monitor.model.crash import Crash
from prefect_crash_monitor.model.incident import Kind
from prefect_crash_monitor.notify.notification import notification

GOLDEN = Path(__file__).parent / "golden" / "days" / "default.txt"

KILLED, SEGFAULT = "Process exited with status code: -9", "Process exited with status code: -11"
LOST = "Execution was cancelled by the runtime environment."
IMAGE = "Flow run process could not be started: No such file or directory: '/app/flows.py'"


def happened(minute: float, deployment: str, message: str) -> Crash:
    """One crash of a run that had started."""
    return crash(minute, deployment, message=message, run_count=1, flow_run_name=f"run-{minute}")


def day() -> Shop:
    """From noon: a loop that is mended, a retried crash, a storm, an hour in which the server is
    down and started again, a deployment that is replaced, a night."""
    crashes = numbered(
        [
            *(happened(at, "train-model/prod", SEGFAULT) for at in (61, 64, 69)),
            happened(200, "etl/daily", KILLED),  # retried, and running again within its grace
            *(happened(300 + at, f"ingest/{at % 4}", KILLED) for at in range(12)),
            *(happened(410 + at, "report/weekly", LOST) for at in (0, 10, 20)),  # it was away
            happened(600, "sync/crm", KILLED),
            happened(603, "sync/crm", KILLED),
            # Deleted and deployed again under its name, with another id: the same trouble.
            replace(happened(606, "sync/crm", KILLED), deployment_id="sync/crm again"),
            happened(900.5, "etl/hourly", IMAGE),  # one at night: nothing
        ]
    )
    return Shop(
        crashes=crashes,
        recovered={crashes[3].state_id: 202},
        completed=[
            ("train-model/prod", 130),
            *((f"ingest/{n}", 330) for n in range(4)),
            ("report/weekly", 700),
            ("sync/crm again", 640),
        ],
    )


def received(shop: Shop) -> str:
    """What was sent in a day, each with its time; there is no server from 18:35 to 19:35."""
    monitor = Explaining(shop, Policy())
    texts = []
    for minute in (m + 0.5 for m in range(0, 24 * 60, 5) if not 395 < m < 455):
        for transition in monitor.cycle(minute):
            told = notification(transition, ui_url="https://prefect.example", monitor="default")
            clock = f"{12 + int(minute) // 60:02d}:{int(minute) % 60:02d}"
            texts.append(f"--- {clock} {told['subject']}\n{told['text']}\n")
    return "\n".join(texts)


def test_every_text_of_a_day_is_as_agreed():
    """Whoever reads them must know why, what proves it, and what to do."""
    texts = received(day())
    if os.environ.get("GOLDEN") == "write":
        GOLDEN.write_text(texts)

    assert texts == GOLDEN.read_text()


def test_what_is_opened_says_why_and_what_to_do():
    """Not one opened incident of the day is without cause and remedy."""
    monitor = Explaining(day(), Policy())
    opened = [
        t.incident
        for m in range(0, 24 * 60, 5)
        for t in monitor.cycle(m + 0.5)
        if t.kind is Kind.OPENED
    ]

    assert {i.rule for i in opened} >= {"crash-loop", "crash-storm"}
    assert [i.rule for i in opened if not (i.title and i.evidence and i.remedy)] == []


def test_a_retried_crash_and_a_single_one_notify_nobody():
    """Within its grace, or below every threshold, a crash is counted and that is all."""
    texts = received(day())

    assert "etl/daily" not in texts
    assert "etl/hourly" not in texts
