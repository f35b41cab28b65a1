"""Reads what a cycle needs to know before it decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from prefect_crash_monitor.config.policy import Policy
from prefect_crash_monitor.config.read_policy import Settings
from prefect_crash_monitor.count.schedule import Due
from prefect_crash_monitor.cycle.snapshot import Seen, judged_through, span_to_read
from prefect_crash_monitor.evaluate.min_share import asked as asked_for_shares
from prefect_crash_monitor.evaluate.rate.candidates import not_looked_at, wanted
from prefect_crash_monitor.evaluate.read_finished_runs import runs_ended, shares_of
from prefect_crash_monitor.evaluate.read_last_success import latest_completions
from prefect_crash_monitor.evaluate.rule_state import questions
from prefect_crash_monitor.evaluate.silences import planned
from prefect_crash_monitor.explain.evidence.evidence import HEARTBEAT
from prefect_crash_monitor.explain.failed_runs import Beside
from prefect_crash_monitor.explain.read_evidence import explain_crashes, explain_unread
from prefect_crash_monitor.explain.read_failed_runs import read_failures
from prefect_crash_monitor.explain.sampling import Explained
from prefect_crash_monitor.ghosts.read_ghosts import sweep
from prefect_crash_monitor.ghosts.read_last_event import last_heard
from prefect_crash_monitor.ghosts.tracking import Found, found, heard_since
from prefect_crash_monitor.model.crash import Crash
from prefect_crash_monitor.model.interval import EPOCH, Window
from prefect_crash_monitor.model.own import is_own
from prefect_crash_monitor.observe.read_crashes import observe
from prefect_crash_monitor.observe.read_recoveries import date_recoveries
from prefect_crash_monitor.prefect_api.client import Api
from prefect_crash_monitor.prefect_api.run_parts import Parts
from prefect_crash_monitor.remediate.read_slots import held_slots, unclaimed_slots
from prefect_crash_monitor.state.ledger import Ledger
from prefect_crash_monitor.state.silence_store import SilenceStore

GHOSTS_LOOKED_AT = 100
"""Suspects looked at in one cycle, at five requests each; those that are ghosts are remembered, so
that a server with thousands of them is known after some cycles."""


async def see(
    api: Api, ledger: Ledger, plan: Due, settings: Settings, parts: Parts, now: datetime
) -> Seen:
    """Reads the due intervals, with the history that rules and late events need, and what is alive.

    Only the crashes are required. What else cannot be read is unknown, and `parts` says why.

    Raises:
        ApiTrouble: the crashes cannot be read; nothing is lost, the next cycle does this one's
            work.
    """
    policy, whole = settings.policy, Window(plan.windows[0].start, plan.windows[-1].end)
    observation = await observe(
        api, span_to_read(ledger, plan, policy), now=now, settle=policy.settle
    )
    crashes = [c for c in observation.crashes if not is_own(c, ledger.own_deployments)]
    explained = await _explained(api, ledger, crashes, policy, parts)
    ghosts, remarks = await parts.take(
        "Ghost runs were not looked for, those known are unchanged",
        _ghosts(api, ledger, plan, policy, now),
        (ledger.ghosts, ()),
    )
    stored = await parts.take(
        "Silences were not read, those read last are in force",
        SilenceStore(api, settings.name).read(plan.windows[0].end),
        ledger.silences,
    )
    seen = Seen(
        now=now,
        policy=policy,
        ledger=ledger,
        plan=plan,
        # Without it a run that got going again within its grace may pass for one that did not.
        observation=await parts.take(
            "When crashed runs recovered was not read",
            date_recoveries(api, observation, policy.grace),
            observation,
        ),
        explained=explained,
        planned=planned(policy),
        stored=stored,
        beside=await parts.take(
            "Failed runs were not read", read_failures(api, whole, ledger.own_deployments), Beside()
        ),
        ghosts=ghosts,
        not_judged=remarks,
    )
    return await _with_slots(api, await _with_numbers(api, seen, parts), parts)


async def _explained(
    api: Api, ledger: Ledger, crashes: Sequence[Crash], policy: Policy, parts: Parts
) -> Explained:
    """Why the runs crashed, by their logs and events, or by their messages alone."""
    judged = (ledger.watermark or EPOCH) - policy.grace
    explained = await parts.take(
        "Logs and events of crashed runs were not read, causes come from messages alone",
        explain_crashes(api, crashes, ledger.diagnoses, settled_before=judged),
        None,
    )
    return explained or explain_unread(crashes, ledger.diagnoses, settled_before=judged)


async def _with_numbers(api: Api, seen: Seen, parts: Parts) -> Seen:
    """With what rules ask of the runs that did not crash; what is unknown is left out."""
    ledger, rules, diagnoses = seen.ledger, seen.policy.rules, seen.explained.diagnoses
    crashes, throughs = seen.crashes, judged_through(seen.plan, seen.policy)
    asked = questions(ledger.memory, crashes, rules, diagnoses, ledger.incidents)
    suspects = wanted(ledger.memory, crashes, rules, diagnoses, throughs)
    completed = await parts.take(
        "Completed runs were not read, so streaks of crashes are undecided",
        latest_completions(api, asked),
        {},
    )
    rates = await parts.take(
        "Ended runs were not counted, so crash rates are undecided", runs_ended(api, suspects), {}
    )
    shares = await parts.take(
        "Ended runs were not counted, so rules fire however small the share of crashes is",
        shares_of(api, asked_for_shares(crashes, rules, throughs)),
        {},
    )
    return replace(
        seen,
        completed=completed,
        ended=rates | shares,
        not_judged=(*not_looked_at(suspects), *seen.not_judged),
    )


async def _with_slots(api: Api, seen: Seen, parts: Parts) -> Seen:
    """With the concurrency slots that crashed runs may have left taken."""
    if not seen.crashes:
        return seen
    held = await parts.take(
        "Slots of tag limits were not read, none is freed", held_slots(api, seen.policy), ()
    )
    unclaimed = await parts.take(
        "Slots of deployments were not compared with their runs",
        unclaimed_slots(api, seen.policy, seen.crashes),
        (),
    )
    return replace(seen, held_slots=held, unclaimed=unclaimed)


async def _ghosts(
    api: Api, ledger: Ledger, plan: Due, policy: Policy, now: datetime
) -> tuple[tuple[Found, ...], tuple[str, ...]]:
    """The ghosts known after looking for them, and what a reader must know of the look."""
    swept = await sweep(
        api,
        now,
        known=[one.ghost for one in ledger.ghosts],
        own_deployments=ledger.own_deployments,
        most=GHOSTS_LOOKED_AT,
        turn=(plan.windows[-1].end - EPOCH) // policy.interval,
    )
    since = heard_since(swept.ghosts, ledger.ghosts, now)
    after = found(
        swept.ghosts,
        ledger.ghosts,
        heard=await last_heard(api, since, now - HEARTBEAT) if since else None,
        through=judged_through(plan, policy)[-1],
        now=now,
    )
    return after, swept.remarks
