"""Makes the server's automations agree with the policy; several processes may do so at once.

Names of automations are not unique in Prefect and creating is not atomic. So: create what is
missing, look again, and let everyone elect the same survivor, the oldest. Ends with exactly one
of each, whoever raced.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from prefect_crash_monitor.config.policy import Policy
from prefect_crash_monitor.errors import Failing, NotThere, Refused, UnsuitableBlock
from prefect_crash_monitor.model.own import DEFAULT_MONITOR, OWN_TAG
from prefect_crash_monitor.notify.automations.desired import Body, desired_automations
from prefect_crash_monitor.notify.automations.diff import Plan, difference
from prefect_crash_monitor.notify.automations.read_receivers import find_receivers
from prefect_crash_monitor.notify.automations.read_schedules import longest_gap
from prefect_crash_monitor.notify.automations.triage import (
    DEPLOYMENT,
    NOT_DEPLOYED,
    triage_automation,
)
from prefect_crash_monitor.notify.routing import untold
from prefect_crash_monitor.prefect_api.answers import rows, whole_answer
from prefect_crash_monitor.prefect_api.client import Api
from prefect_crash_monitor.prefect_api.read_server_version import too_old_for_automations

PAGE = 200
ROUNDS = 5
"""Looks at the server until it agrees; two are enough unless others register meanwhile."""

MONITOR_FLOW = "crash-monitor"

STILL_DIFFERENT = (
    "The automations on the server still differ from what the policy wants: somebody else keeps "
    "changing them. Is a monitor with another version or policy of the same name running?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """Names of the automations, by what was done to them."""

    created: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    """What Prefect refused, each with its reason: a right that is missing, a limit of the plan."""
    triage_deployment: str = ""
    """Id of our deployment that triages; empty where it is not there, or not wanted."""

    def to_json(self) -> dict[str, list[str]]:
        """As `crash-monitor register --json` prints it."""
        return {
            "created": list(self.created),
            "updated": list(self.updated),
            "unchanged": list(self.unchanged),
            "removed": list(self.removed),
        }


async def register(
    api: Api, policy: Policy, *, monitor: str, remove: bool = False, dry_run: bool = False
) -> Registration:
    """Registers, or removes, the automations of one monitor.

    One that Prefect refuses does not keep the others from being registered.

    Raises:
        UnsuitableBlock: a receiver is missing or cannot notify; the automations that do not need
            it are registered all the same.
        ApiTrouble: things are left as they are.
    """
    wanted = _Wanted() if remove else await _wanted(api, policy, monitor)
    try:
        known = await _tagged(api)
    except Failing as error:
        if why := await too_old_for_automations(api):
            raise Failing(why) from error
        raise
    first = plan = difference(wanted.automations, known, monitor=monitor)
    failed: dict[str, str] = {}
    for _ in range(0 if dry_run else ROUNDS):
        if not plan or failed:
            break
        failed = await _apply(api, plan)
        plan = difference(wanted.automations, await _tagged(api), monitor=monitor)
    if wanted.unsuitable is not None:
        raise wanted.unsuitable
    still = (STILL_DIFFERENT,) if plan and not dry_run and not failed else ()
    return Registration(
        created=tuple(body["name"] for body in first.create if body["name"] not in failed),
        updated=tuple(body["name"] for _, body in first.update if body["name"] not in failed),
        unchanged=first.unchanged,
        removed=tuple(sorted({name for _, name in first.remove} - set(failed))),
        warnings=(*wanted.warnings, *still),
        failed=tuple(f"{name}: {why}" for name, why in failed.items()),
        triage_deployment=wanted.triage_deployment,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What is to be there, as far as the server has what it needs."""

    automations: tuple[Body, ...] = ()
    warnings: tuple[str, ...] = ()
    triage_deployment: str = ""
    unsuitable: UnsuitableBlock | None = None


async def _wanted(api: Api, policy: Policy, monitor: str) -> _Wanted:
    found = await find_receivers(api, policy)
    every, warnings = timedelta(0), untold(policy)
    try:
        every = await _slowest_schedule(api, monitor)
    except (Refused, Failing) as error:
        warnings = (
            *warnings,
            "How often the deployment runs was not read; that the monitor is silent is judged by "
            f"the policy's interval alone: {error}",
        )
    automations = desired_automations(policy, found.receivers, monitor=monitor, every=every)
    deployment = await _triage_deployment(api) if policy.triage else ""
    if deployment:
        automations.append(triage_automation(policy, deployment, monitor=monitor))
    elif policy.triage:
        warnings = (*warnings, NOT_DEPLOYED)
    return _Wanted(
        automations=tuple(automations),
        warnings=warnings,
        triage_deployment=deployment,
        unsuitable=found.error,
    )


async def _apply(api: Api, plan: Plan) -> dict[str, str]:
    """Does what is to be done; what Prefect refused, and why, by the automation's name."""
    failed: dict[str, str] = {}

    async def do(name: str, request: Awaitable[object]) -> None:
        try:
            await request
        except (Refused, Failing) as error:
            failed[name] = str(error)

    for body in plan.create:
        await do(body["name"], api.post("/automations/", body))
    for id_, body in plan.update:
        await do(body["name"], _put(api, id_, body))
    for id_, name in plan.remove:
        await do(name, api.delete(f"/automations/{id_}"))
    return failed


async def _put(api: Api, id_: str, body: Mapping[str, Any]) -> None:
    try:
        await api.put(f"/automations/{id_}", body)
    except NotThere:  # another process elected and removed it: the next round sees
        return


async def _tagged(api: Api) -> list[Mapping[str, Any]]:
    """All automations with our tag, each once."""
    found: dict[str, Mapping[str, Any]] = {}
    page: list[Mapping[str, Any]] = [{}] * PAGE
    offset = 0
    while len(page) == PAGE:
        body = {
            "automations": {"tags": {"all_": [OWN_TAG]}},
            "sort": "CREATED_DESC",
            "limit": PAGE,
            "offset": offset,
        }
        page = await api.post("/automations/filter", body)
        offset += PAGE
        with whole_answer("automations"):
            found |= {str(automation["id"]): automation for automation in page}
    return list(found.values())


async def _triage_deployment(api: Api) -> str:
    """The id of our own deployment that triages; empty where there is none."""
    try:
        deployment = await api.get(f"/deployments/name/{DEPLOYMENT}")
    except NotThere:
        return ""
    with whole_answer("the deployment that triages"):
        return str(deployment["id"]) if OWN_TAG in deployment["tags"] else ""


async def _slowest_schedule(api: Api, monitor: str) -> timedelta:
    """How long it may take from one run of our deployment with this policy to the next; 0: unknown.

    Without it a deployment that runs less often than the policy's interval, or not at night, would
    be called silent before each cycle.
    """
    body = {
        "deployments": {"tags": {"all_": [OWN_TAG]}},
        "flows": {"name": {"any_": [MONITOR_FLOW]}},
    }
    ours = rows(await api.post("/deployments/filter", body), "the monitor's deployments")
    with whole_answer("the monitor's deployments"):
        gaps = [
            await longest_gap(
                [s["schedule"] for s in deployment["schedules"] if s["active"]], datetime.now(UTC)
            )
            for deployment in ours
            if (deployment["parameters"] or {}).get("policy", DEFAULT_MONITOR) == monitor
        ]
    return max(gaps, default=timedelta(0))
