"""What the commands do, each returning what `--json` prints."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from prefect.settings import PREFECT_UI_URL

from prefect_crash_monitor.api import open_api
from prefect_crash_monitor.count import count, record_json
from prefect_crash_monitor.cycle import run_cycle
from prefect_crash_monitor.errors import BadInput
from prefect_crash_monitor.events import incident_json
from prefect_crash_monitor.model import Window
from prefect_crash_monitor.observe import observe
from prefect_crash_monitor.own_runs import Place
from prefect_crash_monitor.policy import Policy
from prefect_crash_monitor.registration import register
from prefect_crash_monitor.settings import load_settings
from prefect_crash_monitor.store import LedgerStore


async def count_window(since: datetime, until: datetime) -> dict[str, Any]:
    """The crashes of `[since, until)`, and how many requests that took.

    Raises:
        BadInput: a reversed or empty window, or one that begins in the future.
    """
    now = datetime.now(UTC)
    if since >= until:
        raise BadInput(f"--since {since.isoformat()} is not before --until {until.isoformat()}.")
    if since >= now:
        raise BadInput(f"--since {since.isoformat()} lies in the future; it is {now.isoformat()}.")
    window = Window(since, until)
    async with open_api() as api:
        observation = await observe(api, window, now=now, settle=Policy().settle)
        record = count(observation, window, counted_at=now)
        return record_json(record) | {"requests": api.requests}


async def run_once(policy: str) -> dict[str, Any]:
    """One cycle; the record of the latest interval."""
    async with open_api() as api:
        settings = await load_settings(api, policy)
        place = Place(ui_url=PREFECT_UI_URL.value() or "")
        result = await run_cycle(api, settings, place, datetime.now(UTC))
        return result.to_json() | {"requests": api.requests}


async def register_now(
    policy: str, *, remove: bool, dry_run: bool
) -> tuple[dict[str, list[str]], tuple[str, ...]]:
    """What was created, updated, left unchanged, removed; and warnings."""
    async with open_api() as api:
        settings = await load_settings(api, policy)
        registration = await register(
            api, settings.policy, monitor=settings.name, remove=remove, dry_run=dry_run
        )
        return registration.to_json(), (*settings.notices, *registration.warnings)


async def open_incidents(policy: str) -> list[dict[str, Any]]:
    """The incidents that are open, the oldest first."""
    async with open_api() as api:
        ledger = await LedgerStore(api, policy).read(datetime.now(UTC))
        return [incident_json(incident) for incident in ledger.incidents if incident.is_open]
