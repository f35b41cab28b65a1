"""Counts past intervals that were never counted, as cycles would have; incidents are not made of
them: what is long over wakes nobody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from prefect_crash_monitor.config.read_policy import Settings
from prefect_crash_monitor.count.count import count
from prefect_crash_monitor.count.gaps import to_count
from prefect_crash_monitor.explain.read_evidence import explain_crashes
from prefect_crash_monitor.model.interval import EPOCH, TICK, Window, aligned, moment
from prefect_crash_monitor.model.interval_record import IntervalRecord
from prefect_crash_monitor.model.own import is_own
from prefect_crash_monitor.observe.read_crashes import observe
from prefect_crash_monitor.observe.read_event_pages import read_events
from prefect_crash_monitor.observe.read_own_deployments import own_deployments_of
from prefect_crash_monitor.prefect_api.answers import whole_answer
from prefect_crash_monitor.prefect_api.client import Api
from prefect_crash_monitor.publish.events import INTERVAL_COUNTED, interval_event, monitor_resource
from prefect_crash_monitor.publish.send_events import send
from prefect_crash_monitor.state.ledger_store import LedgerStore

Progress = Callable[[int, int], None]
"""Is told how many intervals are counted, of how many."""


async def backfill(
    api: Api, settings: Settings, since: datetime, now: datetime, progress: Progress
) -> list[IntervalRecord]:
    """The records of the intervals since then that no cycle and no backfill counted, oldest first.

    Each is published as its event before more is read, under the same id as a cycle's: what is
    killed or fails is taken up where it ended, and nothing is counted twice.

    Raises:
        BadInput: a time in the future or too long ago.
        ApiTrouble: what was counted until then is kept.
    """
    policy = settings.policy
    ledger = await LedgerStore(api, settings.name).read(now)
    end = ledger.watermark or aligned(now - policy.settle, policy.interval)
    counted = {one.window for one in ledger.counted}
    if since < end:
        counted |= await _told(api, settings.name, Window(since, now))
    parts = to_count(since, end, counted, policy.interval)
    total = sum(map(len, parts))
    records: list[IntervalRecord] = []
    progress(0, total)
    for part in parts:
        new = await _counted(api, part, settings, ledger.own_deployments, now)
        # At the time of the interval, so that a lost ledger is rebuilt from the latest ones.
        monitor = settings.name
        await send(api, [interval_event(r, monitor=monitor, now=r.window.end) for r in new])
        records += new
        progress(len(records), total)
    return records


async def _counted(
    api: Api,
    windows: Sequence[Window],
    settings: Settings,
    own_deployments: Sequence[str],
    now: datetime,
) -> list[IntervalRecord]:
    span = Window(windows[0].start, windows[-1].end)
    observation = await observe(api, span, now=now, settle=settings.policy.settle)
    own = {*own_deployments, *await own_deployments_of(api, observation.crashes)}
    crashes = [crash for crash in observation.crashes if not is_own(crash, own)]
    explained = await explain_crashes(api, crashes, {}, settled_before=EPOCH)
    return [
        count(
            observation,
            window,
            counted_at=now,
            own_deployments=own,
            diagnoses=explained.diagnoses,
        )
        for window in windows
    ]


async def _told(api: Api, monitor: str, span: Window) -> set[Window]:
    """The intervals of which the monitor's events tell."""

    def own(part: Window) -> dict[str, object]:
        return {
            "event": {"name": [INTERVAL_COUNTED]},
            "resource": {"id": [monitor_resource(monitor)]},
            "occurred": {
                "since": part.start.isoformat(),
                "until": (part.end - TICK).isoformat(),
            },
            "order": "ASC",
        }

    reading = await read_events(api, span, own)
    with whole_answer("the monitor's own events"):
        return {
            Window(moment(event["payload"]["since"]), moment(event["payload"]["until"]))
            for event in reading.events.values()
        }
