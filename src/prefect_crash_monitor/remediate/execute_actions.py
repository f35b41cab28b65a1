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

from prefect_crash_monitor.config.actions import Actions, Mode, Target
from prefect_crash_monitor.errors import ApiTrouble, MonitorError, NotThere
from prefect_crash_monitor.model.codec import each_of
from prefect_crash_monitor.prefect_api.answers import whole_answer
from prefect_crash_monitor.prefect_api.client import Api
from prefect_crash_monitor.publish.events import ACTION, event_id
from prefect_crash_monitor.publish.send_events import send
from prefect_crash_monitor.remediate.action import Act, ActKind, Result
from prefect_crash_monitor.remediate.action_event import action_event
from prefect_crash_monitor.remediate.read_act_state import (
    CHECKS,
    DONE,
    MARK,
    Checks,
    Settled,
    left,
    pool_path,
    transition_in,
    transition_of,
)

_log = logging.getLogger(__name__)

LOOKED_FOR = timedelta(days=6)
"""How far back events of acts are looked for, and ahead: Prefect Cloud takes 14 days at most."""


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
        checks = Checks(self.api, self.monitor, self.rules, self.own_deployments, self.now)
        found = await CHECKS[act.kind](checks, act)
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

    async def retry(self, act: Act) -> Settled:
        """As `prefect flow-run retry` does, but without force: the server's rules hold."""
        state = {
            "type": "SCHEDULED",
            "name": "AwaitingRetry",
            "message": f"{MARK} ({self.monitor}), retry {act.number}, for {act.why}.",
            "state_details": {
                "scheduled_time": self.now.isoformat(),
                "transition_id": transition_of(act, self.monitor),
            },
        }
        path = f"/flow_runs/{act.target}/set_state"
        answer = await self.api.post(path, {"state": state, "force": False})
        with whole_answer("a retry"):
            if answer["status"] == "ACCEPT":
                return DONE
            # A request of ours that was taken, but whose answer got lost, is sent again.
            if transition_in(answer.get("state") or {}) == transition_of(act, self.monitor):
                return DONE
            return left(f"Prefect refused: {answer['details'].get('reason') or answer['status']}")

    async def pause(self, act: Act) -> Settled:
        """The same for a second time changes nothing."""
        if act.target_type == Target.WORK_POOL:
            await self.api.patch(pool_path(act.target), {"is_paused": True})
        else:
            await self.api.post(f"/deployments/{act.target}/pause_deployment", {})
        return DONE

    async def free(self, act: Act) -> Settled:
        """Gives back what this task run holds; for a second time it changes nothing."""
        body = {"names": [act.detail], "task_run_id": act.target}
        await self.api.post("/concurrency_limits/decrement", body)
        return DONE


Deed = Callable[[Actor, Act], Awaitable[Settled]]

DEEDS: Mapping[ActKind, Deed] = {
    ActKind.RETRIED: Actor.retry,
    ActKind.PAUSED: Actor.pause,
    ActKind.FREED: Actor.free,
}
