"""Evidence from what others hold: a bundle of any quality, or a crash that the monitor counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from prefect_crash_monitor.explain.evidence.attempt import attempt_of, course_of, in_attempt
from prefect_crash_monitor.explain.evidence.cluster import cluster_of
from prefect_crash_monitor.explain.evidence.evidence import Event, Evidence, Log, Names, State
from prefect_crash_monitor.explain.evidence.lenient_json import (
    BEGINNING,
    Json,
    labels,
    mapping,
    moment,
    name,
    objects,
    text,
    whole,
)
from prefect_crash_monitor.explain.evidence.names import WORKER, names_of, with_pod
from prefect_crash_monitor.model.crash import Crash

MOST_STATES = 500
MOST_LOGS = 2_000
MOST_EVENTS = 2_000

MOST_RELATED = 100

AFTERMATH = timedelta(minutes=2)
"""Logs come in batches, and a worker logs its hint some seconds after the crash."""

FLOW_RUN = "prefect.flow-run."

LIVES_OF_WORKERS = frozenset({"prefect.worker.started", "prefect.worker.stopped"})

Timed = TypeVar("Timed", State, Log, Event)


def evidence_of_bundle(bundle: Mapping[str, Any]) -> Evidence:
    """The evidence in a captured bundle, whatever is missing or broken in it."""
    bundle = mapping(bundle)
    run = mapping(bundle.get("flow_run"))
    events = _own(_read(bundle.get("events"), MOST_EVENTS, _event), name(run.get("id")))
    states = _read(bundle.get("states"), MOST_STATES, _state)
    logs = _read(bundle.get("logs"), MOST_LOGS, _log)
    return _evidence(
        _state_of(run, states or _states_of(events)),
        names_of(run, objects(bundle.get("events"), MOST_EVENTS) or ()),
        states=states,
        logs=logs,
        events=events,
        kubernetes=bundle.get("kubernetes"),
        run_count=whole(run.get("run_count")),
        retries=_retries(run),
        due_at=_due_at(run),
        seen_at=moment(bundle.get("captured_at")) or _latest(states, logs, events),
    )


def evidence_of_crash(
    crash: Crash,
    logs: Sequence[Mapping[str, Any]] | None = None,
    events: Sequence[Mapping[str, Any]] | None = None,
    state_type: str = "CRASHED",
) -> Evidence:
    """The evidence in a crash as its event tells it, with what else was read of the run.

    With another `state_type` it is the event of another transition that is read like a crash.

    What came more than two minutes after the crash belongs to a later attempt.
    """
    until = crash.at + AFTERMATH
    seen = _own(_read(events, MOST_EVENTS, _event), crash.flow_run_id)
    state = State(type=state_type, name=crash.state_name, message=text(crash.message), at=crash.at)
    names = names_of({}, objects(events, MOST_EVENTS) or ())
    return _evidence(
        state,
        replace(
            names,
            run=crash.flow_run_id,
            run_name=name(crash.flow_run_name),
            flow=name(crash.flow),
            deployment=name(crash.deployment),
            pool=name(crash.work_pool),
            queue=name(crash.work_queue),
            worker_type=names.worker_type or name(crash.work_pool_type),
        ),
        logs=_until(_read(logs, MOST_LOGS, _log), until),
        events=_until(seen, until),
        came_from=crash.from_state,
        run_count=crash.run_count,
        seen_at=crash.at,
    )


def _evidence(
    state: State,
    names: Names,
    *,
    states: tuple[State, ...] | None = None,
    logs: tuple[Log, ...] | None,
    events: tuple[Event, ...] | None,
    kubernetes: object = None,
    came_from: str = "",
    run_count: int | None = None,
    retries: int | None = None,
    due_at: datetime | None = None,
    seen_at: datetime | None,
) -> Evidence:
    """The evidence cut down to the current attempt, and the attempt's course."""
    known = states or _states_of(events)
    attempt_at = attempt_of(known)
    logs, events = _within(logs, attempt_at), _within(events, attempt_at)
    cluster = cluster_of(kubernetes, names.job, attempt_at)
    came_from = came_from or (known[-2].type if len(known) > 1 else _came_from(state, events))
    return Evidence(
        state=state,
        names=with_pod(names, cluster, events),
        course=course_of(
            state,
            known,
            logs,
            events,
            whole=bool(states),
            came_from=came_from,
            run_count=run_count,
            retries=retries,
        ),
        history=states,
        logs=logs,
        events=events,
        cluster=cluster,
        due_at=due_at,
        seen_at=seen_at,
    )


def _read(raw: object, most: int, parse: Callable[[Json], Timed]) -> tuple[Timed, ...] | None:
    """Parsed and in the order of time; None where the part was not read."""
    items = objects(raw, most)
    if items is None:
        return None
    return tuple(sorted(map(parse, items), key=lambda item: item.at or BEGINNING))


def _own(events: tuple[Event, ...] | None, run_id: str) -> tuple[Event, ...] | None:
    """Without flow run events of other runs: a parent's bundle may hold its children's."""
    own = FLOW_RUN + run_id
    if not events or not any(event.resource_id == own for event in events):
        return events
    return tuple(
        event
        for event in events
        if event.resource_id == own or not event.resource_id.startswith(FLOW_RUN)
    )


def _state(raw: Json) -> State:
    return State(
        type=name(raw.get("type")).upper(),
        name=name(raw.get("name")),
        message=text(raw.get("message")),
        at=moment(raw.get("timestamp")),
    )


def _log(raw: Json) -> Log:
    return Log(
        at=moment(raw.get("timestamp")),
        level=whole(raw.get("level")) or 0,
        logger=name(raw.get("name")),
        text=text(raw.get("message")),
    )


def _event(raw: Json) -> Event:
    resource = labels(raw.get("resource"))
    payload = mapping(raw.get("payload"))
    came_from = name(mapping(payload.get("intended")).get("from"))
    return Event(
        at=moment(raw.get("occurred")),
        received=moment(raw.get("received")),
        name=name(raw.get("event")),
        resource_id=resource.get("prefect.resource.id", ""),
        labels=resource,
        payload=labels(payload) | ({"from": came_from} if came_from else {}),
        about=_about(raw) if name(raw.get("event")).startswith(WORKER) else "",
    )


def _about(raw: Json) -> str:
    """The flow run that a worker's event is about."""
    for related in objects(raw.get("related"), MOST_RELATED) or ():
        about = labels(related)
        if about.get("prefect.resource.role") == "flow-run":
            return about.get("prefect.resource.id", "").removeprefix(FLOW_RUN)
    return ""


def _states_of(events: Iterable[Event] | None) -> tuple[State, ...]:
    """States as their events tell them, where the states themselves were not read."""
    return tuple(
        State(
            type=event.labels["prefect.state-type"].upper(),
            name=event.labels.get("prefect.state-name", ""),
            message=event.labels.get("prefect.state-message", ""),
            at=event.at,
        )
        for event in events or ()
        if event.name.startswith(FLOW_RUN) and event.labels.get("prefect.state-type")
    )


def _state_of(run: Json, states: Sequence[State]) -> State:
    """The run's state now; its message and time may be known from the states only."""
    own = _state(mapping(run.get("state")))
    kind = name(run.get("state_type")).upper() or own.type
    label = name(run.get("state_name")) or own.name
    last = states[-1] if states else State()
    if not kind:
        return last
    if last.type == kind and (not label or last.name == label) and not own.message:
        return last
    since = moment(run.get("start_time" if kind == "RUNNING" else "end_time"))
    return replace(own, type=kind, name=label, at=own.at or since)


def _came_from(state: State, events: Iterable[Event] | None) -> str:
    found = [
        event.payload["from"]
        for event in events or ()
        if event.labels.get("prefect.state-type", "").upper() == state.type
        and "from" in event.payload
    ]
    return found[-1] if found else ""


def _retries(run: Json) -> int | None:
    policy = run.get("empirical_policy")
    if not isinstance(policy, Mapping):
        return None
    return whole(policy.get("retries")) or whole(policy.get("max_retries")) or 0


def _due_at(run: Json) -> datetime | None:
    details = mapping(mapping(run.get("state")).get("state_details"))
    known = [details.get("scheduled_time"), run.get("next_scheduled_start_time")]
    if run.get("state_name") != "AwaitingRetry":  # that of the first attempt
        known.append(run.get("expected_start_time"))
    return next((at for at in map(moment, known) if at), None)


def _within(items: tuple[Timed, ...] | None, attempt_at: datetime | None) -> Any:
    if items is None:
        return None
    return tuple(
        item for item in items if in_attempt(item.at, attempt_at) or _is_life_of_worker(item)
    )


def _is_life_of_worker(item: State | Log | Event) -> bool:
    """How many workers share a name is told by those, too, that started before the attempt."""
    return isinstance(item, Event) and item.name in LIVES_OF_WORKERS


def _until(items: tuple[Timed, ...] | None, until: datetime) -> tuple[Timed, ...] | None:
    if items is None:
        return None
    return tuple(item for item in items if item.at is None or item.at <= until)


def _latest(*parts: Iterable[Any] | None) -> datetime | None:
    return max((item.at for part in parts for item in part or () if item.at), default=None)
