"""Whether an act is still right when it comes to it: the server decides, by id.

What was decided is a while ago, and an event or a ledger may be forged: anybody who may run flows
may write both. So each check asks the server for the runs themselves, and the policy again. Reads
only, so that a dry run does the same.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from prefect_crash_monitor.config.actions import Actions, Mode, Target
from prefect_crash_monitor.config.matching import matches
from prefect_crash_monitor.model.crash import Diagnosis
from prefect_crash_monitor.model.interval import moment
from prefect_crash_monitor.model.own import OWN_TAG
from prefect_crash_monitor.observe.outcomes import CRASHED
from prefect_crash_monitor.observe.parse_crash import crash_of_state
from prefect_crash_monitor.prefect_api.answers import rows, whole_answer
from prefect_crash_monitor.prefect_api.client import Api
from prefect_crash_monitor.publish.events import event_id
from prefect_crash_monitor.remediate.action import Act, ActKind, Result
from prefect_crash_monitor.remediate.plan import PROOFS

MARK = "Retried by prefect-crash-monitor"
"""Begins the message of each state that we set; by it a run's history tells of our retries."""

Settled = tuple[Result, str]
"""What came of an act, and why."""

DONE: Settled = (Result.DONE, "")

PROOFS_NEEDED = 10
"""Crashes that are looked up before a pause, at most; one request each."""

UNPROVED = "Prefect's own records of the runs do not show the crashes that it rests on"
NOT_CHOSEN = "the policy does not choose it"


def left(why: str) -> Settled:
    """An act that is not right any more."""
    return Result.LEFT, why


@dataclass(frozen=True, slots=True)
class Checks:
    """What the checks go by. Each gives None where the act is right, else what came of it."""

    api: Api
    monitor: str
    rules: Actions
    own_deployments: Collection[str]
    now: datetime

    async def may_retry(self, act: Act) -> Settled | None:
        """Whether the run is still in that very crash, and is one to retry."""
        history = await self.api.get("/flow_run_states/", {"flow_run_id": act.target})
        run = await self.api.get(f"/flow_runs/{act.target}")
        with whole_answer("a run to retry"):
            ours = [s for s in history if (s["message"] or "").startswith(MARK)]
            if any(transition_in(s) == transition_of(act, self.monitor) for s in ours):
                return DONE
            if run["state_id"] != act.detail or run["state_type"] != CRASHED:
                return left("the run has moved on")
            if len(ours) >= self.rules.retry.at_most:
                return left("the run was retried as often as allowed")
            if run["deployment_id"] is None or run["parent_task_run_id"] is not None:
                return left("the run has no deployment of its own to run it again")
        return await self._not_chosen(act, run) or await self._paused(run)

    async def _not_chosen(self, act: Act, run: Mapping[str, Any]) -> Settled | None:
        """The policy once more: a pending act may be of an older one, or of a forged ledger."""
        flow = await self.api.get(f"/flows/{run['flow_id']}")
        deployment = await self.api.get(f"/deployments/{run['deployment_id']}")
        with whole_answer("a run to retry"):
            crash = crash_of_state(run["state"], run, flow, deployment)
        why = Diagnosis(cause=act.why, confidence="", fingerprint="")
        chosen = act.why in self.rules.retry.causes and matches(self.rules.retry.only, crash, why)
        return None if chosen else left(NOT_CHOSEN)

    async def _paused(self, run: Mapping[str, Any]) -> Settled | None:
        deployment = await self.api.get(f"/deployments/{run['deployment_id']}")
        pool = run["work_pool_name"]
        with whole_answer("what a retry needs"):
            if deployment["paused"]:
                return left("its deployment is paused")
            if pool and (await self.api.get(pool_path(pool)))["is_paused"]:
                return left("its work pool is paused")
        return None

    async def may_pause(self, act: Act) -> Settled | None:
        """Whether it is there, not paused, and not what the monitor itself needs."""
        is_pool = act.target_type == Target.WORK_POOL
        path = pool_path(act.target) if is_pool else f"/deployments/{act.target}"
        found = await self.api.get(path)
        with whole_answer("what is to be paused"):
            if found["is_paused" if is_pool else "paused"]:
                return self._found_so(act, "paused")
        if await self._own(act, is_pool=is_pool):
            return left("the monitor itself runs there")
        return None if await self._happened(act) else left(UNPROVED)

    async def _happened(self, act: Act) -> bool:
        """Whether as many of the runs as it takes crashed there, by Prefect's record of each."""
        named = dict(crash.partition(":")[::2] for crash in act.detail.split()[:PROOFS])
        needed = min(self.rules.pause.crashes, len(named), PROOFS_NEEDED)
        if not needed:
            return False
        body = {"flow_runs": {"id": {"any_": sorted(named)}}, "limit": PROOFS}
        runs = rows(await self.api.post("/flow_runs/filter", body), "crashed runs")
        with whole_answer("crashed runs"):
            there = [
                run["id"]
                for run in runs
                if act.target in {run["deployment_id"], run["work_pool_name"]}
            ]
        for run in there:
            path = "/flow_run_states/"
            history = rows(await self.api.get(path, {"flow_run_id": run}), "a run's history")
            with whole_answer("a run's history"):
                needed -= (named[run], CRASHED) in {(s["id"], s["type"]) for s in history}
            if not needed:
                return True
        return False

    def _found_so(self, act: Act, how: str) -> Settled:
        """What we want is so already: perhaps our doing, where we may have tried before."""
        if act.at == self.now or act.mode is not Mode.ACT:
            return left(f"it is {how} already")
        return Result.DONE, f"it was found {how}, by this act or by another hand"

    async def _own(self, act: Act, *, is_pool: bool) -> bool:
        """Whether it is a deployment of ours, or has one; by tag, and by what is known."""
        filter_: dict[str, Any] = {"operator": "or_", "tags": {"all_": [OWN_TAG]}}
        if self.own_deployments:
            filter_["id"] = {"any_": sorted(self.own_deployments)}
        pools = {"work_pools": {"name": {"any_": [act.target]}}} if is_pool else {}
        body = {"deployments": filter_, **pools}
        found = rows(await self.api.post("/deployments/filter", body), "own deployments")
        with whole_answer("own deployments"):
            return bool(found) if is_pool else act.target in {d["id"] for d in found}

    async def may_free(self, act: Act) -> Settled | None:
        """Whether the task run still holds the slot, and its flow run is still crashed."""
        limit = await self.api.get(f"/concurrency_limits/tag/{quote(act.detail, safe='')}")
        with whole_answer("a slot to free"):
            if act.target not in limit["active_slots"]:
                return self._found_so(act, "free")
        holder = await self.api.get(f"/task_runs/{act.target}")
        run = await self.api.get(f"/flow_runs/{act.why}")
        with whole_answer("a slot to free"):
            if holder["flow_run_id"] != act.why:
                return left(UNPROVED)
            if run["state_type"] != CRASHED:
                return left("the run has moved on")
            crashed_at = moment(run["state"]["timestamp"])
        due = crashed_at + self.rules.free_slots.after <= self.now
        return None if due else left(NOT_CHOSEN)


Check = Callable[[Checks, Act], Awaitable[Settled | None]]

CHECKS: Mapping[ActKind, Check] = {
    ActKind.RETRIED: Checks.may_retry,
    ActKind.PAUSED: Checks.may_pause,
    ActKind.FREED: Checks.may_free,
}


def transition_of(act: Act, monitor: str) -> str:
    """The id by which Prefect knows our transition again."""
    return event_id(monitor, "transition", act.id)


def transition_in(state: Mapping[str, Any]) -> str | None:
    """The id of the transition that led to a state."""
    details = state.get("state_details") or {}
    return details.get("transition_id")


def pool_path(name: str) -> str:
    """Of a work pool."""
    return f"/work_pools/{quote(name, safe='')}"
