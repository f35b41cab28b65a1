"""Reads what a cycle needs to know before it decides."""

from __future__ import annotations

from datetime import datetime

from prefect_crash_monitor.api import Api
from prefect_crash_monitor.completions import latest_completions
from prefect_crash_monitor.count import is_own
from prefect_crash_monitor.endings import runs_ended, shares_of
from prefect_crash_monitor.explain.evidence import HEARTBEAT
from prefect_crash_monitor.explaining import explain_crashes
from prefect_crash_monitor.failures import read_failures
from prefect_crash_monitor.ghosts.found import found, heard_since
from prefect_crash_monitor.ghosts.heard import last_heard
from prefect_crash_monitor.ghosts.sweep import sweep
from prefect_crash_monitor.ledger import Ledger
from prefect_crash_monitor.memory import questions
from prefect_crash_monitor.model import Window
from prefect_crash_monitor.observe import observe
from prefect_crash_monitor.policy import Policy
from prefect_crash_monitor.recoveries import date_recoveries
from prefect_crash_monitor.seen import Seen, judged_through, span_to_read
from prefect_crash_monitor.shares import asked as asked_for_shares
from prefect_crash_monitor.silence_store import SilenceStore
from prefect_crash_monitor.silences import planned
from prefect_crash_monitor.slot_holders import held_slots, unclaimed_slots
from prefect_crash_monitor.suspects import not_looked_at, wanted
from prefect_crash_monitor.windows import EPOCH, Due

GHOSTS_LOOKED_AT = 100
"""Suspects looked at in one cycle, at five requests each; those that are ghosts are remembered, so
that a server with thousands of them is known after some cycles."""


async def see(
    api: Api, ledger: Ledger, plan: Due, policy: Policy, monitor: str, now: datetime
) -> Seen:
    """Reads the due intervals, with the history that rules and late events need, and what is alive.

    Raises:
        ApiTrouble: nothing is lost, the next cycle does this one's work.
    """
    first = plan.windows[0].start
    observation = await observe(
        api, span_to_read(ledger, plan, policy), now=now, settle=policy.settle
    )
    observation = await date_recoveries(api, observation, policy.grace)
    crashes = [c for c in observation.crashes if not is_own(c, ledger.own_deployments)]
    judged = (ledger.watermark or EPOCH) - policy.grace
    explained = await explain_crashes(api, crashes, ledger.diagnoses, settled_before=judged)
    asked = questions(ledger.memory, crashes, policy.rules, explained.diagnoses, ledger.incidents)
    throughs = judged_through(plan, policy)
    swept = await sweep(
        api,
        now,
        known=[one.ghost for one in ledger.ghosts],
        own_deployments=ledger.own_deployments,
        most=GHOSTS_LOOKED_AT,
        turn=(plan.windows[-1].end - EPOCH) // policy.interval,
    )
    since = heard_since(swept.ghosts, ledger.ghosts, now)
    suspects = wanted(ledger.memory, crashes, policy.rules, explained.diagnoses, throughs)
    return Seen(
        now=now,
        policy=policy,
        ledger=ledger,
        plan=plan,
        observation=observation,
        explained=explained,
        silences=(*planned(policy), *await SilenceStore(api, monitor).read(plan.windows[0].end)),
        beside=await read_failures(
            api, Window(first, plan.windows[-1].end), ledger.own_deployments
        ),
        completed=await latest_completions(api, asked),
        held_slots=await held_slots(api, policy) if crashes else (),
        unclaimed=await unclaimed_slots(api, policy, crashes),
        ended=await runs_ended(api, suspects)
        | await shares_of(api, asked_for_shares(crashes, policy.rules, throughs)),
        ghosts=found(
            swept.ghosts,
            ledger.ghosts,
            heard=await last_heard(api, since, now - HEARTBEAT) if since else None,
            through=throughs[-1],
            now=now,
        ),
        not_judged=(*not_looked_at(suspects), *swept.remarks),
    )
