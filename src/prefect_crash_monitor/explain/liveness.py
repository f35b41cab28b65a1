"""Clues about time: is a run that says RUNNING still alive, does one that waits still move?

G1 to G6 are the ghost rules of the dossier. All of it is judged against the moment at which the
evidence was gathered; where that is not known, nothing is called dead.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from prefect_crash_monitor.explain.clues.clues import (
    MISSED,
    Clue,
    Finding,
    any_of,
    event_line,
    holds,
    unread,
)
from prefect_crash_monitor.explain.clues.cluster import POD_EVENT
from prefect_crash_monitor.explain.evidence.evidence import Event, Evidence, Part
from prefect_crash_monitor.explain.explanation import Line, Where
from prefect_crash_monitor.text.format import duration, stamp

PERIODS = 3
"""Heartbeats a run may miss before it counts as silent."""

SETTLED = timedelta(seconds=60)
"""What Prefect and Kubernetes may need to tell of an end that has already happened."""

LAST_WORDS = timedelta(seconds=5)
"""Logs and events are sent in batches: signs of life this long after an end are no life."""

WAITING_WORKERS = frozenset({"process", "docker"})
"""Workers that report a run as executed when it ends; others do so when it is submitted."""

STARTED, SUBMITTED, STOPPED = (
    "prefect.worker.started",
    "prefect.worker.submitted-flow-run",
    "prefect.worker.stopped",
)
LIVES = frozenset({STARTED, SUBMITTED, STOPPED})
"""What tells how many workers of a name there are."""

TERMINAL_POD_EVENTS = frozenset({"failed", "evicted", "succeeded"})


def silent(evidence: Evidence) -> Finding:
    """G1: no sign of life for more than three heartbeat periods."""
    last = evidence.course.alive_at or evidence.state.at
    age = evidence.age_of(last)
    allowed = PERIODS * evidence.course.period
    if last is None or age is None or age <= allowed:
        return MISSED
    text = (
        f"no sign of life for {duration(age)}, the last at {stamp(last)} UTC; "
        f"three heartbeat periods are {duration(allowed)}"
    )
    return holds(Line(source=Where.EVENT, text=text, at=last), silence=duration(age))


def period_known(evidence: Evidence) -> Finding:
    """The run sent two heartbeats or more in this attempt, which show its period."""
    if evidence.course.heartbeats is None:
        return unread(Part.EVENTS)
    return holds() if evidence.course.heartbeats > 1 else MISSED


def quiet(evidence: Evidence) -> Finding:
    """The run has shown no sign of life for a heartbeat period and a minute.

    Anybody may send an event that tells of its end: a living run gives it the lie by its next
    heartbeat. Kubernetes itself is believed at once.
    """
    if evidence.cluster is not None and evidence.cluster.over:
        return holds()
    age = evidence.age_of(evidence.course.alive_at or evidence.state.at)
    return holds() if age is not None and age > evidence.course.period + SETTLED else MISSED


def heartbeat_seen(evidence: Evidence) -> Finding:
    """The run ever sent a heartbeat in this attempt."""
    if evidence.course.heartbeats is None:
        return unread(Part.EVENTS)
    return holds() if evidence.course.heartbeats else MISSED


def worker_done(evidence: Evidence) -> Finding:
    """G5: its worker saw the process end, and the state did not follow."""
    ends = (
        one
        for one in evidence.events or ()
        if one.name == "prefect.worker.executed-flow-run"
        and one.labels.get("prefect.worker-type") in WAITING_WORKERS
    )
    return _ended(evidence, ends)


def worker_stopped(evidence: Evidence) -> Finding:
    """G2: its process worker was stopped while it ran, which kills what the worker runs.

    Workers may share a name, and their events tell no more of them: the stop of one proves
    something only where by then every worker of the name was stopped.
    """
    submissions = [
        one
        for one in evidence.events or ()
        if one.name == SUBMITTED
        and one.labels.get("prefect.worker-type") == "process"
        and one.about in {"", evidence.names.run}
    ]
    taken = max(
        (one for one in submissions if one.known_at),
        key=lambda one: (one.known_at, one.resource_id),
        default=None,
    )
    return _ended(evidence, _stop_of_all(evidence, taken) if taken else ())


def pods_over(evidence: Evidence) -> Finding:
    """Every pod of the attempt has ended, and Kubernetes starts no other."""
    cluster = evidence.cluster
    if cluster is not None and (cluster.pods or cluster.job):
        if not cluster.over or not _settled(evidence, cluster.over_at):
            return MISSED
        told = cluster.pod
        what = (
            f"pod {told.name} ended: {told.phase} {told.terminated}" if told else "no pod is left"
        )
        return holds(Line(source=Where.KUBERNETES, text=what.strip(), at=cluster.over_at))
    if evidence.events is None:
        return unread(Part.EVENTS)
    latest = {one.resource_id: one for one in evidence.events if one.name.startswith(POD_EVENT)}
    ends = [
        one for one in latest.values() if one.name.removeprefix(POD_EVENT) in TERMINAL_POD_EVENTS
    ]
    return _ended(evidence, ends) if len(ends) == len(latest) else MISSED


end_told = any_of(worker_done, worker_stopped, pods_over)
"""Somebody tells of the end of the run: its worker, by ending itself too, or Kubernetes."""


def pod_failed(evidence: Evidence) -> Finding:
    """The newest pod did not end well."""
    if evidence.cluster is not None and evidence.cluster.pod is not None:
        return holds() if evidence.cluster.pod.phase == "Failed" else MISSED
    names = [one.name for one in evidence.events or () if one.name.startswith(POD_EVENT)]
    ended_badly = bool(names) and names[-1].endswith((".failed", ".evicted"))
    return holds() if ended_badly else MISSED


def pod_alive(evidence: Evidence) -> Finding:
    """Kubernetes says that a pod of the run is running."""
    if evidence.cluster is None or evidence.cluster.pod is None:
        return MISSED
    pod = evidence.cluster.pod
    if pod.phase != "Running":
        return MISSED
    return holds(Line(source=Where.KUBERNETES, text=f"pod {pod.name} is Running"))


def waited(least: timedelta) -> Clue:
    """The attempt has been PENDING for so long."""

    def ask(evidence: Evidence) -> Finding:
        since = evidence.course.pending_at or evidence.state.at
        age = evidence.age_of(since)
        if age is None or age < least:
            return MISSED
        name = evidence.state.name or evidence.state.type
        return holds(
            Line(source=Where.HISTORY, text=f"{name}, PENDING for {duration(age)}", at=since),
            wait=duration(age),
        )

    return ask


def still(least: timedelta) -> Clue:
    """The attempt has shown no sign of life for so long: it does not pull its code, say."""

    def ask(evidence: Evidence) -> Finding:
        age = evidence.age_of(evidence.course.alive_at or evidence.state.at)
        return holds() if age is not None and age >= least else MISSED

    return ask


def overdue(least: timedelta) -> Clue:
    """The run should have started so long ago."""

    def ask(evidence: Evidence) -> Finding:
        due = due_at(evidence)
        age = evidence.age_of(due)
        if due is None or age is None or age < least:
            return MISSED
        text = f"{evidence.state.name}, due at {stamp(due)} UTC, {duration(age)} ago"
        return holds(Line(source=Where.STATE, text=text, at=due), wait=duration(age))

    return ask


def due_at(evidence: Evidence) -> datetime | None:
    """When a waiting run should start; one that a worker already took is due at once.

    A retry may be planned for much later, at a time that only the state's details have.
    """
    if evidence.due_at is not None or evidence.state.name != "Scheduled":
        return evidence.due_at
    taken = any(one.logger.endswith(".worker") for one in evidence.logs or ())
    return evidence.state.at if taken else None


def _ended(evidence: Evidence, ends: Iterable[Event]) -> Finding:
    """The latest of these events was the end, if the run showed no life after it."""
    known = (one for one in ends if one.known_at)
    last = max(known, key=lambda one: (one.known_at, one.name), default=None)
    if last is None or not _settled(evidence, last.known_at):
        return unread(Part.EVENTS) if evidence.events is None else MISSED
    return holds(event_line(last))


def _stop_of_all(evidence: Evidence, taken: Event) -> list[Event]:
    """The stop after which no worker of the name was left of those that may have the run.

    A worker that was killed tells nothing of it and counts as one that may be left. One that
    submits a run after that stop, and did not start since, was there all the time.
    """
    told = [
        one
        for one in evidence.events or ()
        if one.resource_id == taken.resource_id and one.known_at and one.name in LIVES
    ]
    left, is_taken = 0, False
    for one in sorted(told, key=lambda one: (one.known_at, one is not taken)):
        if one is taken:
            left, is_taken = max(left, 1), True
        elif one.name == STARTED:
            left += 1
        elif one.name == STOPPED:
            left = max(left - 1, 0)
            if is_taken and not left:
                return [] if _went_on(told, one) else [one]
    return []


def _went_on(told: Iterable[Event], stop: Event) -> bool:
    """A worker of the name took a run after the stop of what seemed the last."""
    after = [one for one in told if one.known_at and stop.known_at and one.known_at > stop.known_at]
    first = min((one for one in after if one.name != STOPPED), key=_when, default=None)
    return first is not None and first.name == SUBMITTED


def _when(event: Event) -> tuple[datetime, bool]:
    """A start comes before what the worker then does."""
    return event.known_at or datetime.min.replace(tzinfo=UTC), event.name != STARTED


def _settled(evidence: Evidence, end: datetime | None) -> bool:
    age, alive_at = evidence.age_of(end), evidence.course.alive_at
    if end is None or age is None or age < SETTLED:
        return False
    return alive_at is None or alive_at <= end + LAST_WORDS
