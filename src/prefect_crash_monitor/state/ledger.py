"""The ledger: all that one cycle must know of the ones before it, as one bounded value.

It is only ever replaced by one with a later watermark. A cycle that was killed before it is
written leaves the old one standing and is simply done again; one that was killed after has left
its events in the outbox, for the next cycle to send.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from prefect_crash_monitor.count.counted import SERIES_KEPT, Counted, entry
from prefect_crash_monitor.errors import BadInput
from prefect_crash_monitor.evaluate import rule_state
from prefect_crash_monitor.evaluate.rule_state import Memory
from prefect_crash_monitor.evaluate.silences import Silence
from prefect_crash_monitor.explain.sampling import RUN
from prefect_crash_monitor.ghosts.tracking import Found
from prefect_crash_monitor.model import codec
from prefect_crash_monitor.model.codec import Id, Moment
from prefect_crash_monitor.model.crash import Crash, Diagnosis, mark
from prefect_crash_monitor.model.incident import Incident
from prefect_crash_monitor.model.interval_record import IntervalRecord
from prefect_crash_monitor.notify.delivery.record import Delivery
from prefect_crash_monitor.publish.events import OutgoingEvent
from prefect_crash_monitor.remediate.action import Act

VERSION = 2


SILENCES_KEPT = 200

CLOSED_KEPT = 200
CLOSED_KEPT_FOR = timedelta(days=30)
"""Closed incidents are kept for their episode number; a forgotten one starts again at 1, which
is harmless: event ids also hold the time of the opening."""


TOLD = ("title", "evidence", "remedy", "command")
"""Fields of a diagnosis that people read; kept once for each kind of crash."""

TOLD_KINDS, TOLD_LENGTH = 200, 500
"""Kinds of which they are kept, and characters of each: 400 kB at most. Of more kinds than that,
as in a storm of 10,000 different messages, the smaller ones are told by the table of causes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The state of one monitor; `monitor` is the name of its policy."""

    monitor: str
    watermark: Moment | None = None
    """End of the last interval counted; None before the first."""
    counted: tuple[Counted, ...] = ()
    """Oldest first, at most `SERIES_KEPT`."""
    incidents: tuple[Incident, ...] = ()
    diagnoses: Mapping[str, Diagnosis] = field(default_factory=dict)
    """Why recent crashes happened, by mark: each is explained once, and told cycles later."""
    outbox: tuple[Mapping[str, Any], ...] = ()
    """Events sent by the last cycle, whole, until they are seen in Prefect."""
    memory: Memory = field(default_factory=Memory)
    """What rules remember beyond the crashes read again."""
    deliveries: tuple[Delivery, ...] = ()
    """What was told lately, and what became of its notification; bounded."""
    ghosts: tuple[Found, ...] = ()
    """Runs that ended without saying so, as of the last cycle."""
    silences: tuple[Silence, ...] = ()
    """Those that people added, for a cycle that cannot read them; bounded."""
    registered: str = ""
    """Digest of the policy for which the automations were last registered."""
    own_deployments: tuple[str, ...] = ()
    acts: tuple[Act, ...] = ()
    """What the monitor did, would have done in a dry run, or was about to do; oldest first."""
    notices: tuple[str, ...] = field(default=(), compare=False)
    """What a reader must know of how it was read; not stored."""


LISTS: Mapping[str, Any] = {
    "counted": Counted,
    "incidents": Incident,
    "deliveries": Delivery,
    "ghosts": Found,
    "acts": Act,
    "silences": Silence,
    "own_deployments": Id,
}
"""The fields that are lists of values of a kind."""

DAMAGED = "Parts of the ledger on the server are damaged and were left out"


def enter(
    ledger: Ledger, records: Sequence[IntervalRecord], *, horizon: datetime, now: datetime
) -> Ledger:
    """The ledger with these records in it: new intervals added, corrected ones replaced.

    Marks older than the horizon are dropped, so the space is bounded by the crashes in it.
    """
    by_window = {counted.window: counted for counted in ledger.counted}
    for record in records:
        before = by_window.get(record.window)
        by_window[record.window] = entry(record, before.marks if before else ())
    kept = sorted(by_window.values(), key=lambda counted: counted.window)[-SERIES_KEPT:]
    trimmed = (c if c.window.end > horizon else replace(c, marks=frozenset()) for c in kept)
    ends = [counted.window.end for counted in kept]
    return replace(
        ledger,
        counted=tuple(trimmed),
        watermark=max(ends, default=ledger.watermark),
        incidents=_worth_keeping(ledger.incidents, now),
    )


def remember(
    ledger: Ledger, diagnoses: Mapping[str, Diagnosis], crashes: Iterable[Crash], since: datetime
) -> Ledger:
    """The ledger with the diagnoses of the crashes that a later cycle judges again."""
    kept = {
        mark(crash.state_id): _for_any_run(diagnoses[crash.state_id], crash)
        for crash in crashes
        if crash.at >= since and crash.state_id in diagnoses
    }
    return replace(ledger, diagnoses=kept)


def _for_any_run(diagnosis: Diagnosis, crash: Crash) -> Diagnosis:
    return replace(diagnosis, command=diagnosis.command.replace(crash.flow_run_id, RUN))


def _worth_keeping(incidents: Iterable[Incident], now: datetime) -> tuple[Incident, ...]:
    incidents = list(incidents)
    open_ = [incident for incident in incidents if incident.is_open]
    closed = [i for i in incidents if i.resolved_at and now - i.resolved_at < CLOSED_KEPT_FOR]
    closed.sort(key=lambda incident: incident.resolved_at or now)
    return (*open_, *closed[-CLOSED_KEPT:])


def ledger_json(ledger: Ledger) -> dict[str, Any]:
    """The ledger as JSON."""
    return {
        "version": VERSION,
        "monitor": ledger.monitor,
        "watermark": ledger.watermark.isoformat() if ledger.watermark else None,
        **{
            name: [codec.to_json(kind, item) for item in getattr(ledger, name)]
            for name, kind in LISTS.items()
        },
        "outbox": list(ledger.outbox),
        "diagnoses": _diagnoses_json(ledger.diagnoses),
        "memory": rule_state.to_json(ledger.memory),
        "registered": ledger.registered,
    }


def ledger_of(data: Mapping[str, Any]) -> Ledger:
    """The ledger of its JSON; its notices name what of it is damaged, and left out.

    Raises:
        BadInput: when a newer version of the monitor wrote it.
        KeyError, TypeError, ValueError: when it is damaged so that nothing can be made of it; an
            older one or the monitor's own events serve.
    """
    if data["version"] > VERSION:
        raise BadInput(
            f"The ledger on the server has version {data['version']}, this monitor knows "
            f"{VERSION}: run the newer prefect-crash-monitor everywhere."
        )
    if data["version"] < VERSION:
        raise ValueError("of a version before the first release")
    damaged: dict[str, int] = {}
    lists: dict[str, Any] = {}
    for name, kind in LISTS.items():
        lists[name], damaged[name] = codec.each_of(kind, data.get(name, ()))
    sent, damaged["outbox"] = codec.each_of(OutgoingEvent, data.get("outbox", ()))
    diagnoses, damaged["diagnoses"] = _diagnoses_of(data.get("diagnoses", ()))
    try:
        remembered = rule_state.of_json(data["memory"])
    except (KeyError, TypeError, ValueError):
        remembered, damaged["memory"] = Memory(), 1
    lost = ", ".join(f"{number} of {name}" for name, number in damaged.items() if number)
    return Ledger(
        monitor=str(data["monitor"]),
        watermark=_time(data["watermark"]),
        **lists,
        outbox=tuple(event.body() for event in sent),
        diagnoses=diagnoses,
        memory=remembered,
        registered=str(data["registered"]),
        notices=(f"{DAMAGED}: {lost}.",) if lost else (),
    )


def _diagnoses_json(diagnoses: Mapping[str, Diagnosis]) -> list[dict[str, str]]:
    """One item a kind, with the marks of its crashes: 10,000 alike take 130 kB.

    What is told of a kind is that of one of its crashes, and only of the `TOLD_KINDS` largest.
    """
    kinds: dict[tuple[str, str, str], dict[str, Diagnosis]] = defaultdict(dict)
    for mark_, diagnosis in diagnoses.items():
        kinds[(diagnosis.cause, diagnosis.confidence, diagnosis.fingerprint)][mark_] = diagnosis
    largest = sorted(kinds.items(), key=lambda item: len(item[1]), reverse=True)
    return [
        {
            "cause": cause,
            "confidence": confidence,
            "fingerprint": fingerprint,
            "marks": " ".join(sorted(alike)),
            **(_told(alike.values()) if rank < TOLD_KINDS else {}),
        }
        for rank, ((cause, confidence, fingerprint), alike) in enumerate(largest)
    ]


def _told(diagnoses: Iterable[Diagnosis]) -> dict[str, str]:
    """What people are told of a kind: that of a crash with evidence before one without."""
    best = max(diagnoses, key=lambda one: (bool(one.evidence), bool(one.title), bool(one.command)))
    return {name: getattr(best, name)[:TOLD_LENGTH] for name in TOLD if getattr(best, name)}


def _diagnoses_of(items: Iterable[Any]) -> tuple[dict[str, Diagnosis], int]:
    """The diagnoses by mark, and how many kinds are damaged."""
    found: dict[str, Diagnosis] = {}
    damaged = 0
    for item in items:
        try:
            diagnosis = codec.of_json(Diagnosis, item)
            found |= dict.fromkeys(item["marks"].split(), diagnosis)
        except (AttributeError, KeyError, ValueError):
            damaged += 1
    return found, damaged


def _time(text: str | None) -> datetime | None:
    return codec.of_json(Moment, text) if text else None
