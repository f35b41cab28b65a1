"""The demo, played to its end: what it did, what was found, what was told. Takes minutes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.support.play import (
    INTERRUPTED,
    PROCESSES,
    interrupt,
    left_behind,
    started_demo,
    wait_for_step,
)

pytestmark = [
    pytest.mark.live,
    pytest.mark.slow,
    pytest.mark.skipif(not PROCESSES.exists(), reason="needs /proc to see what is left"),
]

CAUSES = {
    "exited then retried": "python-system-exit",
    "killed": "killed-oom-or-sigkill",
    "exit code": "process-exit-other-code",
    "missing file": "flow-code-missing",
    "terminated": "termination-signal",
    "segmentation fault": "native-crash-segfault",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Where the demo puts its files."""
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def played(folder) -> dict[str, Any]:
    """What `crash-monitor demo --json` printed, which is one line."""
    with started_demo(folder) as demo:
        out, err = demo.communicate(timeout=900)
    assert demo.returncode == 0, err
    (line,) = out.splitlines()
    return json.loads(line)


def test_each_victim_has_its_own_right_cause(played):
    """As found by the monitor, which is not told what the demo does."""
    assert {run["way"]: run["cause"] for run in played["made"]} == CAUSES
    assert len(set(CAUSES.values())) == len(CAUSES)


def test_each_cause_has_the_line_that_proves_it(played):
    """No cause without evidence."""
    assert [run["way"] for run in played["made"] if not run["evidence"]] == []


def test_every_crash_is_counted_once(played):
    """Also the one that a retry healed."""
    assert played["crashed"] == len(played["made"]) == len(CAUSES)


def test_one_incident_is_told_of_three_times(played):
    """Opened, reminded of and resolved, in this order, each once; through a real webhook."""
    (incident,) = played["incidents"]

    told = [(message["incident"], message["kind"]) for message in played["notifications"]]
    assert told == [(incident["incident"], kind) for kind in ("opened", "reminded", "resolved")]
    assert max(Counter(message["text"] for message in played["notifications"]).values()) == 1


def test_nothing_is_left_behind(played, folder):
    """No process and no file."""
    assert left_behind(folder) == []


def test_ctrl_c_while_runs_crash_leaves_nothing_behind(tmp_path, wait_until):
    """The worker's runs end with it."""
    with started_demo(tmp_path) as demo:
        wait_for_step(demo, "a first cycle")
        wait_until(lambda: list(tmp_path.rglob("*.attempted")), what="a victim to begin")

        assert interrupt(demo) in INTERRUPTED

    assert left_behind(tmp_path) == []
