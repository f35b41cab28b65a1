"""The text of each kind of notification, as files that a person reads in review.

`python -m tests.test_notification_texts` writes them anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.test_render import UI, incident

from prefect_crash_monitor.model.incident import Incident, Kind, Reason, Transition
from prefect_crash_monitor.notify.digest import digest
from prefect_crash_monitor.notify.notification import notification
from prefect_crash_monitor.publish.events import digest_event

GOLDEN = Path(__file__).parent / "golden"

KILLED = incident(
    causes={"killed-oom-or-sigkill": 3},
    sample_cause="killed-oom-or-sigkill",
    title="Killed from outside, most often for memory",
    evidence="Process exited with status code: -9.",
    remedy="Raise the memory limit, or work in smaller pieces.",
    command="prefect flow-run logs 0199c0de-0000-4000-8000-000000000001",
)
LOOP = replace(KILLED, id="100b00000000", rule="crash-loop", severity="critical")
RATE = replace(
    KILLED,
    rule="crash-rate",
    crashes=12,
    basis="12 of 300 runs crashed within 1 h (4.0 %, usually 0.3 %)",
)
GHOSTS = incident(
    rule="ghost-runs",
    severity="critical",
    ghosts=True,
    crashes=2,
    work_pools={"main": 2},
    causes={"ghost-running": 2},
    sample_cause="ghost-running",
    title="Ghost: ended, still called running",
    evidence="no sign of life for 14 min, the last at 2026-11-24 11:46:00 UTC; three heartbeat "
    "periods are 9 min",
    remedy="Mark it as crashed (`crash-monitor ghosts --mark`), so that its concurrency slot and "
    "its automations are released.",
    command="prefect flow-run inspect 0199c0de-0000-4000-8000-000000000001",
)
OUTAGE = incident(
    id="aaaaaaaaaaaa",
    rule="outage",
    scope="everything",
    group="an outage of the Prefect API or its database",
    severity="critical",
    crashes=42,
    deployments={f"etl/part-{number}": 12 - number for number in range(8)},
    work_pools={"k8s": 30, "main": 12},
    causes={"request-to-api-failed": 30, "process-exit-general-error": 12},
    sample_cause="request-to-api-failed",
    title="The Prefect API could not be reached",
    evidence="httpx.ConnectError: All connection attempts failed",
    remedy="Check that the API is up, and its database.",
    command="prefect config view",
)
MANY = [
    LOOP,
    OUTAGE,
    *(replace(KILLED, id=f"{n:012x}", group=f"ml/train-{n}", crashes=n) for n in range(3, 18)),
]


def told(kind: Kind, what: Incident, reason: Reason, hours: int = 0) -> Transition:
    """One thing to tell, some hours after the opening."""
    reminders = 2 if kind is Kind.REMINDED else 0
    at = what.opened_at + timedelta(hours=hours)
    return Transition(kind=kind, incident=replace(what, reminders=reminders), reason=reason, at=at)


def opened(what: Incident) -> Transition:
    """An opening."""
    return told(Kind.OPENED, what, Reason.THRESHOLD_CROSSED)


ONE: Mapping[str, Transition] = {
    "opened": opened(KILLED),
    "opened-outage": opened(OUTAGE),
    "opened-rate": opened(RATE),
    "opened-ghosts": opened(GHOSTS),
    "resolved-ghosts": told(Kind.RESOLVED, GHOSTS, Reason.QUIET_PERIOD_OVER, hours=2),
    "reminded-rate": told(Kind.REMINDED, RATE, Reason.REMINDER_DUE, hours=12),
    "reminded": told(Kind.REMINDED, KILLED, Reason.REMINDER_DUE, hours=12),
    "resolved": told(Kind.RESOLVED, KILLED, Reason.QUIET_PERIOD_OVER, hours=1),
    "resolved-loop": told(Kind.RESOLVED, LOOP, Reason.RUN_COMPLETED, hours=30),
}
SEVERAL: Mapping[str, list[Transition]] = {
    "digest": [
        *(opened(one) for one in MANY),
        told(Kind.RESOLVED, KILLED, Reason.QUIET_PERIOD_OVER, hours=1),
    ],
    "digest-resolved": [
        told(Kind.RESOLVED, one, Reason.QUIET_PERIOD_OVER, hours=1) for one in MANY[:6]
    ],
}


def texts() -> dict[str, str]:
    """Each text, under its subject."""
    one = {n: notification(t, ui_url=UI, monitor="default") for n, t in ONE.items()}
    many = {n: digest(t, ui_url=UI, monitor="eu") for n, t in SEVERAL.items()}
    return {name: f"{t['subject']}\n\n{t['text']}\n" for name, t in (one | many).items()}


@pytest.mark.parametrize("name", [*ONE, *SEVERAL])
def test_the_text_is_as_reviewed(name):
    """A changed word shows in review."""
    assert texts()[name] == (GOLDEN / f"{name}.txt").read_text()


def test_there_is_a_text_for_every_kind():
    """Nothing is told that nobody has read."""
    assert {t.kind for t in ONE.values()} == set(Kind)
    assert {path.stem for path in GOLDEN.glob("*.txt")} == {*ONE, *SEVERAL}


def test_a_digest_names_the_worst_first():
    """Critical before many crashes; what is resolved last."""
    lines = texts()["digest"].splitlines()
    named = [line for line in lines if line.startswith(("🔴 opened", "✅"))]

    assert "[critical]" in named[0]
    assert "[critical]" in named[1]
    assert "ml/train-17" in named[2]


if __name__ == "__main__":
    for name, text in texts().items():
        (GOLDEN / f"{name}.txt").write_text(text)


def test_a_digest_is_another_one_when_it_tells_of_more():
    """Two cycles at once that decide the same tell it once, and what only one decides is told."""

    def id_of(transitions: list[Transition]) -> str:
        text = digest(transitions, ui_url=UI, monitor="eu")
        to = {"to": "receiver", "severity": "critical"}
        return digest_event(transitions, text, **to, monitor="eu", now=KILLED.opened_at).id

    several = SEVERAL["digest"]
    assert id_of(several) == id_of(several[::-1])
    assert id_of(several) != id_of(several[:-1])
