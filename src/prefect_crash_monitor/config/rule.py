"""A rule of the policy: which crashes are counted together, and how many are too many."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from prefect_crash_monitor.config.matching import MatchedField
from prefect_crash_monitor.config.planned_silence import Pattern
from prefect_crash_monitor.model.incident import Severity


class RuleKind(StrEnum):
    """What a rule looks for; one row of `conditions.CONDITIONS` each."""

    COUNT = "count"
    CONSECUTIVE = "consecutive"
    NEW_CAUSE = "new-cause"
    OUTAGE = "outage"
    RATE = "rate"
    GHOSTS = "ghosts"


class Scope(StrEnum):
    """What the crashes that a rule counts together have in common."""

    EVERYTHING = "everything"
    FLOW = "flow"
    DEPLOYMENT = "deployment"
    FLOW_RUN = "flow-run"
    WORK_POOL = "work-pool"
    WORK_QUEUE = "work-queue"
    TAG = "tag"
    DIMENSION = "dimension"


LONGEST_READ = timedelta(days=7)
"""Prefect keeps events so long by default."""

LONGEST_RATE = timedelta(days=1)
"""A rate over more than a day would be compared with days that it is part of."""

LONGEST_STREAK = 100
"""Crashes in a row that a rule may ask for; they are all remembered."""

SCOPES: Mapping[RuleKind, tuple[Scope, ...]] = {
    RuleKind.CONSECUTIVE: (Scope.DEPLOYMENT, Scope.FLOW, Scope.FLOW_RUN),
    RuleKind.OUTAGE: (Scope.EVERYTHING,),
    RuleKind.RATE: (Scope.DEPLOYMENT,),
}
"""The scopes of kinds that do not take every one."""


SHARED_SCOPES = (Scope.EVERYTHING, Scope.FLOW, Scope.DEPLOYMENT, Scope.WORK_POOL)
"""Scopes of which Prefect tells how many runs ended."""

DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    RuleKind.CONSECUTIVE: {"within": timedelta(days=7)},
    RuleKind.NEW_CAUSE: {"scope": Scope.EVERYTHING, "crashes": 1, "within": timedelta(days=1)},
    RuleKind.OUTAGE: {"scope": Scope.EVERYTHING, "within": timedelta(minutes=15)},
    RuleKind.GHOSTS: {"crashes": 1},
}
"""Of kinds for which those of the fields are wrong."""


class Rule(BaseModel):
    """At least `crashes` crashes within a sliding `within`, counted per `scope`, or as its kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]{0,62}$",
        description=(
            "Name of the rule, unique in the policy; it is part of an incident's identity, so a "
            "renamed rule resolves its incidents and counts anew."
        ),
    )
    kind: RuleKind = Field(
        default=RuleKind.COUNT,
        description=(
            "count: so many crashes within the window. consecutive: so many without a completed "
            "run of the deployment (flow, run) in between; the all-clear is its next completed "
            "run. new-cause: a crash, anywhere by default, of a kind that was not seen for 90 "
            "days, once the monitor has learnt for a day. outage: crashes that tell of one "
            "trouble behind many (the API, its database, an image, nodes), with their symptoms, "
            "in one incident. rate: a larger share of a deployment's runs than it usually loses; "
            "put it before rules that count, whose incidents it otherwise leaves the crashes to. "
            "ghosts: so many runs that ended without saying so and are left as they are, whenever "
            "that was; the all-clear is when none is left."
        ),
    )
    only: dict[MatchedField, Pattern] = Field(
        default_factory=dict,
        description=(
            "Which crashes the rule looks at: pattern by field, of deployment (flow/deployment), "
            "flow, work_pool, work_queue, tag and cause; all must match. Too narrow and the rule "
            "sleeps; empty looks at all."
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
            "pattern from an accident. Kind rate: the fewest crashes to look at; with 5 false "
            "alarms are rarer. Kinds new-cause and ghosts: 1 by default."
        ),
    )
    within: timedelta = Field(
        default=timedelta(hours=1),
        ge=timedelta(seconds=10),
        le=timedelta(days=90),
        description=(
            "Length of the sliding window, at most 7 days. Too short and crashes of an hourly "
            "deployment never meet; too long and every cycle reads that much history. One hour "
            "covers what runs every quarter of an hour. Kind consecutive reads no history: up to "
            "90 days, within which the crashes in a row must lie; so long it stays open when "
            "nothing runs any more; 7 days by default. Kind new-cause: how long a kind counts as "
            "new, a day by default. Kind rate: the long window, at most a day; a quarter of it is "
            "the short one, in which the rate must be too high still."
        ),
    )
    factor: float = Field(
        default=3.0,
        gt=1,
        le=1_000,
        description=(
            "Only with kind rate: how many times its usual share of crashed runs a deployment must "
            "lose, beyond chance. Usual is what it lost on the last 7 days (UTC) that the monitor "
            "counted whole, the worst of three or more left out; before there is one day nothing "
            "is judged. Too low and busy days speak up, too high and a slow decay stays silent. "
            "Three times is a change that a person would see."
        ),
    )
    at_least: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description=(
            "The share of crashed runs, 0.01 for 1 %, below which nothing is told however many or "
            "unusual; with kind rate, and with kind count in scopes everything, flow, deployment "
            "and work-pool without only, there of the runs that ended within the window. 0 tells "
            "of any. Too low and a deployment with thousands of runs an hour, or one that hardly "
            "ever crashes, speaks up at each handful of crashes; too high and one with many runs "
            "may lose thousands. At one in a hundred, retries no longer hide it."
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

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_its_kind(cls, values: Any) -> Any:
        """What suits a kind where nothing is said: three within an hour would never be met."""
        if not isinstance(values, Mapping):
            return values
        return {**DEFAULTS.get(str(values.get("kind", "")), {}), **values}

    @property
    def reads_back(self) -> timedelta:
        """How much history before an interval the rule needs; what is remembered is not read."""
        remembered = self.kind in {RuleKind.CONSECUTIVE, RuleKind.GHOSTS} or (
            self.kind is RuleKind.NEW_CAUSE and self.crashes == 1
        )
        return timedelta(0) if remembered else self.within

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        scopes = SCOPES.get(self.kind, tuple(Scope))
        if self.scope not in scopes:
            raise ValueError(
                f"rule {self.name!r}: kind {self.kind} needs scope {' or '.join(scopes)}, "
                f"not {self.scope}"
            )
        if self.reads_back > LONGEST_READ:
            raise ValueError(
                f"rule {self.name!r}: within ({self.within}) may be {LONGEST_READ} at most, but "
                "for kind consecutive"
            )
        if self.kind is RuleKind.RATE and self.within > LONGEST_RATE:
            raise ValueError(f"rule {self.name!r}: kind rate takes within {LONGEST_RATE} at most")
        if self.kind is RuleKind.CONSECUTIVE and self.crashes > LONGEST_STREAK:
            raise ValueError(
                f"rule {self.name!r}: kind consecutive takes {LONGEST_STREAK} crashes at most"
            )
        return self

    @model_validator(mode="after")
    def _rates_belong_to_their_kind(self) -> Self:
        default = {name: field.default for name, field in type(self).model_fields.items()}
        if self.kind is RuleKind.RATE:
            return self
        if self.factor != default["factor"]:
            raise ValueError(f"rule {self.name!r}: factor needs kind: rate")
        if self.at_least not in {0, default["at_least"]} and not self.wants_a_share:
            raise ValueError(
                f"rule {self.name!r}: at_least needs kind: rate, or kind: count without only in "
                f"scope {', '.join(SHARED_SCOPES)}"
            )
        return self

    @property
    def wants_a_share(self) -> bool:
        """Whether so many crashes must also be a share of the runs, of runs that can be counted."""
        counts = self.kind is RuleKind.COUNT and self.scope in SHARED_SCOPES
        return counts and not self.only and self.at_least > 0

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
        name="outage",
        kind=RuleKind.OUTAGE,
        severity=Severity.CRITICAL,
    ),
    Rule(
        name="crash-storm",
        scope=Scope.EVERYTHING,
        crashes=10,
        within=timedelta(minutes=15),
        quiet_for=timedelta(minutes=30),
        severity=Severity.CRITICAL,
    ),
    Rule(
        name="critical-deployments",
        only={"tag": "critical"},
        crashes=1,
        severity=Severity.CRITICAL,
    ),
    Rule(
        name="crash-loop",
        kind=RuleKind.CONSECUTIVE,
        severity=Severity.CRITICAL,
    ),
    Rule(name="deployment-crashes"),
    Rule(
        name="ghost-runs",
        kind=RuleKind.GHOSTS,
        severity=Severity.CRITICAL,
    ),
)
