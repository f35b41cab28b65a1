"""The demo: what it shows on a screen, and that it leaves nothing behind.

That it plays to its end is shown by `tests/live/test_live_demo.py`, which takes minutes.
"""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from tests.support.play import (
    INTERRUPTED,
    PROCESSES,
    interrupt,
    left_behind,
    started_demo,
    wait_for_step,
)

from prefect_crash_monitor.demo.screen import table_of
from prefect_crash_monitor.demo.ways import WAYS
from prefect_crash_monitor.explain.causes.table import CAUSES

LONGEST = ("process-exit-other-code", "killed-oom-or-sigkill", "native-crash-segfault")


def drawn(made, width) -> list[str]:
    """The lines of the table on a screen of this width."""
    console = Console(file=io.StringIO(), width=width)
    console.print(table_of(made))
    return console.file.getvalue().splitlines()


def made(cause: str, **more: str) -> dict[str, str]:
    """A run that was made to crash, explained."""
    way = "segmentation fault"
    explained = {"cause": cause, "title": CAUSES[cause].title, "evidence": "exit code [/red]-11"}
    return {"flow_run_id": "1", "way": way, "did": WAYS[way], **explained, **more}


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("cause", LONGEST)
def test_way_cause_and_evidence_stand_beside_each_other(cause, width):
    """Each begins on the same line, whole, whatever markup is in it; no line is too long."""
    lines = drawn([made(cause)], width)

    (first,) = (line for line in lines if cause in line)
    assert [part.strip() for part in first.split("   ") if part.strip()] == [
        "segmentation fault",
        cause,
        "exit code [/red]-11",
    ]
    assert max(map(len, lines)) <= width


def test_evidence_is_shortened():
    """A traceback is no evidence that a table can show."""
    (row,) = [made("unknown", evidence="x " * 5_000)]

    assert len(drawn([row], 80)) < 20


def test_a_run_whose_cause_was_not_found_is_shown_as_such():
    """The monitor's silence is not hidden."""
    assert "no crash found" in "".join(drawn([made("unknown") | {"cause": "", "title": ""}], 80))


@pytest.mark.slow
@pytest.mark.skipif(not PROCESSES.exists(), reason="needs /proc to see what is left")
def test_ctrl_c_leaves_nothing_behind(tmp_path):
    """Neither the server's processes nor the folder, however impatient the user is."""
    with started_demo(tmp_path) as demo:
        wait_for_step(demo, "prefect server start")

        assert interrupt(demo) in INTERRUPTED

    assert left_behind(tmp_path) == []
