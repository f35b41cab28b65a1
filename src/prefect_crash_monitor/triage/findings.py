"""Findings: what a scene says about a crash beyond the run itself. Pure; each one a sentence.

Each says what was seen. What follows from it is a hint ("look at"), never a verdict: the verdict
is the explanation's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from prefect_crash_monitor.text.format import duration, stamp
from prefect_crash_monitor.triage.scene import AROUND, PastRun, Scene, Worker, WorkerEvent

NEAR = timedelta(minutes=2)
"""Between a worker's last word, or its stop, and the crash, to be named together."""

AT_ONCE = timedelta(seconds=30)
STREAK = 3
"""Runs in a row that make a habit."""

EDITS = 5
"""The latest ones told."""

NAMES = 12
"""Names told of a list."""

LONGEST_VERSION = 31
"""Longer ones are hashes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing seen. The text holds names of strangers: whoever renders it makes them inert."""

    text: str
    telling: bool = False
    """It may be the reason, or leads to it."""


def findings(scene: Scene) -> tuple[Finding, ...]:
    """All findings, the telling ones first."""
    found = [finding for look in LOOKS for finding in look(scene)]
    return tuple(sorted(found, key=lambda finding: not finding.telling))


def changed_between(before: PastRun, after: PastRun) -> list[str]:
    """What Prefect knows to differ between two runs; of parameters and job variables the names."""
    plain = {
        "version": (before.version, after.version),
        "flow version": (before.flow_version, after.flow_version),
        "work pool": (before.work_pool, after.work_pool),
        "work queue": (before.work_queue, after.work_queue),
        "worker": (before.worker, after.worker),
    }
    said = [
        f"{what} {_short(old)} → {_short(new)}"
        for what, (old, new) in plain.items()
        if old and new and old != new
    ]
    named = {
        "job variables": (before.job_variables, after.job_variables),
        "parameters": (before.parameters, after.parameters),
    }
    for what, (olds, news) in named.items():
        keys = [k for k in sorted({*olds, *news}) if olds.get(k) != news.get(k)]
        said += [f"{what} {_listed(keys)}"] if keys else []
    return said


def _history(scene: Scene) -> Iterable[Finding]:
    """How the runs before it went, and those since."""
    if scene.before is not None:
        yield from _runs_before(scene.before, scene.completed)
    done = [run for run in scene.since or () if run.state_type == "COMPLETED"]
    if done:
        yield Finding(text=f"Since the crash {_runs(len(done))} completed: it may be over.")


def _runs_before(before: Sequence[PastRun], completed: PastRun | None) -> Iterable[Finding]:
    bad = _streak(before, {"CRASHED", "FAILED"})
    good = _streak(before, {"COMPLETED"})
    last = f"The last one that completed ended {_at(completed.ended_at)}." if completed else ""
    if not before:
        yield Finding(text="No earlier run is known.")
    elif not completed:
        text = f"No earlier run is known to have completed; {_runs(len(before))} looked at."
        yield Finding(text=text, telling=True)
    elif bad:
        text = f"{_runs(bad)} right before it crashed or failed as well. {last}"
        yield Finding(text=text, telling=bad >= STREAK - 1)
    elif good:
        text = f"{_runs(good)} right before it completed: something is new, or it was chance."
        yield Finding(text=f"{text} {last}", telling=good >= STREAK)


def _changes(scene: Scene) -> Iterable[Finding]:
    """What differs from the last run that went well."""
    if scene.run is None or scene.completed is None:
        return
    changed = changed_between(scene.completed, scene.run)
    if changed:
        yield Finding(
            text=f"It differs from the last run that completed in {'; '.join(changed)}.",
            telling=any(not change.startswith(("worker ", "parameters ")) for change in changed),
        )
    else:
        yield Finding(
            text="Version, pool, worker, parameters and the run's own job variables are those of "
            "the last run that completed. What Prefect does not record may still differ: "
            "an image under the same tag, packages, data."
        )


def _edits(scene: Scene) -> Iterable[Finding]:
    """Changes of deployment and pool between the last good run and the crash, and since."""
    for edit in (scene.edits or ())[-EDITS:]:
        when = "since the crash" if edit.at > scene.crashed_at else "before the crash"
        fields = f" ({_listed(edit.fields)})" if edit.fields else ""
        yield Finding(
            text=f"The {edit.what} was changed {when}, {_at(edit.at)}{fields}.",
            telling=edit.at <= scene.crashed_at,
        )
    deployment, good = scene.deployment, scene.completed
    if not deployment or not deployment.updated_at or scene.edits:
        return
    if good and good.at and good.at < deployment.updated_at <= scene.crashed_at:
        yield Finding(
            text="Between the last run that completed and the crash the deployment was deployed, "
            f"edited or paused: {_at(deployment.updated_at)}.",
            telling=True,
        )


def _around(scene: Scene) -> Iterable[Finding]:
    """Whether it crashed alone, and what those that crashed with it share."""
    around = scene.around
    if around is None:
        return
    others = around.crashes
    if not others:
        yield Finding(text=f"No other run crashed within {duration(AROUND)} of it.")
        return
    number = len(others) + around.left_out
    deployments = Counter(crash.deployment or crash.flow for crash in others)
    first = f"Of the first {len(others)}: " if around.left_out else ""
    yield Finding(
        text=f"{_runs(number).capitalize()} besides it crashed within {duration(AROUND)} of it. "
        f"{first}{_counted(deployments)}.",
        telling=len(deployments) > 1,
    )
    at_once = [c for c in others if abs(c.at - scene.crashed_at) <= AT_ONCE]
    if len({crash.deployment or crash.flow for crash in at_once}) > 1:
        yield Finding(
            text=f"{_runs(len(at_once)).capitalize()} of several deployments crashed within "
            f"{duration(AT_ONCE)} of it: look at what they share.",
            telling=True,
        )
    yield from _shared_place(scene)


def _shared_place(scene: Scene) -> Iterable[Finding]:
    """Whether all that crashed ran in one place, and others there were spared."""
    around, names = scene.around, scene.evidence.names
    if around is None or not around.crashes or around.left_out:
        return
    workers = {around.workers.get(crash.flow_run_id, "") for crash in around.crashes}
    pools = ({crash.work_pool for crash in around.crashes} | {names.pool}) - {""}
    of = len(scene.workers or ())
    if names.worker and workers == {names.worker} and of > 1:
        text = f"All of them and it were taken by worker {names.worker}, one of {of} of the pool"
        yield Finding(text=f"{text}: look at it and its machine.", telling=True)
    elif len(pools) > 1:
        text = f"They are of {len(pools)} work pools: look at what these share, such as"
        yield Finding(text=f"{text} API, network, database.", telling=True)


def _worker(scene: Scene) -> Iterable[Finding]:
    """Whether the worker that took the run lives, and when it came and went."""
    name = scene.evidence.names.worker
    for event in scene.worker_events or ():
        if abs(event.at - scene.crashed_at) <= NEAR:
            yield _came_or_went(event, scene)
    workers = {worker.name: worker for worker in scene.workers or ()}
    if name in workers:
        yield _its_worker(workers[name], scene)
    elif name and scene.workers is not None:
        yield Finding(text=f"Worker {name}, which took it, is not known to the pool any more.")


def _came_or_went(event: WorkerEvent, scene: Scene) -> Finding:
    """A worker that stops takes its runs along; one that starts after a crash was restarted."""
    what = "stopped" if event.stopped else "started"
    name = scene.evidence.names.worker
    restarted = event.worker == name and event.at >= scene.crashed_at
    return Finding(
        text=f"Worker {event.worker} {what} {_at(event.at)}, {_before(event.at, scene)}.",
        telling=name in {"", event.worker} if event.stopped else restarted,
    )


def _its_worker(worker: Worker, scene: Scene) -> Finding:
    if worker.online:
        return Finding(text=f"Worker {worker.name}, which took it, is online.")
    last = worker.heartbeat_at
    close = last is not None and abs(last - scene.crashed_at) <= NEAR
    when = f", {_before(last, scene)}" if close and last else ""
    text = f"Worker {worker.name}, which took it, is offline; its last heartbeat came {_at(last)}"
    return Finding(text=f"{text}{when}.", telling=True)


def _pool(scene: Scene) -> Iterable[Finding]:
    """Whether new runs would be taken at all."""
    pool, workers = scene.pool, scene.workers
    # A push or managed pool has no workers, and misses none.
    wanted = pool and workers is not None and (workers or pool.status == "NOT_READY")
    if pool and wanted and not any(worker.online for worker in workers or ()):
        text = f"No worker of work pool {pool.name} is online: nothing starts there."
        yield Finding(text=text, telling=True)
    if pool and pool.paused:
        yield Finding(text=f"Work pool {pool.name} is paused: nothing starts there.", telling=True)
    if scene.deployment and scene.deployment.paused:
        yield Finding(text="The deployment is paused: its schedules make no runs.")


def _slots(scene: Scene) -> Iterable[Finding]:
    """Whether slots of the deployment's limit are taken by runs that are over."""
    deployment = scene.deployment
    if deployment is None or deployment.limit is None or scene.active is None:
        return
    taken, text = deployment.slots_taken, f"{deployment.slots_taken} of {deployment.limit} slots"
    if taken > scene.active:
        yield Finding(
            text=f"{text} of the deployment's concurrency limit are taken, and "
            f"{_runs(scene.active)} pending, running or paused. If that stays so for some "
            "minutes, a run that is over holds a slot.",
            telling=True,
        )
    else:
        yield Finding(text=f"{text} of the deployment's concurrency limit are taken; none leaked.")


LOOKS: tuple[Callable[[Scene], Iterable[Finding]], ...] = (
    _changes,
    _edits,
    _around,
    _worker,
    _pool,
    _history,
    _slots,
)


def _streak(runs: Sequence[PastRun], types: set[str]) -> int:
    """How many of the first runs are in one of these states."""
    return next((i for i, run in enumerate(runs) if run.state_type not in types), len(runs))


def _before(at: datetime, scene: Scene) -> str:
    """A time as seen from the crash."""
    gap = scene.crashed_at - at
    side = "before" if gap >= timedelta(0) else "after"
    return f"{duration(abs(gap))} {side} the crash"


def _runs(number: int) -> str:
    return "1 run" if number == 1 else f"{number:,} runs"


def _counted(counts: Mapping[str, int]) -> str:
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return _listed([f"{name or '(no name)'} ({number})" for name, number in ranked])


def _listed(names: Sequence[str]) -> str:
    left = len(names) - NAMES
    return ", ".join([*names[:NAMES], *([f"and {left} more"] if left > 0 else [])])


def _short(version: str) -> str:
    """A version: what tells two hashes apart stands in their first characters."""
    return f"{version[:12]}…" if len(version) > LONGEST_VERSION else version


def _at(moment: datetime | None) -> str:
    return f"{stamp(moment)} UTC" if moment else "at an unknown time"
