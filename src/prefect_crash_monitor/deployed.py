"""What deployed flows call: the one module of this package that users' projects import.

`crash-monitor init` copies `flows/` into a project, where it stays when the package is upgraded. So
the two functions below keep their names and arguments; everything behind them may move.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from prefect import get_run_logger
from prefect.context import FlowRunContext
from prefect.logging.handlers import APILogHandler
from prefect.settings import PREFECT_UI_URL

from prefect_crash_monitor.config.read_policy import load_settings
from prefect_crash_monitor.cycle.read_server_time import by_the_server
from prefect_crash_monitor.cycle.run_cycle import run_cycle
from prefect_crash_monitor.model.own import OWN_FLOWS, OWN_TAG, Place
from prefect_crash_monitor.prefect_api.client import open_api
from prefect_crash_monitor.redaction.redact import redact
from prefect_crash_monitor.triage.run_triage import run_triage

__all__ = ["monitor", "triage"]

_log = logging.getLogger(__name__)


async def monitor(
    policy: str = "default", overrides: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """One monitoring cycle, within a flow run: observe, explain, count, judge, tell.

    Args:
        policy: Name of the `crash-policy` block.
        overrides: Fields of the policy to replace for this run. Those that later runs or
            automations go by are refused: `rules`, `silences`, receivers and the like.

    Returns:
        The interval record, with incidents and notices, as `crash-monitor run --json` prints it.

    Raises:
        MonitorError: the policy cannot be used, or the ledger or the crashes cannot be read.
    """
    with _logs_to_run():
        async with open_api() as api:
            settings = await load_settings(api, policy, overrides)
            settings, now = by_the_server(api, settings, datetime.now(UTC))
            result = await run_cycle(api, settings, _place(), now)
            _log.info("%d incidents open, %d requests", len(result.judgement.open), api.requests)
    return result.to_json()


async def triage(flow_run_id: str, incident: str = "", policy: str = "default") -> dict[str, Any]:
    """Explains one crashed run and its surroundings, within a flow run, as an artifact.

    Args:
        flow_run_id: The crashed flow run; its id, or its address in Prefect's UI.
        incident: The incident that it is a sample of, as `id.episode`; only shown.
        policy: Name of the `crash-policy` block.

    Raises:
        MonitorError: there is no such run, or it cannot be read.
    """
    with _logs_to_run():
        async with open_api() as api:
            settings = await load_settings(api, policy)
            settings, now = by_the_server(api, settings, datetime.now(UTC))
            done = await run_triage(api, flow_run_id, incident, settings, _place(), now)
            _log.info("%s: %s, %d requests", done["artifact"], done["cause"], api.requests)
    return done


def _place() -> Place:
    """The run that this is, and its deployment where that is the monitor's.

    A subflow has no deployment of its own: `prefect.runtime` would name the one of its parent, and
    the monitor would take a deployment of the user's for its own, leave out its crashes and set its
    long runs CRASHED.
    """
    ui_url = PREFECT_UI_URL.value() or ""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return Place(ui_url=ui_url)
    run = context.flow_run
    named = context.flow is not None and context.flow.name in OWN_FLOWS
    ours = run.deployment_id is not None and (named or OWN_TAG in run.tags)
    return Place(
        ui_url=ui_url,
        flow_run_id=str(run.id),
        deployment_id=str(run.deployment_id) if ours else None,
    )


class _ToRun(logging.Handler):
    """Hands this package's log lines to the flow run's logger, redacted."""

    def __init__(self, package: logging.Logger) -> None:
        super().__init__()
        self._run_id = _run_id()
        self._run = get_run_logger()
        first = next((h for h in package.handlers if isinstance(h, _ToRun)), None)
        # Level of the package's logger, and whether it propagates, before the first run began.
        self.before: tuple[int, bool] = (
            first.before if first else (package.level, package.propagate)
        )

    def emit(self, record: logging.LogRecord) -> None:
        if _run_id() != self._run_id:  # of another run in this process
            return
        try:
            self._run.log(record.levelno, "%s", redact(self.format(record)))
        except Exception:  # noqa: BLE001  # as every handler: logging must not end what it logs
            self.handleError(record)


def _run_id() -> str:
    context = FlowRunContext.get()
    return str(context.flow_run.id) if context and context.flow_run else ""


@contextmanager
def _logs_to_run() -> Iterator[None]:
    """Shows what this package logs among the flow run's logs, as long as it runs; each line once.

    Prefect's own way, `PREFECT_LOGGING_EXTRA_LOGGERS`, needs a setting in each job's environment.
    Where that is set, its handler is left out meanwhile: it would send each line once more, and not
    redacted. So would the root logger, to which the run's logger propagates as well.
    """
    package = logging.getLogger("prefect_crash_monitor")
    prefects = [h for h in package.handlers if isinstance(h, APILogHandler)]
    handler = _ToRun(package)
    package.addHandler(handler)
    package.propagate = False
    if package.level == logging.NOTSET:
        package.setLevel(logging.INFO)
    for other in prefects:
        package.removeHandler(other)
    try:
        yield
    finally:
        package.removeHandler(handler)
        for other in prefects:
            package.addHandler(other)
        if not any(isinstance(h, _ToRun) for h in package.handlers):
            level, package.propagate = handler.before
            package.setLevel(level)
