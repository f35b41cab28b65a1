"""A Prefect server of a test's own, which can be killed and started again over the same data."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from prefect.settings import PREFECT_API_KEY, PREFECT_API_URL, temporary_settings
from tests.support.world import World

from prefect_crash_monitor.demo.processes import Sandbox, sandbox

PATIENCE_SECONDS = 120


class Server:
    """`prefect server start` with a home and a port of its own, scheduler and all."""

    def __init__(self, box: Sandbox) -> None:
        self.box = box
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it and waits until it answers."""
        with (self.box.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "prefect", "server", "start", "--no-ui"],
                env=self.box.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server did not start\n{self.box.end_of_logs()}")
            time.sleep(0.2)

    def kill(self) -> None:
        """Ends it as a lost machine does: nothing is flushed, nobody is told."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Kills it and starts it over the same database."""
        self.kill()
        self.start()

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.box.api_url}/health").is_success
        except httpx.TransportError:
            return False


@contextmanager
def own_server() -> Iterator[Server]:
    """A fresh server; neither process nor file is left."""
    with sandbox() as box:
        server = Server(box)
        try:
            server.start()
            yield server
        finally:
            server.kill()


@contextmanager
def server_with_project() -> Iterator[Server]:
    """A fresh server, with the project written and its work pool made; nothing is deployed yet."""
    with own_server() as server:
        box = server.box
        box.command("prefect_crash_monitor", "init", str(box.project))
        pool = ("work-pool", "create", "crash-monitor", "--type", "process")
        box.command("prefect", "--no-prompt", *pool)
        yield server


@contextmanager
def world_of(server: Server) -> Iterator[World]:
    """The world of that server; our own API goes there, too."""
    with temporary_settings({PREFECT_API_URL: server.box.api_url, PREFECT_API_KEY: None}):
        world = World(server.box.api_url)
        yield world
        world.close()
