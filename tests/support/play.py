"""The demo as a user starts it, in a folder where all that it leaves behind can be found."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PROCESSES = Path("/proc")
PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs ignore it
from prefect_crash_monitor.cli import app
app(["demo", "--json"])
"""
ENDING_SECONDS = 60
INTERRUPTED = {130, -signal.SIGINT}
"""Exit codes after Ctrl-C; the second where one more of them came when all was cleared away."""


@contextmanager
def started_demo(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """`crash-monitor demo --json`, with its temporary files below a folder."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"TMPDIR": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as demo:
        try:
            yield demo
        finally:
            if demo.poll() is None:
                demo.terminate()
                demo.wait(ENDING_SECONDS)


def wait_for_step(demo: subprocess.Popen[str], name: str) -> None:
    """Reads the demo's progress until a step is done."""
    assert demo.stderr is not None
    read = []
    for line in demo.stderr:
        read.append(line)
        if name in line:
            return
    raise AssertionError(f"the demo ended before {name!r}:\n{''.join(read)}")


def interrupt(demo: subprocess.Popen[str]) -> int:
    """Ctrl-C by somebody who is impatient: again and again until it has ended; its exit code."""
    for _ in range(ENDING_SECONDS * 2):
        demo.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            return demo.wait(0.5)
    raise AssertionError(f"the demo has not ended {ENDING_SECONDS} s after Ctrl-C")


def left_behind(folder: Path) -> list[str]:
    """Files in a demo's folder, and processes that were started with it as theirs."""
    files = [str(path) for path in folder.iterdir()]
    return [*files, *(pid for pid in _pids() if _belongs_to(pid, folder))]


def _pids() -> list[str]:
    return [path.name for path in PROCESSES.iterdir() if path.name.isdigit()]


def _belongs_to(pid: str, folder: Path) -> bool:
    with suppress(OSError):
        return str(folder).encode() in (PROCESSES / pid / "environ").read_bytes()
    return False
