"""Reads who holds the slots of tag limits."""

from __future__ import annotations

from prefect_crash_monitor.action_rules import Mode
from prefect_crash_monitor.api import Api
from prefect_crash_monitor.policy import Policy
from prefect_crash_monitor.reading import rows, whole_answer
from prefect_crash_monitor.slots import HeldSlot

READ = 200
"""Limits, and task runs, read at once; Prefect gives no more."""


async def held_slots(api: Api, policy: Policy) -> tuple[HeldSlot, ...]:
    """Slots of tag limits that a known task run holds; no request where nobody asks for them.

    Two requests. A holder that Prefect has no task run of is left out: whose it is cannot be told.
    """
    if policy.actions.free_slots.mode is Mode.OFF:
        return ()
    limits = rows(await api.post("/concurrency_limits/filter", {"limit": READ}), "tag limits")
    with whole_answer("tag limits"):
        taken = [(str(limit["tag"]), str(id_)) for limit in limits for id_ in limit["active_slots"]]
    ids = sorted({id_ for _, id_ in taken})[:READ]
    if not ids:
        return ()
    body = {"task_runs": {"id": {"any_": ids}}, "limit": READ}
    runs = rows(await api.post("/task_runs/filter", body), "task runs that hold slots")
    with whole_answer("task runs that hold slots"):
        flow_runs = {run["id"]: run["flow_run_id"] for run in runs if run["flow_run_id"]}
    return tuple(
        HeldSlot(tag=tag, task_run_id=id_, flow_run_id=flow_runs[id_])
        for tag, id_ in taken
        if id_ in flow_runs
    )
