"""One monitoring cycle: observe, count, judge, tell; then remember.

The ledger is written last. Whatever stops a cycle before that, the next one does it again: its
decisions come from the same history, and its events carry the same ids, so nothing is counted or
told twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from prefect_crash_monitor import metric
from prefect_crash_monitor.api import Api
from prefect_crash_monitor.corrections import correctable, corrections, in_words
from prefect_crash_monitor.count import count, is_own, record_json
from prefect_crash_monitor.events import incident_event, incident_json, interval_event
from prefect_crash_monitor.judge import Judgement, as_it_is_now, judge, remind
from prefect_crash_monitor.ledger import Ledger, enter
from prefect_crash_monitor.model import (
    Crash,
    Incident,
    IntervalRecord,
    Kind,
    Observation,
    Transition,
    Window,
)
from prefect_crash_monitor.observe import observe
from prefect_crash_monitor.own_runs import Place, free_stranded
from prefect_crash_monitor.policy import Policy
from prefect_crash_monitor.publish import (
    prune_artifacts,
    publish_artifacts,
    send,
    send_undelivered,
)
from prefect_crash_monitor.recoveries import date_recoveries
from prefect_crash_monitor.registering import register_if_changed
from prefect_crash_monitor.render.notification import notification
from prefect_crash_monitor.render.report import Report, headline, render_report
from prefect_crash_monitor.render.table import crash_rows
from prefect_crash_monitor.settings import Settings
from prefect_crash_monitor.store import LedgerStore
from prefect_crash_monitor.windows import Due, due


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a cycle did."""

    record: IntervalRecord
    """Of the latest interval."""
    records: tuple[IntervalRecord, ...] = ()
    """All intervals counted now, oldest first, with corrections; empty where none was due."""
    judgement: Judgement
    notices: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The interval record, and what else the cycle has to say."""
        return record_json(self.record) | {
            "state_ids": list(self.record.state_ids),
            "counted": [record_json(record) for record in self.records],
            "transitions": [
                {"incident": f"{t.incident.id}.{t.incident.episode}", "kind": str(t.kind)}
                for t in self.judgement.transitions
            ],
            "incidents": [incident_json(incident) for incident in self.judgement.open],
            "notices": list(self.notices),
        }


async def run_cycle(api: Api, settings: Settings, place: Place, now: datetime) -> Result:
    """Counts every interval that is due, once, and tells what there is to tell.

    Raises:
        ApiTrouble: nothing is lost, the next cycle does this one's work.
        UnsuitableBlock: a receiver cannot be used; counted and remembered all the same.
    """
    store = LedgerStore(api, settings.name)
    ledger = _with_own_deployment(await store.read(now), place)
    plan = due(ledger.watermark, now, settings.policy)
    if not plan.windows:
        return await _already_counted(api, ledger, settings, now)
    await free_stranded(api, place, settings.policy, now)
    await send_undelivered(api, ledger.outbox)

    observation = await _observe(api, ledger, plan, settings.policy, now)
    records, corrected = _count(observation, ledger, plan, settings.policy, now)
    judgement = _judge(observation, ledger, plan, settings.policy)
    registered = await register_if_changed(api, settings.policy, settings.name, ledger.registered)
    result = Result(
        record=records[-1],
        records=records,
        judgement=judgement,
        notices=(*settings.notices, *registered.notices, *_left_out(plan), *corrected),
    )
    ledger = replace(ledger, incidents=judgement.incidents, registered=registered.digest)
    ledger = enter(ledger, records, horizon=_horizon(plan, settings.policy), now=now)
    outbox = await _tell(api, result, observation, ledger, settings, place)
    await store.write(replace(ledger, outbox=outbox))
    metric.add_crashes(_new(observation, plan, ledger.own_deployments))
    if registered.error is not None:
        raise registered.error
    return result


async def _already_counted(api: Api, ledger: Ledger, settings: Settings, now: datetime) -> Result:
    """The latest interval once more, reads only: this cycle came too early or twice."""
    last = ledger.counted[-1].window
    observation = await observe(api, last, now=now, settle=settings.policy.settle)
    record = count(observation, last, counted_at=now, own_deployments=ledger.own_deployments)
    notice = f"Nothing was due: all up to {last.end.isoformat()} is counted already."
    return Result(
        record=record,
        judgement=Judgement(incidents=ledger.incidents),
        notices=(*settings.notices, notice),
    )


async def _observe(
    api: Api, ledger: Ledger, plan: Due, policy: Policy, now: datetime
) -> Observation:
    """The intervals that are due, with the history that rules and late events need."""
    first, end = plan.windows[0].start, plan.windows[-1].end
    horizon = [counted.window.start for counted in correctable(ledger, _horizon(plan, policy))]
    history = min([first - policy.lookback, *horizon])
    observation = await observe(api, Window(history, end), now=now, settle=policy.settle)
    return await date_recoveries(api, observation, policy.grace)


def _count(
    observation: Observation, ledger: Ledger, plan: Due, policy: Policy, now: datetime
) -> tuple[tuple[IntervalRecord, ...], tuple[str, ...]]:
    """The records of what is due, after corrected earlier ones; and the corrections in words."""

    def recount(window: Window) -> IntervalRecord:
        return count(observation, window, counted_at=now, own_deployments=ledger.own_deployments)

    earlier = correctable(ledger, _horizon(plan, policy))
    revised = corrections(earlier, recount)
    before = {counted.window: counted for counted in earlier}
    words = tuple(in_words(record, before[record.window]) for record in revised)
    return (*revised, *(recount(window) for window in plan.windows)), words


def _judge(observation: Observation, ledger: Ledger, plan: Due, policy: Policy) -> Judgement:
    """The judgement at the end of each interval, in order, and the reminders at the last."""
    crashes = [c for c in observation.crashes if not is_own(c, ledger.own_deployments)]
    incidents: Sequence[Incident] = ledger.incidents
    transitions: list[Transition] = []
    for window in plan.windows:
        since = window.start - policy.lookback
        recent = [crash for crash in crashes if since <= crash.at < window.end]
        judgement = judge(recent, observation.outcomes, incidents, policy, window.end)
        incidents = judgement.incidents
        transitions += judgement.transitions
    told = as_it_is_now(transitions, incidents)
    judged = Judgement(incidents=tuple(incidents), transitions=told)
    return remind(judged, policy, plan.windows[-1].end)


async def _tell(
    api: Api,
    result: Result,
    observation: Observation,
    ledger: Ledger,
    settings: Settings,
    place: Place,
) -> tuple[Mapping[str, Any], ...]:
    """Publishes events and artifacts; returns the events, to be looked for by the next cycle."""
    monitor, now = settings.name, result.record.counted_at
    events = [interval_event(record, monitor=monitor, now=now) for record in result.records]
    for transition in result.judgement.transitions:
        text = notification(transition, ui_url=place.ui_url, monitor=monitor)
        events.append(incident_event(transition, text, monitor=monitor, now=now))
    await send(api, events)
    counted = [window for record in result.records for window in [record.window]]
    crashes = tuple(c for c in observation.crashes if any(c.at in w for w in counted))
    report = Report(
        monitor=monitor,
        as_of=now,
        records=result.records,
        crashes=crashes,
        outcomes=observation.outcomes,
        series=tuple((c.window, c.crashed, c.complete) for c in ledger.counted),
        open_incidents=result.judgement.open,
        resolved=tuple(t.incident for t in result.judgement.transitions if t.kind is Kind.RESOLVED),
        notices=result.notices,
        ui_url=place.ui_url,
    )
    await publish_artifacts(
        api,
        report=render_report(report),
        headline=headline(report),
        rows=crash_rows(crashes, observation.outcomes, limit=settings.policy.rows_shown),
        flow_run_id=place.flow_run_id,
    )
    await prune_artifacts(api, keep=settings.policy.reports_kept)
    return tuple(event.body() for event in events)


def _new(observation: Observation, plan: Due, own_deployments: Sequence[str]) -> list[Crash]:
    """The crashes counted for the first time, without the monitor's own."""
    span = Window(plan.windows[0].start, plan.windows[-1].end)
    return [c for c in observation.crashes if c.at in span and not is_own(c, own_deployments)]


def _horizon(plan: Due, policy: Policy) -> datetime:
    """How far back late events still correct a record."""
    return plan.windows[0].start - policy.late_horizon


def _left_out(plan: Due) -> tuple[str, ...]:
    if plan.left_out is None:
        return ()
    start, end = plan.left_out.start.isoformat(), plan.left_out.end.isoformat()
    notice = (
        f"Not counted, because the monitor was away for longer than catch_up: {start} to {end}. "
        f"`crash-monitor count --since {start} --until {end}` tells what can still be seen of it."
    )
    return (notice,)


def _with_own_deployment(ledger: Ledger, place: Place) -> Ledger:
    """The ledger with the deployment in which this cycle runs among our own."""
    if place.deployment_id is None or place.deployment_id in ledger.own_deployments:
        return ledger
    return replace(ledger, own_deployments=(*ledger.own_deployments, place.deployment_id))
