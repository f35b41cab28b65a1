"""A rule of the policy: which crashes are counted together, and how many are too many."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from prefect_crash_monitor.model import Severity


class Scope(StrEnum):
    """What the crashes that a rule counts together have in common."""

    EVERYTHING = "everything"
    FLOW = "flow"
    DEPLOYMENT = "deployment"
    WORK_POOL = "work-pool"
    WORK_QUEUE = "work-queue"
    TAG = "tag"
    DIMENSION = "dimension"


class Rule(BaseModel):
    """At least `crashes` crashes within a sliding `within`, counted per `scope`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]{0,62}$",
        description=(
            "Name of the rule, unique in the policy; it is part of an incident's identity, so a "
            "renamed rule resolves its incidents and starts new ones."
        ),
    )
    scope: Scope = Field(
        default=Scope.DEPLOYMENT,
        description=(
            "What is counted together. Too wide (everything) hides which deployment it is, too "
            "narrow opens many incidents for one problem. A run without a deployment is counted "
            "under its flow's name in scope deployment."
        ),
    )
    dimension: str = Field(
        default="",
        max_length=100,
        description=(
            "Only with scope dimension: the key, such as client_id, whose value is taken from a "
            "tag client_id:acme or else from the run's label client_id. Runs without it are not "
            "counted by the rule."
        ),
    )
    crashes: int = Field(
        default=3,
        ge=1,
        le=1_000_000,
        description=(
            "Crashes that open an incident. Too low and single crashes that a retry heals speak "
            "up once the grace is over; too high and a slow crash loop stays silent. 3 tells a "
            "pattern from an accident."
        ),
    )
    within: timedelta = Field(
        default=timedelta(hours=1),
        ge=timedelta(seconds=10),
        le=timedelta(days=7),
        description=(
            "Length of the sliding window. Too short and crashes of an hourly deployment never "
            "meet; too long and every cycle reads that much history. One hour covers what runs "
            "every quarter of an hour."
        ),
    )
    quiet_for: timedelta = Field(
        default=timedelta(minutes=30),
        ge=timedelta(seconds=10),
        le=timedelta(days=7),
        description=(
            "How long the threshold must not be reached before the all-clear. Too short and one "
            "problem becomes several incidents; too long and the all-clear comes late."
        ),
    )
    severity: Severity = Field(
        default=Severity.WARNING,
        description="Severity of the rule's incidents; it changes the words, not the counting.",
    )

    @model_validator(mode="after")
    def _dimension_belongs_to_its_scope(self) -> Self:
        if self.scope is Scope.DIMENSION and not self.dimension:
            raise ValueError(f"rule {self.name!r}: scope dimension needs a dimension, as client_id")
        if self.scope is not Scope.DIMENSION and self.dimension:
            raise ValueError(
                f"rule {self.name!r}: dimension {self.dimension!r} needs scope: dimension"
            )
        return self


DEFAULT_RULES = (
    Rule(
        name="crash-storm",
        scope=Scope.EVERYTHING,
        crashes=10,
        within=timedelta(minutes=15),
        quiet_for=timedelta(minutes=30),
        severity=Severity.CRITICAL,
    ),
    Rule(name="deployment-crashes"),
)
