"""What the monitor may do itself, and within which bounds; everything is off by default.

Each act has three modes, to be gone through in this order: off, dry_run, act. In dry_run the
monitor decides, tells and remembers as if it acted, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from prefect_crash_monitor.config.matching import MatchedField
from prefect_crash_monitor.config.planned_silence import Pattern


class Mode(StrEnum):
    """How far an act goes."""

    OFF = "off"
    DRY_RUN = "dry_run"
    ACT = "act"


WORTH_A_RETRY = (
    "api-rate-limited-429",
    "api-server-error-5xx",
    "concurrency-lease-lost",
    "database-connections-exhausted",
    "flow-code-storage-unavailable",
    "k8s-evicted",
    "k8s-node-lost",
    "k8s-node-shutdown",
    "k8s-pod-lost-while-running",
    "never-reached-api",
    "request-to-api-failed",
    "sigterm-exit",
    "termination-signal",
)
"""What ended the run lies outside of it and passes: a node, a worker's stop, the API. They end the
process, too, save that a lost node may come back with it: a retry may then run beside it."""

MAY_BE_RETRIED = frozenset(
    {
        *WORTH_A_RETRY,
        "base-exception-group",
        "ecs-task-failed",
        "k8s-container-failed-before-start",
        "k8s-image-pull-error",
        "k8s-job-deleted",
        "k8s-oom-killed",
        "k8s-pod-never-started-legacy",
        "k8s-quota-exceeded",
        "k8s-unschedulable",
        "killed-oom-or-sigkill",
        "native-crash-segfault",
        "process-exit-general-error",
        "pull-step-failed",
        "pydantic-mockvalser",
        "runtime-cancelled",
        "submission-failed",
    }
)
"""A person may think so of these. Never of errors of code, data or configuration, which come
back; nor of what people did on purpose; nor of runs marked by a missing heartbeat, whose process
may still be alive."""

CHOOSING = frozenset({"deployment", "flow", "work_pool", "tag"})


class Target(StrEnum):
    """What is paused in a crash storm."""

    DEPLOYMENT = "deployment"
    WORK_POOL = "work-pool"


class RetryRule(BaseModel):
    """Crashed runs of chosen deployments are scheduled again, a few times, with growing gaps."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Mode = Field(
        default=Mode.OFF,
        description=(
            "off, dry_run (tells what it would retry, and changes nothing) or act. Look at a week "
            "of dry_run before act."
        ),
    )
    only: dict[MatchedField, Pattern] = Field(
        default_factory=dict,
        description=(
            "Which crashes: pattern by field, as in a rule. A mode other than off needs a pattern "
            "for deployment, flow, work_pool or tag, so that nobody retries everything by "
            "accident: a flow that is not safe to run twice must not be among them."
        ),
    )
    causes: tuple[Annotated[str, Field(max_length=100)], ...] = Field(
        default=WORTH_A_RETRY,
        max_length=100,
        description=(
            "Causes for which a run is retried. Too many and crashes that come back for certain "
            "(memory, a missing image) burn machines; too few and it sleeps. By default what lies "
            "outside the run and passes; errors of code, data and configuration are refused."
        ),
    )
    at_most: int = Field(
        default=1,
        ge=1,
        le=10,
        description=(
            "Retries of one run by the monitor, ever. Too low and a second eviction is left to a "
            "person; too high and a hopeless run is tried on and on. Once heals what passes."
        ),
    )
    backoff: timedelta = Field(
        default=timedelta(minutes=2),
        ge=timedelta(seconds=10),
        le=timedelta(hours=6),
        description=(
            "How long after its crash a run is retried at the earliest; doubles with each retry. "
            "Too short and it meets the same trouble, or an own retry of its infrastructure; too "
            "long and people are faster. Acts come with the cycles, so up to an interval later."
        ),
    )
    give_up_after: timedelta = Field(
        default=timedelta(hours=2),
        ge=timedelta(minutes=1),
        le=timedelta(days=1),
        description=(
            "A crash older than this is not retried any more, as after an outage of the monitor. "
            "Too short and a long backoff never comes to its end, which is refused; too long and "
            "yesterday's run starts beside today's, and every cycle reads that much history."
        ),
    )

    @model_validator(mode="after")
    def _is_bounded(self) -> Self:
        if self.mode is not Mode.OFF and not CHOOSING & self.only.keys():
            raise ValueError(
                f"retry in mode {self.mode} needs `only` with a deployment, flow, work_pool or tag"
            )
        if refused := sorted(set(self.causes) - MAY_BE_RETRIED):
            raise ValueError(
                f"a retry makes no sense for {', '.join(refused)}; it may for "
                f"{', '.join(sorted(MAY_BE_RETRIED))}"
            )
        if self.gap(self.at_most - 1) >= self.give_up_after:
            raise ValueError(
                f"retry {self.at_most} would come {self.gap(self.at_most - 1)} after a crash, but "
                f"give_up_after is {self.give_up_after}: raise it, or lower backoff or at_most"
            )
        return self

    def gap(self, retries: int) -> timedelta:
        """How long after a crash a run waits that was retried so often before."""
        return self.backoff * (1 << retries)


class PauseRule(BaseModel):
    """While an incident burns, what crashes most in it is paused; a person resumes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Mode = Field(
        default=Mode.OFF,
        description=(
            "off, dry_run (tells what it would pause, and changes nothing) or act. What is paused "
            "is never resumed by the monitor: event and report tell the command."
        ),
    )
    rules: tuple[Annotated[str, Field(max_length=63)], ...] = Field(
        default=("crash-storm", "crash-loop"),
        max_length=100,
        description=(
            "Names of the rules whose incidents pause. Too many and single crashes stop a "
            "schedule; with none nothing is paused. A storm and a loop have shown already that "
            "the next run crashes, too."
        ),
    )
    what: Target = Field(
        default=Target.DEPLOYMENT,
        description=(
            "deployment: its schedules stop. work-pool: no run of the pool starts, "
            "whatever its deployment; right where the pool itself is broken. The monitor's own "
            "pool is never paused."
        ),
    )
    crashes: int = Field(
        default=3,
        ge=1,
        le=100_000,
        description=(
            "Crashes of a deployment (pool) in the incident from which it is paused. Too low and "
            "what was only hit once stands still; too high and the storm goes on. Three tell a "
            "pattern from an accident, as in the rules."
        ),
    )

    def misses(self, names: Collection[str]) -> list[str]:
        """Rules that it waits for and the policy does not have; none while it is off."""
        return [] if self.mode is Mode.OFF else sorted(set(self.rules) - set(names))


class FreeRule(BaseModel):
    """Concurrency slots of task runs whose flow run crashed are given back."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Mode = Field(
        default=Mode.OFF,
        description=(
            "off, dry_run (tells which slots it would free, and changes nothing) or act. Only "
            "slots of tag limits that Prefect still ascribes to a task run of a crashed run; of "
            "all others nobody can say whose they are."
        ),
    )
    after: timedelta = Field(
        default=timedelta(minutes=10),
        ge=timedelta(minutes=2),
        le=timedelta(days=1),
        description=(
            "How long after the crash its slots are taken for leaked. Too short and Prefect, which "
            "frees what is not renewed for a minute, is about to do so itself; too long and others "
            "wait. Ten minutes are well beyond its own rounds."
        ),
    )


class Actions(BaseModel):
    """All that the monitor may do itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    retry: RetryRule = Field(
        default_factory=RetryRule,
        description="Retries of crashed runs; see below. Off by default.",
    )
    pause: PauseRule = Field(
        default_factory=PauseRule,
        description="Pauses in a crash storm; see below. Off by default.",
    )
    free_slots: FreeRule = Field(
        default_factory=FreeRule,
        description="Concurrency slots that crashed runs left taken; see below. Off by default.",
    )
    at_most_per_cycle: int = Field(
        default=5,
        ge=1,
        le=50,
        description=(
            "Acts of one cycle, of all kinds together; the rest waits for the next. Too low and a "
            "storm's end takes hours; too high and one wrong decision is made many times before a "
            "person can look. Five can be undone by hand."
        ),
    )

    @property
    def reads_back(self) -> timedelta:
        """How much history before an interval the acts need."""
        none = timedelta(0)
        retry = none if self.retry.mode is Mode.OFF else self.retry.give_up_after
        slots = none if self.free_slots.mode is Mode.OFF else 2 * self.free_slots.after
        return max(retry, slots)
