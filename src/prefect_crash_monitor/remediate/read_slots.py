"""Reads who holds concurrency slots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from prefect_crash_monitor.config.actions import Mode
from prefect_crash_monitor.config.policy import Policy
from prefect_crash_monitor.errors import NotThere
from prefect_crash_monitor.model.crash import Crash
from prefect_crash_monitor.observe.read_flow_runs import side_by_side
from prefect_crash_monitor.prefect_api.answers import rows, whole_answer
from prefect_crash_monitor.prefect_api.client import Api
from prefect_crash_monitor.remediate.slots import HeldSlot, Unclaimed

READ = 200
"""Limits, and task runs, read at once; Prefect gives no more."""

PAGES = 10
"""Pages of each: of more limits or holders the rest is not freed."""

LOOKED_AT = 20
"""Deployments of which slots and living runs are compared in one cycle, the latest to crash."""

HOLDING = ["PENDING", "RUNNING", "CANCELLING"]
"""Types of state in which a run has a slot of its deployment."""


async def held_slots(api: Api, policy: Policy) -> tuple[HeldSlot, ...]:
    """Slots of tag limits that a known task run holds; no request where nobody asks for them.

    Two requests, one more for each 200 slots. A holder that Prefect has no task run of is left
    out: whose it is cannot be told.
    """
    if policy.actions.free_slots.mode is Mode.OFF:
        return ()
    limits: list[Mapping[str, Any]] = []
    for page in range(PAGES):
        body: dict[str, Any] = {"limit": READ, "offset": page * READ}
        part = rows(await api.post("/concurrency_limits/filter", body), "tag limits")
        limits += part
        if len(part) < READ:
            break
    with whole_answer("tag limits"):
        taken = [(str(limit["tag"]), str(id_)) for limit in limits for id_ in limit["active_slots"]]
    ids = sorted({id_ for _, id_ in taken})
    flow_runs: dict[str, str] = {}
    for at in range(0, min(len(ids), PAGES * READ), READ):
        body = {"task_runs": {"id": {"any_": ids[at : at + READ]}}, "limit": READ}
        runs = rows(await api.post("/task_runs/filter", body), "task runs that hold slots")
        with whole_answer("task runs that hold slots"):
            flow_runs |= {run["id"]: run["flow_run_id"] for run in runs if run["flow_run_id"]}
    return tuple(
        HeldSlot(tag=tag, task_run_id=id_, flow_run_id=flow_runs[id_])
        for tag, id_ in taken
        if id_ in flow_runs
    )


async def unclaimed_slots(
    api: Api, policy: Policy, crashes: Iterable[Crash]
) -> tuple[Unclaimed, ...]:
    """Of deployments that crashed: more slots taken than runs alive, in two looks.

    One request for each, two more for each with a slot taken, and again as many to be sure: a run
    that ends between two requests looks like a leak.
    """
    if policy.actions.free_slots.mode is Mode.OFF:
        return ()
    names = {c.deployment_id: c.deployment for c in crashes if c.deployment_id}
    latest = list(names.items())[-LOOKED_AT:]
    found = await side_by_side(lambda item: _look_twice(api, *item), latest)
    return tuple(unclaimed for unclaimed in found if unclaimed)


async def _look_twice(api: Api, deployment_id: str, name: str) -> Unclaimed | None:
    first = await _look(api, deployment_id, name)
    second = await _look(api, deployment_id, name) if first else None
    return second if first == second else None


async def _look(api: Api, deployment_id: str, name: str) -> Unclaimed | None:
    limit = f"deployment:{deployment_id}"
    try:
        found = await api.get(f"/v2/concurrency_limits/{quote(limit, safe='')}")
    except NotThere:
        return None
    with whole_answer("the limit of a deployment"):
        taken = int(found["active_slots"])
    if not taken:
        return None
    runs = {"deployment_id": {"any_": [deployment_id]}, "state": {"type": {"any_": HOLDING}}}
    alive = await api.post("/flow_runs/count", {"flow_runs": runs})
    with whole_answer("the living runs of a deployment"):
        if taken <= int(alive):
            return None
    return Unclaimed(deployment=name, limit=limit, taken=taken, alive=int(alive))
