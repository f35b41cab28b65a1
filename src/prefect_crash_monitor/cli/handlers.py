"""What the commands do, each returning what `--json` prints."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from prefect.settings import PREFECT_UI_URL

from prefect_crash_monitor.config.policy import Policy
from prefect_crash_monitor.config.read_policy import load_settings
from prefect_crash_monitor.count.count import count, record_json
from prefect_crash_monitor.cycle.read_server_time import by_the_server
from prefect_crash_monitor.cycle.run_backfill import Progress, backfill
from prefect_crash_monitor.cycle.run_cycle import run_cycle
from prefect_crash_monitor.errors import ApiTrouble, BadInput, Refused, Unreachable
from prefect_crash_monitor.evaluate.silences import Silence, planned
from prefect_crash_monitor.explain.read_bundle import capture_bundle
from prefect_crash_monitor.explain.read_bundle_file import Bundle
from prefect_crash_monitor.explain.read_evidence import explain_crashes
from prefect_crash_monitor.ghosts.ghost import Ghost
from prefect_crash_monitor.ghosts.mark_crashed import mark_crashed
from prefect_crash_monitor.ghosts.read_ghosts import sweep
from prefect_crash_monitor.ghosts.read_last_event import why_unheard
from prefect_crash_monitor.model.codec import to_json
from prefect_crash_monitor.model.crash import Diagnosis, Observation
from prefect_crash_monitor.model.interval import Window
from prefect_crash_monitor.model.own import Place, is_own
from prefect_crash_monitor.notify.automations.register_automations import register
from prefect_crash_monitor.notify.delivery.record import by_incident, notified
from prefect_crash_monitor.observe.read_crashes import observe
from prefect_crash_monitor.observe.read_own_deployments import own_deployments_of
from prefect_crash_monitor.prefect_api.client import Api, open_api
from prefect_crash_monitor.publish.events import incident_json
from prefect_crash_monitor.state.ledger_store import LedgerStore
from prefect_crash_monitor.state.silence_store import SilenceStore


async def count_window(
    since: datetime, until: datetime, *, by_cause: bool = False
) -> dict[str, Any]:
    """The crashes of `[since, until)`, by cause where asked for, and how many requests it took.

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
        if (then := api.not_ahead(now)) < now:  # else the future would be called complete
            observation = await observe(api, window, now=then, settle=Policy().settle)
        own = await own_deployments_of(api, observation.crashes)
        diagnoses = await _diagnoses(api, observation, own) if by_cause else None
        record = count(
            observation, window, counted_at=now, own_deployments=own, diagnoses=diagnoses
        )
        return record_json(record) | {"requests": api.requests}


async def _diagnoses(
    api: Api, observation: Observation, own: Collection[str]
) -> Mapping[str, Diagnosis]:
    """Why each of the crashes happened, as far as a cycle would find out."""
    crashes = [crash for crash in observation.crashes if not is_own(crash, own)]
    explained = await explain_crashes(api, crashes, {}, settled_before=observation.window.start)
    return explained.diagnoses


async def capture_runs(run_ids: Sequence[str]) -> list[Bundle]:
    """The evidence on each of these runs, without secrets.

    Raises:
        BadInput: an id that is no flow run's.
    """
    async with open_api() as api:
        return [await capture_bundle(api, run_id, datetime.now(UTC)) for run_id in run_ids]


async def find_ghosts(*, mark: bool) -> tuple[list[dict[str, Any]], ApiTrouble | None]:
    """All ghosts as of now, with `marked` and `not_marked` (why) where they were to be marked.

    And what kept some of them from being marked: what was done before must be told all the same.
    """
    async with open_api() as api:
        now = datetime.now(UTC)
        found = (await sweep(api, now)).ghosts
        if not mark:
            return [ghost.to_json() for ghost in found], None
        unheard = await why_unheard(api, now) if found else ""
        answer: list[dict[str, Any]] = []
        trouble: ApiTrouble | None = None
        for ghost in found:
            try:
                # No further requests to a server that does not answer or refuses us.
                gone = trouble if isinstance(trouble, Unreachable | Refused) else None
                left = f"not tried: {gone}" if gone else await _mark(api, ghost, unheard)
            except ApiTrouble as error:
                left, trouble = str(error), error
            answer.append(ghost.to_json() | {"marked": not left, "not_marked": left})
        return answer, trouble


async def _mark(api: Api, ghost: Ghost, unheard: str) -> str:
    return await mark_crashed(api, ghost, unheard, datetime.now(UTC))


async def run_once(policy: str) -> dict[str, Any]:
    """One cycle; the record of the latest interval."""
    async with open_api() as api:
        settings = await load_settings(api, policy)
        settings, now = by_the_server(api, settings, datetime.now(UTC))
        result = await run_cycle(api, settings, Place(ui_url=PREFECT_UI_URL.value() or ""), now)
        return result.to_json() | {"requests": api.requests}


async def backfill_since(policy: str, since: datetime, progress: Progress) -> list[dict[str, Any]]:
    """The records of the past intervals that were counted only now."""
    async with open_api() as api:
        settings = await load_settings(api, policy)
        settings, now = by_the_server(api, settings, datetime.now(UTC))
        records = await backfill(api, settings, since, now, progress)
        return [record_json(record) for record in records]


async def register_now(
    policy: str, *, remove: bool, dry_run: bool
) -> tuple[dict[str, list[str]], tuple[str, ...], tuple[str, ...]]:
    """What was created, updated, left unchanged, removed; warnings; and what Prefect refused."""
    async with open_api() as api:
        settings = await load_settings(api, policy)
        registration = await register(
            api, settings.policy, monitor=settings.name, remove=remove, dry_run=dry_run
        )
        warnings = (*settings.notices, *registration.warnings)
        return registration.to_json(), warnings, registration.failed


async def open_incidents(policy: str) -> list[dict[str, Any]]:
    """The incidents that are open, the oldest first, and whether somebody was told of each."""
    async with open_api() as api:
        await load_settings(api, policy)  # a mistyped name has no incidents, and looks healthy
        ledger = await LedgerStore(api, policy).read(datetime.now(UTC))
        told = by_incident(ledger.deliveries)
        listed = [incident_json(incident) for incident in ledger.incidents if incident.is_open]
        return [item | {"notified": notified(told, item["incident"])} for item in listed]


async def add_silence(policy: str, silence: Silence, now: datetime) -> list[dict[str, Any]]:
    """Stores a silence; all that are not over yet."""
    if silence.until <= now:
        raise BadInput(f"The silence would be over already: it ends {silence.until.isoformat()}.")
    async with open_api() as api:
        await load_settings(api, policy)  # a silence of a mistyped name silences nothing
        await SilenceStore(api, policy).add(silence, now)
        return await _silences(api, policy, now)


async def list_silences(policy: str, now: datetime) -> list[dict[str, Any]]:
    """All silences that are not over yet."""
    async with open_api() as api:
        return await _silences(api, policy, now)


async def remove_silence(policy: str, silence_id: str, now: datetime) -> list[dict[str, Any]]:
    """Ends a silence; those that are left."""
    async with open_api() as api:
        settings = await load_settings(api, policy)
        if silence_id in {silence.id for silence in planned(settings.policy)}:
            raise BadInput(f"Silence {silence_id} stands in the policy: remove it there.")
        await SilenceStore(api, policy).remove(silence_id)
        return await _silences(api, policy, now)


async def _silences(api: Api, policy: str, now: datetime) -> list[dict[str, Any]]:
    settings = await load_settings(api, policy)
    stored = await SilenceStore(api, policy).read(now)
    current = [silence for silence in planned(settings.policy) if silence.until > now]
    return [to_json(Silence, silence) for silence in (*current, *stored)]
