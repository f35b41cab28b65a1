"""Does what was decided, once: looks first whether it is still right, or done already.

Prefect has no "set the state if it is still that one". So the state is looked at right before;
set without force and with a transition id, which Prefect refuses twice in a row. What is left is
a person who retries the same run within the same tenth of a second.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from prefect_crash_monitor.act import Act, ActKind, Result
from prefect_crash_monitor.action_rules import Actions, Mode, Target
from prefect_crash_monitor.api import Api
from prefect_crash_monitor.codec import each_of
from prefect_crash_monitor.errors import ApiTrouble, MonitorError, NotThere
from prefect_crash_monitor.events import ACTION, action_event, event_id
from prefect_crash_monitor.fates import CRASHED
from prefect_crash_monitor.model import OWN_TAG
from prefect_crash_monitor.publish import send
from prefect_crash_monitor.reading import rows, whole_answer

_log = logging.getLogger(__name__)

MARK = "Retried by prefect-crash-monitor"
"""Begins the message of each state that we set; by it a run's history tells of our retries."""

LOOKED_FOR = timedelta(days=6)
"""How far back events of acts are looked for, and ahead: Prefect Cloud takes 14 days at most."""

Settled = tuple[Result, str]
"""What came of an act, and why."""

DONE: Settled = (Result.DONE, "")


def left(why: str) -> Settled:
    """An act that is not right any more."""
    return Result.LEFT, why


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """One monitor, acting on one server."""

    api: Api
    monitor: str
    rules: Actions
    """As they are now; what was decided under others is left."""
    own_deployments: Collection[str]
    now: datetime

    async def settle(self, acts: Sequence[Act]) -> tuple[Act, ...]:
        """The acts with what came of them; those that were pending are done now, or were before.

        One request where any is pending; three to six for each that is not done yet. An act that
        fails stops neither the others nor the cycle.
        """
        pending = [act for act in acts if act.result is Result.PENDING]
        told = await self._told(pending) if pending else {}
        settled = []
        for act in acts:
            if act.result is Result.PENDING:
                settled.append(told.get(act.id) or await self._settle_one(act))
            else:
                settled.append(act)
        return tuple(settled)

    async def _told(self, acts: Sequence[Act]) -> dict[str, Act]:
        """What events already tell of these acts: of a killed cycle's, or of a double's."""
        ids = [event_id(self.monitor, ACTION, act.id) for act in acts]
        since = max(min(act.at for act in acts), self.now - LOOKED_FOR)
        span = {"since": since.isoformat(), "until": (self.now + LOOKED_FOR).isoformat()}
        body = {"filter": {"id": {"id": ids}, "occurred": span}, "limit": 50}
        page = await self.api.post("/events/filter", body)
        with whole_answer("events of acts"):
            told, _ = each_of(Act, [event["payload"] for event in page["events"]])
        results = {act.id: act for act in told if act.result is not Result.PENDING}
        # What came of it, and nothing else: anybody may send such an event.
        return {
            act.id: replace(act, result=results[act.id].result, remark=results[act.id].remark)
            for act in acts
            if act.id in results
        }

    async def _settle_one(self, act: Act) -> Act:
        try:
            result, remark = await self._do(act)
        except ApiTrouble as error:
            result, remark = Result.FAILED, str(error)
            if act.at == self.now:  # stays pending in the ledger: the next cycle tries once more
                return replace(act, result=result, remark=remark)
        except NotThere:
            result, remark = left("the run, or its deployment or pool, is not there any more")
        done = replace(act, result=result, remark=remark)
        try:
            await send(self.api, [action_event(done, monitor=self.monitor, now=self.now)])
        except MonitorError as error:  # pending: the next cycle finds it done, and says so
            _log.warning("The event of action %s was not sent: %s", act.id, error)
            return act
        return done

    async def _do(self, act: Act) -> Settled:
        if self._mode(act.kind) is not act.mode:
            return left("it was switched off meanwhile")
        found = await CHECKS[act.kind](self, act)
        if found is not None:
            return found
        if act.mode is not Mode.ACT:
            return Result.WOULD, ""
        return await DEEDS[act.kind](self, act)

    def _mode(self, kind: ActKind) -> Mode:
        modes = {
            ActKind.RETRIED: self.rules.retry.mode,
            ActKind.PAUSED: self.rules.pause.mode,
            ActKind.FREED: self.rules.free_slots.mode,
        }
        return modes[kind]

    async def may_retry(self, act: Act) -> Settled | None:
        """Whether the run is still in that very crash, and is one to retry."""
        history = await self.api.get("/flow_run_states/", {"flow_run_id": act.target})
        run = await self.api.get(f"/flow_runs/{act.target}")
        with whole_answer("a run to retry"):
            ours = [s for s in history if (s["message"] or "").startswith(MARK)]
            if any(_transition(s) == self.transition(act) for s in ours):
                return DONE
            if run["state_id"] != act.detail or run["state_type"] != CRASHED:
                return left("the run has moved on")
            if len(ours) >= self.rules.retry.at_most:
                return left("the run was retried as often as allowed")
            if run["deployment_id"] is None or run["parent_task_run_id"] is not None:
                return left("the run has no deployment of its own to run it again")
            return await self._paused(run)

    async def _paused(self, run: Mapping[str, Any]) -> Settled | None:
        deployment = await self.api.get(f"/deployments/{run['deployment_id']}")
        if deployment["paused"]:
            return left("its deployment is paused")
        pool = run["work_pool_name"]
        if pool and (await self.api.get(_pool(pool)))["is_paused"]:
            return left("its work pool is paused")
        return None

    async def retry(self, act: Act) -> Settled:
        """As `prefect flow-run retry` does, but without force: the server's rules hold."""
        state = {
            "type": "SCHEDULED",
            "name": "AwaitingRetry",
            "message": f"{MARK} ({self.monitor}), retry {act.number}, for {act.why}.",
            "state_details": {
                "scheduled_time": self.now.isoformat(),
                "transition_id": self.transition(act),
            },
        }
        path = f"/flow_runs/{act.target}/set_state"
        answer = await self.api.post(path, {"state": state, "force": False})
        with whole_answer("a retry"):
            if answer["status"] == "ACCEPT":
                return DONE
            # A request of ours that was taken, but whose answer got lost, is sent again.
            if _transition(answer.get("state") or {}) == self.transition(act):
                return DONE
            return left(f"Prefect refused: {answer['details'].get('reason') or answer['status']}")

    def transition(self, act: Act) -> str:
        """The id by which Prefect knows our transition again."""
        return event_id(self.monitor, "transition", act.id)

    async def may_pause(self, act: Act) -> Settled | None:
        """Whether it is there, not paused, and not what the monitor itself needs."""
        is_pool = act.target_type == Target.WORK_POOL
        path = _pool(act.target) if is_pool else f"/deployments/{act.target}"
        found = await self.api.get(path)
        with whole_answer("what is to be paused"):
            if found["is_paused" if is_pool else "paused"]:
                return self._found_so(act, "paused")
        own = await self._own(act, is_pool=is_pool)
        return left("the monitor itself runs there") if own else None

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

    async def pause(self, act: Act) -> Settled:
        """The same for a second time changes nothing."""
        if act.target_type == Target.WORK_POOL:
            await self.api.patch(_pool(act.target), {"is_paused": True})
        else:
            await self.api.post(f"/deployments/{act.target}/pause_deployment", {})
        return DONE

    async def may_free(self, act: Act) -> Settled | None:
        """Whether the task run still holds the slot, and its flow run is still crashed."""
        limit = await self.api.get(f"/concurrency_limits/tag/{quote(act.detail, safe='')}")
        run = await self.api.get(f"/flow_runs/{act.why}")
        with whole_answer("a slot to free"):
            if act.target not in limit["active_slots"]:
                return self._found_so(act, "free")
            return None if run["state_type"] == CRASHED else left("the run has moved on")

    async def free(self, act: Act) -> Settled:
        """Gives back what this task run holds; for a second time it changes nothing."""
        body = {"names": [act.detail], "task_run_id": act.target}
        await self.api.post("/concurrency_limits/decrement", body)
        return DONE


Check = Callable[[Actor, Act], Awaitable[Settled | None]]
Deed = Callable[[Actor, Act], Awaitable[Settled]]

CHECKS: Mapping[ActKind, Check] = {
    ActKind.RETRIED: Actor.may_retry,
    ActKind.PAUSED: Actor.may_pause,
    ActKind.FREED: Actor.may_free,
}
"""Whether it is right; None where it is, else what came of it. Reads only: dry runs do it, too."""

DEEDS: Mapping[ActKind, Deed] = {
    ActKind.RETRIED: Actor.retry,
    ActKind.PAUSED: Actor.pause,
    ActKind.FREED: Actor.free,
}


def _transition(state: Mapping[str, Any]) -> str | None:
    details = state.get("state_details") or {}
    return details.get("transition_id")


def _pool(name: str) -> str:
    return f"/work_pools/{quote(name, safe='')}"
