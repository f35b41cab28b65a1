"""A Prefect server of its own: a database with every table, made ready to be filled."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from prefect_crash_monitor.demo.processes import Sandbox, background

START_SECONDS = 120


@contextmanager
def server(box: Sandbox) -> Iterator[None]:
    """The sandbox's server, up and answering; ended with the context.

    Raises:
        TimeoutError: with the end of its log.
    """
    arguments = ["prefect", "server", "start", "--host", "127.0.0.1", "--no-ui"]
    with background(box, "server", [*arguments, "--port", str(box.port)]):
        deadline = time.monotonic() + START_SECONDS
        while not _healthy(box.api_url):
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"no Prefect server after {START_SECONDS} s\n{box.end_of_logs()}"
                )
            time.sleep(0.3)
        yield


def _healthy(api_url: str) -> bool:
    try:
        return httpx.get(f"{api_url}/health", timeout=5).is_success
    except httpx.TransportError:
        return False


def database_of(box: Sandbox) -> Path:
    """Where the server keeps everything."""
    return box.folder / "prefect" / "prefect.db"
