"""The scene of a crash: the run, its deployment's other runs, what crashed and worked beside it.

A part that could not be read is None, which is not the same as there being nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from prefect_crash_monitor.explain import Evidence, Explanation
from prefect_crash_monitor.model.crash import Crash, Diagnosis
from prefect_crash_monitor.model.interval import Window

AROUND = timedelta(minutes=10)
"""Before and after the crash: what crashed then may have the same reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """One run of the deployment, as far as runs of it can be compared.

    Values of parameters and job variables may be secret: they are held as digests only.
    """

    id: str
    name: str = ""
    state_type: str = ""
    state_name: str = ""
    at: datetime | None = None
    """When it started; when it was due, where it never did."""
    ended_at: datetime | None = None
    version: str = ""
    """Of the deployment, when the run was made."""
    flow_version: str = ""
    work_pool: str = ""
    work_queue: str = ""
    worker: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    job_variables: Mapping[str, str] = field(default_factory=dict)
    """Digests by name, those within an environment as `env.NAME`; only what the run overrides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentNow:
    """The deployment as it is now."""

    id: str
    name: str = ""
    updated_at: datetime | None = None
    """When it was last deployed, edited or paused; workers' polls do not change it."""
    paused: bool = False
    limit: int | None = None
    """Of runs at a time; None where there is none."""
    slots_taken: int = 0
    limit_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolNow:
    """The work pool as it is now."""

    id: str
    name: str
    kind: str = ""
    status: str = ""
    paused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A worker of the pool, by its heartbeats."""

    name: str
    online: bool
    heartbeat_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A change of the deployment or of its work pool that Prefect recorded."""

    at: datetime
    what: str
    """`deployment` or `work pool`."""
    fields: tuple[str, ...] = ()
    """Names only: the values may be secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerEvent:
    """A worker of the pool that started or stopped."""

    at: datetime
    worker: str
    stopped: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """Other runs that crashed at about the same time, without the monitor's own."""

    span: Window
    crashes: tuple[Crash, ...] = ()
    """The first ones, in order."""
    left_out: int = 0
    """How many more there are than were read."""
    workers: Mapping[str, str] = field(default_factory=dict)
    """Names of the workers by flow run id, empty where unknown."""
    diagnoses: Mapping[str, Diagnosis] = field(default_factory=dict)
    """By state id, of those that were looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """All that a triage knows."""

    run_id: str
    looked_at: datetime
    crashed_at: datetime
    """When it last crashed; where it never did, its latest sign of anything."""
    evidence: Evidence
    explanation: Explanation
    incident: str = ""
    """`id.episode`; empty where somebody asked by hand."""
    run: PastRun | None = None
    """None where it is deleted."""
    deployment: DeploymentNow | None = None
    before: tuple[PastRun, ...] | None = None
    """Runs of the deployment that started before it, the newest first."""
    since: tuple[PastRun, ...] | None = None
    """Runs of the deployment that started after its crash, the newest first."""
    completed: PastRun | None = None
    """The last run of the deployment that completed before the crash."""
    active: int | None = None
    """Runs of the deployment that may hold a slot of its limit."""
    around: Around | None = None
    pool: PoolNow | None = None
    workers: tuple[Worker, ...] | None = None
    worker_events: tuple[WorkerEvent, ...] | None = None
    edits: tuple[Edit, ...] | None = None
    """Since the last run that completed, in order."""
    gaps: tuple[str, ...] = ()
    """What could not be read, in words."""
