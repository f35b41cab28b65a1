"""Fixtures of the whole suite: one real Prefect server for the session, and where to reach it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from tests.support.world import World

# No test is about time: on a busy machine the same one takes ten times as long.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def api_url() -> Iterator[str]:
    """A real Prefect server (Prefect's own test harness): API, events, triggers and actions.

    It runs no scheduler; tests that need one start `prefect server` themselves.
    """
    from prefect.settings import PREFECT_API_URL
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield str(PREFECT_API_URL.value())


@pytest.fixture
def world(api_url: str) -> Iterator[World]:
    """The session's server, ready to have runs crash on it."""
    world = World(api_url)
    yield world
    world.close()


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return Path(__file__).parent.parent


@pytest.fixture
def wait_until() -> Callable[..., object]:
    """Polls until a condition gives something truthy, and returns it."""

    def wait(condition: Callable[[], object], *, seconds: float = 180, what: str = "it") -> object:
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            if time.monotonic() > deadline:
                pytest.fail(f"waited {seconds} s for {what}")
            time.sleep(0.2)
        return found

    return wait
