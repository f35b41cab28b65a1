"""One monitoring cycle: observe, explain, count, judge, tell.

Whatever stops a cycle before the ledger is written, the next one does it again, from the same
history. With the ledger its events are written down, before they are sent: what stops a cycle
after that, the next one sends, under the same ids. So nothing is counted or told twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from prefect_crash_monitor.config.policy import Policy
from prefect_crash_monitor.config.read_policy import Settings
from prefect_crash_monitor.count.corrections import found_late
from prefect_crash_monitor.count.count import count
from prefect_crash_monitor.count.schedule import due
from prefect_crash_monitor.cycle.decide import count_due, judge_due, knowledge, remembered
from prefect_crash_monitor.cycle.log_decisions import log_decisions
from prefect_crash_monitor.cycle.notices import remarks
from prefect_crash_monitor.cycle.read_snapshot import see
from prefect_crash_monitor.cycle.result import Result
from prefect_crash_monitor.cycle.snapshot import Seen
from prefect_crash_monitor.evaluate.evaluate import Judgement
from prefect_crash_monitor.ghosts.tracking import newly_sure
from prefect_crash_monitor.model.incident import Kind
from prefect_crash_monitor.model.own import Place
from prefect_crash_monitor.notify.automations.register_if_changed import (
    Registered,
    register_if_changed,
)
from prefect_crash_monitor.notify.compose import events_to_tell
from prefect_crash_monitor.notify.delivery.confirm import told_now
from prefect_crash_monitor.notify.delivery.read_reports import watch
from prefect_crash_monitor.notify.routing import shares
from prefect_crash_monitor.observe.read_crashes import observe
from prefect_crash_monitor.observe.read_own_deployments import still_own
from prefect_crash_monitor.prefect_api.client import Api
from prefect_crash_monitor.prefect_api.run_parts import Parts
from prefect_crash_monitor.publish.events import OutgoingEvent
from prefect_crash_monitor.publish.send_events import send, send_undelivered
from prefect_crash_monitor.publish.send_metric import add_crashes
from prefect_crash_monitor.publish.write_artifacts import prune_artifacts, publish_artifacts
from prefect_crash_monitor.remediate.action import remember
from prefect_crash_monitor.remediate.execute_actions import Actor
from prefect_crash_monitor.remediate.free_own_slots import free_stranded
from prefect_crash_monitor.remediate.plan import plan_acts
from prefect_crash_monitor.report.crash_table import crash_rows
from prefect_crash_monitor.report.report import Report, headline, render_report
from prefect_crash_monitor.state.ledger import Ledger
from prefect_crash_monitor.state.ledger_store import LedgerStore
from prefect_crash_monitor.state.outbox import to_be_told, unsent


async def run_cycle(api: Api, settings: Settings, place: Place, now: datetime) -> Result:
    """Counts every interval that is due, once, and tells what there is to tell.

    Raises:
        ApiTrouble: the ledger or the crashes cannot be read, or the ledger not be written; nothing
            is lost, the next cycle does this one's work. What else fails becomes a notice.
        UnsuitableBlock: a receiver cannot be used; counted and remembered all the same.
    """
    policy, store, parts = settings.policy, LedgerStore(api, settings.name), Parts()
    ledger = await _own(api, await store.read(now), place, parts)
    plan = due(ledger.watermark, now, policy)
    again = await parts.take(
        "Events of earlier cycles could not be sent again, the next cycle tries",
        send_undelivered(api, ledger.outbox),
        None,
    )
    if not plan.windows:
        return await _already_counted(api, ledger, settings, parts, now)
    actor = Actor(
        api=api,
        monitor=settings.name,
        rules=policy.actions,
        own_deployments=ledger.own_deployments,
        now=now,
    )
    ledger = await _caught_up(api, ledger, actor, policy, place, parts)

    seen = await see(api, ledger, plan, settings, parts, now)
    registered = await parts.take(
        "Automations were not registered, so new incidents may notify nobody",
        register_if_changed(api, settings.lasting, settings.name, ledger.registered),
        Registered(digest=""),
    )
    still_unsent, given_up = unsent(ledger.outbox, again, now)
    result = _decided(
        seen, (*settings.notices, *ledger.notices, *registered.notices, *given_up), parts
    )
    events = events_to_tell(
        result.records,
        result.judgement.transitions,
        shares(settings.lasting),
        ghosts=[one.ghost for one in newly_sure(seen.ghosts, ledger.ghosts)],
        digest_above=policy.digest_above,
        monitor=settings.name,
        ui_url=place.ui_url,
        now=now,
    )
    told = told_now([e.body() for e in events], settings.lasting, monitor=settings.name, now=now)
    after = to_be_told(_after(seen, result, registered), events, told, still_unsent, now)
    await _show(api, seen, result, after, settings.name, place, parts)
    # What is decided is remembered before it is told: a cycle killed in between is not decided
    # again, perhaps otherwise, and the next one sends what is missing.
    await store.write(after)
    add_crashes([*seen.new, *found_late(seen.crashes, ledger.counted, result.records)])
    return await _tell(api, result, events, actor, registered, parts)


def _decided(seen: Seen, notices: Sequence[str], parts: Parts) -> Result:
    """What there is to record, to notify and to do, from what was seen."""
    records, corrected = count_due(seen)
    judgement = judge_due(seen)
    planned = plan_acts(knowledge(seen, judgement.open))
    log_decisions(records, judgement.transitions, planned)
    return Result(
        record=records[-1],
        records=records,
        judgement=judgement,
        plan=planned,
        notices=(*notices, *remarks(seen), *corrected, *parts.reasons),
    )


def _after(seen: Seen, result: Result, registered: Registered) -> Ledger:
    """The ledger as it is after the decisions, without what is to be sent."""
    after = remembered(seen, result.records, result.judgement, registered.digest)
    after = replace(after, acts=remember(seen.ledger.acts, result.plan.acts))
    return _with_own_deployment(after, registered.triage_deployment)


async def _caught_up(
    api: Api, ledger: Ledger, actor: Actor, policy: Policy, place: Place, parts: Parts
) -> Ledger:
    """The ledger after what earlier cycles left open: stranded runs, notifications, actions."""
    await parts.take(
        "Stranded runs of the monitor were not looked for",
        free_stranded(api, place, ledger.own_deployments, policy, actor.now),
        0,
    )
    deliveries = await parts.take(
        "Whether notifications arrived was not looked up",
        watch(api, ledger.deliveries, actor.now),
        ledger.deliveries,
    )
    settled = await parts.take(
        "Actions of earlier cycles were not completed, the next cycle tries",
        actor.settle(ledger.acts),
        ledger.acts,
    )
    return replace(ledger, deliveries=deliveries, acts=settled)


async def _tell(
    api: Api,
    result: Result,
    events: Sequence[OutgoingEvent],
    actor: Actor,
    registered: Registered,
    parts: Parts,
) -> Result:
    """What comes after the decisions are remembered; the next cycle does what fails here.

    Raises:
        UnsuitableBlock: a receiver cannot be used.
    """
    await parts.take("Events were not sent, the next cycle sends them", send(api, events), None)
    done = await parts.take(
        "Actions were not completed, the next cycle tries",
        actor.settle(result.plan.acts),
        result.plan.acts,
    )
    if registered.error is not None:
        raise registered.error
    later = (reason for reason in parts.reasons if reason not in result.notices)
    return replace(result, acts=done, notices=(*result.notices, *later))


async def _already_counted(
    api: Api, ledger: Ledger, settings: Settings, parts: Parts, now: datetime
) -> Result:
    """The latest interval once more: this cycle came too early or twice."""
    last = ledger.counted[-1].window
    observation = await observe(api, last, now=now, settle=settings.policy.settle)
    record = count(observation, last, counted_at=now, own_deployments=ledger.own_deployments)
    notice = f"Nothing was due: all up to {last.end.isoformat()} is counted already."
    return Result(
        record=record,
        judgement=Judgement(incidents=ledger.incidents),
        notices=(*settings.notices, *ledger.notices, notice, *parts.reasons),
    )


async def _show(
    api: Api,
    seen: Seen,
    result: Result,
    after: Ledger,
    monitor: str,
    place: Place,
    parts: Parts,
) -> None:
    """Publishes the report and the table of crashes; removes old ones."""
    report = _report(seen, result, after, monitor, place)
    rows = crash_rows(
        report.crashes, report.outcomes, report.diagnoses, limit=seen.policy.rows_shown
    )
    await parts.take(
        "The report was not published",
        publish_artifacts(
            api,
            monitor,
            report=render_report(report),
            headline=headline(report),
            rows=rows,
            flow_run_id=place.flow_run_id,
        ),
        None,
    )
    await parts.take(
        "Old reports were not removed",
        prune_artifacts(api, monitor, keep=seen.policy.reports_kept),
        None,
    )


def _report(seen: Seen, result: Result, after: Ledger, monitor: str, place: Place) -> Report:
    """What the report says; its crashes are those of the intervals counted now."""
    counted = [record.window for record in result.records]
    resolved = (t.incident for t in result.judgement.transitions if t.kind is Kind.RESOLVED)
    return Report(
        monitor=monitor,
        as_of=seen.now,
        records=result.records,
        crashes=tuple(c for c in seen.crashes if any(c.at in window for window in counted)),
        own_crashes=seen.own_crashes,
        outcomes=seen.observation.outcomes,
        diagnoses=seen.explained.diagnoses,
        series=tuple((c.window, c.crashed, c.complete) for c in after.counted),
        open_incidents=result.judgement.open,
        resolved=tuple(resolved),
        deliveries=after.deliveries,
        acts=after.acts,
        not_done=result.plan.left,
        notices=result.notices,
        beside=seen.beside,
        ghosts=seen.ghosts,
        ui_url=place.ui_url,
    )


async def _own(api: Api, ledger: Ledger, place: Place, parts: Parts) -> Ledger:
    """The ledger with the deployments that are ours now, this run's among them."""
    own = await parts.take(
        "Which deployments are the monitor's own was not read, they are those of the last cycle",
        still_own(api, ledger.own_deployments, place),
        ledger.own_deployments,
    )
    return _with_own_deployment(replace(ledger, own_deployments=own), place.deployment_id)


def _with_own_deployment(ledger: Ledger, deployment: str | None) -> Ledger:
    """The ledger with a deployment among our own: the one of this cycle, or of triages."""
    if not deployment or deployment in ledger.own_deployments:
        return ledger
    return replace(ledger, own_deployments=(*ledger.own_deployments, deployment))
