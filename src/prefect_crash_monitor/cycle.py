"""One monitoring cycle: observe, explain, count, judge, tell.

Whatever stops a cycle before the ledger is written, the next one does it again, from the same
history. With the ledger its events are written down, before they are sent: what stops a cycle
after that, the next one sends, under the same ids. So nothing is counted or told twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from prefect_crash_monitor import acts, metric
from prefect_crash_monitor.act import Act, acts_json, remember
from prefect_crash_monitor.acting import Actor
from prefect_crash_monitor.api import Api
from prefect_crash_monitor.confirmation import told_now
from prefect_crash_monitor.count import count, record_json
from prefect_crash_monitor.deciding import count_due, judge_due, remembered
from prefect_crash_monitor.delivery import entered
from prefect_crash_monitor.diagnose import Explained
from prefect_crash_monitor.events import OutgoingEvent, incident_json
from prefect_crash_monitor.ghosts.found import newly_sure
from prefect_crash_monitor.judge import Judgement
from prefect_crash_monitor.ledger import Ledger
from prefect_crash_monitor.model import IntervalRecord, Kind
from prefect_crash_monitor.observe import observe
from prefect_crash_monitor.own_runs import Place, free_stranded
from prefect_crash_monitor.publish import (
    prune_artifacts,
    publish_artifacts,
    send,
    send_undelivered,
)
from prefect_crash_monitor.reading import moment
from prefect_crash_monitor.registering import register_if_changed
from prefect_crash_monitor.render.report import Report, headline, render_report
from prefect_crash_monitor.render.table import crash_rows
from prefect_crash_monitor.routing import shares
from prefect_crash_monitor.seeing import see
from prefect_crash_monitor.seen import Seen
from prefect_crash_monitor.settings import Settings
from prefect_crash_monitor.silences import Silence, silenced
from prefect_crash_monitor.store import LedgerStore
from prefect_crash_monitor.telling import events_to_tell
from prefect_crash_monitor.watching import watch
from prefect_crash_monitor.windows import Due, due

RESENT_FOR = timedelta(hours=1)
"""How long an event is sent again that Prefect does not keep: a server that restarts again and
again loses more than once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a cycle did."""

    record: IntervalRecord
    """Of the latest interval."""
    records: tuple[IntervalRecord, ...] = ()
    """All intervals counted now, oldest first, with corrections; empty where none was due."""
    judgement: Judgement
    plan: acts.Plan = field(default_factory=acts.Plan)
    """What was decided to be done."""
    acts: tuple[Act, ...] = ()
    """What came of it."""
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
            "acts": acts_json(self.acts),
            "notices": list(self.notices),
        }


async def run_cycle(api: Api, settings: Settings, place: Place, now: datetime) -> Result:
    """Counts every interval that is due, once, and tells what there is to tell.

    Raises:
        ApiTrouble: nothing is lost, the next cycle does this one's work.
        UnsuitableBlock: a receiver cannot be used; counted and remembered all the same.
    """
    policy, store = settings.policy, LedgerStore(api, settings.name)
    ledger = _with_own_deployment(await store.read(now), place.deployment_id)
    plan = due(ledger.watermark, now, policy)
    again = await send_undelivered(api, ledger.outbox)
    if not plan.windows:
        return await _already_counted(api, ledger, settings, now)
    await free_stranded(api, place, ledger.own_deployments, policy, now)
    ledger = replace(ledger, deliveries=await watch(api, ledger.deliveries, now))
    actor = Actor(
        api=api,
        monitor=settings.name,
        rules=policy.actions,
        own_deployments=ledger.own_deployments,
        now=now,
    )
    ledger = replace(ledger, acts=await actor.settle(ledger.acts))

    seen = await see(api, ledger, plan, policy, settings.name, now)
    records, corrected = count_due(seen)
    judgement = judge_due(seen)
    registered = await register_if_changed(api, settings.lasting, settings.name, ledger.registered)
    notices = (*settings.notices, *registered.notices, *_remarks(seen), *corrected)
    planned = acts.plan_acts(acts.knowledge(seen, judgement.open))
    result = Result(
        record=records[-1], records=records, judgement=judgement, plan=planned, notices=notices
    )
    after = remembered(seen, result.records, result.judgement, registered.digest)
    after = _with_own_deployment(after, registered.triage_deployment)
    events = events_to_tell(
        records,
        judgement.transitions,
        shares(settings.lasting),
        ghosts=[one.ghost for one in newly_sure(seen.ghosts, ledger.ghosts)],
        digest_above=policy.digest_above,
        monitor=settings.name,
        ui_url=place.ui_url,
        now=now,
    )
    after = replace(after, acts=remember(ledger.acts, planned.acts))
    await _publish(api, seen, result, after, settings.name, place)
    # What is decided is remembered before it is told: a cycle killed in between is not decided
    # again, perhaps otherwise, and the next one sends what is missing.
    await store.write(_to_be_told(after, events, again, settings, now))
    await send(api, events)
    result = replace(result, acts=await actor.settle(planned.acts))
    metric.add_crashes(seen.new)
    if registered.error is not None:
        raise registered.error
    return result


async def _already_counted(api: Api, ledger: Ledger, settings: Settings, now: datetime) -> Result:
    """The latest interval once more: this cycle came too early or twice."""
    last = ledger.counted[-1].window
    observation = await observe(api, last, now=now, settle=settings.policy.settle)
    record = count(observation, last, counted_at=now, own_deployments=ledger.own_deployments)
    notice = f"Nothing was due: all up to {last.end.isoformat()} is counted already."
    return Result(
        record=record,
        judgement=Judgement(incidents=ledger.incidents),
        notices=(*settings.notices, notice),
    )


def _to_be_told(
    ledger: Ledger,
    events: Sequence[OutgoingEvent],
    again: Sequence[Mapping[str, Any]],
    settings: Settings,
    now: datetime,
) -> Ledger:
    """The ledger with its outbox, and with the notifications that the next cycles look for.

    What was sent `again` by this cycle is looked for once more, for an hour.
    """
    new = tuple(event.body() for event in events)
    late = (event for event in again if now - moment(event["occurred"]) < RESENT_FOR)
    told = told_now(new, settings.lasting, monitor=settings.name, now=now)
    still_open = {f"{i.id}.{i.episode}" for i in ledger.incidents if i.is_open}
    deliveries = entered(ledger.deliveries, told, open_incidents=still_open, now=now)
    return replace(ledger, outbox=(*late, *new), deliveries=deliveries)


async def _publish(
    api: Api, seen: Seen, result: Result, after: Ledger, monitor: str, place: Place
) -> None:
    report = _report(seen, result, after, monitor, place)
    await publish_artifacts(
        api,
        monitor,
        report=render_report(report),
        headline=headline(report),
        rows=crash_rows(
            report.crashes, report.outcomes, report.diagnoses, limit=seen.policy.rows_shown
        ),
        flow_run_id=place.flow_run_id,
    )
    await prune_artifacts(api, monitor, keep=seen.policy.reports_kept)


def _report(seen: Seen, result: Result, after: Ledger, monitor: str, place: Place) -> Report:
    """What the report says; its crashes are those of the intervals counted now."""
    counted = [record.window for record in result.records]
    resolved = (t.incident for t in result.judgement.transitions if t.kind is Kind.RESOLVED)
    return Report(
        monitor=monitor,
        as_of=seen.now,
        records=result.records,
        crashes=tuple(c for c in seen.crashes if any(c.at in window for window in counted)),
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


def _remarks(seen: Seen) -> tuple[str, ...]:
    """What a reader must know of this cycle's view: what was left out, sampled, silenced."""
    return (
        *_left_out(seen.plan),
        *_sampled(seen.explained),
        *seen.not_judged,
        *(slots.in_words for slots in seen.unclaimed),
        *(_silence_in_words(silence, seen) for silence in seen.in_force(seen.end)),
    )


def _silence_in_words(silence: Silence, seen: Seen) -> str:
    matched = silenced(seen.new, seen.explained.diagnoses, [silence])
    what = ", ".join(f"{field} {pattern}" for field, pattern in silence.matcher.items())
    author = f" ({silence.author})" if silence.author else ""
    return (
        f"Silenced until {silence.until.isoformat()}: {what}; {silence.reason}{author}. "
        f"{len(matched)} of the crashes counted now; they are counted, but open no incident."
    )


def _sampled(explained: Explained) -> tuple[str, ...]:
    if explained.looked_at >= explained.unclear:
        return ()
    notice = (
        f"Of {explained.unclear} crashes whose message tells no cause {explained.looked_at} were "
        "looked at; the others are given the cause of those like them, where that is one."
    )
    return (notice,)


def _left_out(plan: Due) -> tuple[str, ...]:
    if plan.left_out is None:
        return ()
    start, end = plan.left_out.start.isoformat(), plan.left_out.end.isoformat()
    notice = (
        f"Not counted, because the monitor was away for longer than catch_up: {start} to {end}. "
        f"`crash-monitor count --since {start} --until {end}` tells what can still be seen of it."
    )
    return (notice,)


def _with_own_deployment(ledger: Ledger, deployment: str | None) -> Ledger:
    """The ledger with a deployment among our own: the one of this cycle, or of triages."""
    if not deployment or deployment in ledger.own_deployments:
        return ledger
    return replace(ledger, own_deployments=(*ledger.own_deployments, deployment))
