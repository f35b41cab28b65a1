"""Asks the API all the time, as somebody in front of the UI does, and notes how long it takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle

import httpx

PAUSE_SECONDS = 0.1
PATIENCE_SECONDS = 60.0

QUESTIONS = (("GET", "/health", None), ("POST", "/flow_runs/filter", {"limit": 1}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer; `begun` on the monotonic clock."""

    path: str
    begun: float
    seconds: float
    ok: bool


@dataclass(slots=True)
class Prober:
    """What was asked so far."""

    answers: list[Answer] = field(default_factory=list)

    def ask(self, client: httpx.Client, method: str, path: str, body: object) -> None:
        """One question; what fails is an answer, too."""
        begun = time.monotonic()
        try:
            ok = client.request(method, path, json=body).is_success
        except httpx.HTTPError:
            ok = False
        seconds = time.monotonic() - begun
        self.answers.append(Answer(path=path, begun=begun, seconds=seconds, ok=ok))


@contextmanager
def probing(api_url: str) -> Iterator[Prober]:
    """Asks as long as the context lasts, one question at a time."""
    prober, over = Prober(), threading.Event()

    def ask_on() -> None:
        with httpx.Client(base_url=api_url, timeout=PATIENCE_SECONDS) as client:
            for method, path, body in cycle(QUESTIONS):
                if over.wait(PAUSE_SECONDS):
                    return
                prober.ask(client, method, path, body)

    thread = threading.Thread(target=ask_on, daemon=True)
    thread.start()
    try:
        yield prober
    finally:
        over.set()
        thread.join()
