"""Runs that really crash are explained rightly, from the same server that they crashed on.

Takes minutes: `make test-live`.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from prefect_crash_monitor.demo import steps
from prefect_crash_monitor.demo.processes import Sandbox, background, sandbox
from prefect_crash_monitor.errors import ApiTrouble
from prefect_crash_monitor.observe.read_event_pages import count_events
from prefect_crash_monitor.observe.read_flow_runs import runs_by_id
from prefect_crash_monitor.prefect_api.client import Api, open_api

pytestmark = [pytest.mark.live, pytest.mark.slow]
POOL = "live"
NOT_SAID = 3
"""Runs that a worker started and of which it may not say that it is done with them."""

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Victim:
    """One deployment that ends badly, and how it is to be explained."""

    name: str
    verdict: str
    causes: frozenset[str | None]
    entrypoint: str = "victims.py:victim"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)
    pull: str = ""


def _way(name: str, verdict: str, *causes: str | None) -> Victim:
    return Victim(name, verdict, frozenset(causes), parameters={"way": name})


SHELL = "prefect.deployments.steps.run_shell_script"
VICTIMS = [
    _way("sigkill", "crashed", "killed-oom-or-sigkill"),
    _way("sigterm", "crashed", "termination-signal"),
    _way("sigint", "crashed", "interrupt-signal"),
    _way("segfault", "crashed", "native-crash-segfault"),
    _way("abort", "crashed", "native-crash-segfault"),
    _way("exit 1", "crashed", "process-exit-general-error"),
    _way("exit 3", "crashed", "process-exit-other-code"),
    _way("exit 143", "crashed", "sigterm-exit"),
    _way("sys.exit", "crashed", "python-system-exit"),
    _way("odd exception", "crashed", "unexpected-base-exception"),
    _way("odd group", "crashed", "base-exception-group"),
    _way("group", "failed", "exception-group", "user-exception"),
    _way("value error", "failed", "user-exception"),
    _way("memory error", "failed", "out-of-memory-python"),
    _way("missing column", "failed", "data-column-missing"),
    _way("missing data", "failed", "data-file-missing"),
    _way("missing module", "failed", "module-missing-at-runtime"),
    _way("timeout in code", "failed", "httpx-timeout-in-code"),
    _way("gave up waiting", "failed", "user-exception"),
    _way("mock serializer", "failed", "pydantic-mockvalser"),
    _way("database slots", "failed", "database-connections-exhausted"),
    _way("api error", "failed", "api-server-error-5xx"),
    _way("healthy", "healthy", None),
    Victim("cancelled", "crashed", frozenset({"runtime-cancelled"}), "victims.py:cancelled"),
    Victim(
        "returned", "crashed", frozenset({"crashed-by-user-or-api"}), "victims.py:returns_crashed"
    ),
    Victim("too slow", "failed", frozenset({"timed-out"}), "victims.py:too_slow"),
    Victim(
        "no parameters", "crashed", frozenset({"parameters-invalid"}), "victims.py:needs_a_number"
    ),
    Victim("in a task", "crashed", frozenset({"python-system-exit"}), "victims.py:exits_in_a_task"),
    Victim("no file", "crashed", frozenset({"flow-code-missing"}), "no_such_file.py:victim"),
    Victim("no flow", "crashed", frozenset({"flow-code-missing"}), "victims.py:no_such_flow"),
    Victim("broken", "crashed", frozenset({"flow-code-import-error"}), "broken.py:victim"),
    Victim("no settings", "crashed", frozenset({"flow-load-other"}), "careless.py:victim"),
    Victim("pull step", "crashed", frozenset({"pull-step-failed"}), pull="exit 4"),
    Victim(
        "no api",
        "crashed",
        frozenset({"never-reached-api"}),
        more={"job_variables": {"env": {"PREFECT_API_URL": "http://127.0.0.1:9/api"}}},
    ),
    Victim(
        "no command",
        "crashed",
        frozenset({"submission-failed"}),
        more={"job_variables": {"command": "no-such-command-anywhere"}},
    ),
    Victim(
        "exit 127",
        "crashed",
        frozenset({"container-command-error"}),
        more={"job_variables": {"command": "bash -c 'exit 127'"}},
    ),
    Victim(
        "parent",
        "failed",
        frozenset({"child-crash-propagated"}),
        "victims.py:parent",
        {"child": "victim/sigkill"},
    ),
]


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    """A server and a work pool of their own."""
    with sandbox() as box:
        shutil.copy(HERE / "victims.py", box.project)
        (box.project / "broken.py").write_text("import module_that_is_not_installed\n")
        (box.project / "careless.py").write_text("SETTINGS = open('settings.yml').read()\n")
        with background(box, "server", ["prefect", "server", "start", "--no-ui"]):
            asyncio.run(steps.wait_for(lambda: steps.is_healthy(box), "the server", box))
            box.command("prefect", "work-pool", "create", POOL, "--type", "process")
            yield box


async def deploy(api: Api, box: Sandbox, victim: Victim) -> str:
    """Deploys a victim; the deployment's id."""
    name = "victim" if victim.name != "parent" else "victim-parent"
    project = {"prefect.deployments.steps.set_working_directory": {"directory": str(box.project)}}
    shell = [{SHELL: {"script": f"bash -c '{victim.pull}'"}}] if victim.pull else []
    body = {
        "flow_id": (await api.post("/flows/", {"name": name}))["id"],
        "name": victim.name,
        "entrypoint": victim.entrypoint,
        "parameters": dict(victim.parameters),
        "enforce_parameter_schema": False,
        "work_pool_name": POOL,
        "pull_steps": [project, *shell],
        **victim.more,
    }
    return str((await api.post("/deployments/", body))["id"])


async def start(box: Sandbox) -> dict[str, str]:
    """A run of each victim, by its name; none goes on before there is a worker.

    Once there is, four processes and a worker write to one SQLite, and a request may wait long.
    """
    with temporary_settings({PREFECT_API_URL: box.api_url}):
        async with open_api() as api:
            deployed = {victim.name: await deploy(api, box, victim) for victim in VICTIMS}
            return {name: await steps.run_deployment(api, id_) for name, id_ in deployed.items()}


async def until_over(box: Sandbox, runs: list[str]) -> None:
    """Until all have ended, and the worker has logged its last words of each."""
    with temporary_settings({PREFECT_API_URL: box.api_url}):
        async with open_api() as api:

            async def ended() -> bool:
                with suppress(ApiTrouble):
                    found = await runs_by_id(api, runs)
                    return steps.ENDED.issuperset(run["state"]["type"] for run in found.values())
                return False

            async def let_go() -> bool:
                with suppress(ApiTrouble):
                    done, begun = [
                        await count_events(
                            api, {"event": {"name": [f"prefect.worker.{what}-flow-run"]}}
                        )
                        for what in ("executed", "submitted")
                    ]
                    return done + NOT_SAID >= begun > NOT_SAID
                return False

            await steps.wait_for(ended, "all victims to end", box, seconds=900)
            await steps.wait_for(let_go, "the worker's last words", box)


@pytest.fixture(scope="module")
def explained(box: Sandbox) -> dict[str, Mapping[str, Any]]:
    """The explanation of each victim's run, by the real command, by the victim's name."""
    runs = asyncio.run(start(box))
    with background(box, "worker", ["prefect", "worker", "start", "--pool", POOL, "--limit", "4"]):
        asyncio.run(until_over(box, list(runs.values())))
    answer = box.command("prefect_crash_monitor", "explain", *runs.values(), "--json")
    return dict(zip(runs, json.loads(answer), strict=True))


@pytest.mark.parametrize("victim", VICTIMS, ids=lambda victim: victim.name)
def test_the_cause_is_right(victim: Victim, explained):
    """Verdict and cause of a run that really ended this way."""
    explanation = explained[victim.name]

    assert (explanation["verdict"], explanation["cause"]) in {
        (victim.verdict, cause) for cause in victim.causes
    }, explanation


def test_many_different_causes_were_produced(explained):
    """At least twenty."""
    assert len({explanation["cause"] for explanation in explained.values()}) >= 20


def test_every_explanation_says_what_to_do(explained):
    """A cause without a remedy is half an answer; none that is sure is unknown."""
    for name, explanation in explained.items():
        assert explanation["remediation"] or name == "healthy"
        assert not (explanation["cause"] == "unknown" and explanation["confidence"] == "high")
