"""The demo's own little world: a folder, a Prefect server, a worker; gone when it is left."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from prefect_crash_monitor.errors import MonitorError

STOP_SECONDS = 10.0

RUN_MODULE = """
import runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
"""As `python -m`, but reacting to SIGINT: a process worker stops itself by it, and whatever a shell
starts in the background ignores it. The process does that itself once it runs, as code between fork
and exec may deadlock beside threads."""


class DemoFailed(MonitorError):
    """A step of the demo did not do what it should; the message has the end of the logs."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A folder with its own PREFECT_HOME, and a port for its server."""

    folder: Path
    port: int

    @property
    def ui_url(self) -> str:
        """Where a browser finds the server."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def api_url(self) -> str:
        """Where clients find the server."""
        return f"{self.ui_url}/api"

    @property
    def project(self) -> Path:
        """The deployable project."""
        return self.folder / "project"

    @property
    def temporary(self) -> Path:
        """Where its processes put their temporary files."""
        return self.folder / "tmp"

    def environment(self) -> dict[str, str]:
        """The environment of every process: nothing of the user's own Prefect settings."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
        path = os.pathsep.join([str(Path(sys.executable).parent), inherited.get("PATH", "")])
        return inherited | {
            "PATH": path,
            "TMPDIR": str(self.temporary),  # Prefect's runners leave their folders there
            "PREFECT_HOME": str(self.folder / "prefect"),
            "PREFECT_API_URL": self.api_url,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_API_HOST": "127.0.0.1",
            "PREFECT_SERVER_API_PORT": str(self.port),
            "PREFECT_LOGGING_LEVEL": "WARNING",
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "DO_NOT_TRACK": "1",
            "PYTHONWARNINGS": "ignore",
        }

    def command(self, *arguments: str) -> str:
        """Runs a command of this Python's environment to its end and returns its output."""
        done = subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=self.project,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,  # Ctrl-C ends the demo, and the demo ends this
        )
        if done.returncode:
            raise DemoFailed(f"{' '.join(arguments)} failed:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def end_of_logs(self) -> str:
        """The last lines of what the processes wrote."""
        logs = sorted(self.folder.glob("*.log"))
        return "\n".join(
            f"--- {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            for log in logs
        )


@contextmanager
def sandbox() -> Iterator[Sandbox]:
    """A fresh folder and a free port; the folder is removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="crash-monitor-demo-"))
    try:
        box = Sandbox(folder, _free_port())
        box.project.mkdir()
        box.temporary.mkdir()
        yield box
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def background(
    box: Sandbox, name: str, arguments: Sequence[str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A module's process with all its children in a group of its own, ended with the context."""
    with (box.folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", RUN_MODULE, *arguments],
            cwd=box.project,
            env=box.environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the group: asks first, then makes sure that no child survives."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
