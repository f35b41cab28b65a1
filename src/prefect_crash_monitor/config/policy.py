"""The policy: how the monitor counts, when it speaks, and to whom.

Pure Pydantic, without Prefect; `blocks.CrashPolicy` is the same fields as a Prefect block. Every
field says what too low and too high do, and why the default is what it is.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from prefect_crash_monitor.config.actions import Actions
from prefect_crash_monitor.config.planned_silence import PlannedSilence
from prefect_crash_monitor.config.rule import DEFAULT_RULES, Rule, Scope
from prefect_crash_monitor.model.incident import Severity

__all__ = [
    "DEFAULT_RULES",
    "PlannedSilence",
    "Policy",
    "Rule",
    "Scope",
    "Severity",
]

DAY = timedelta(days=1)
BLOCK_NAME = re.compile(r"[a-z0-9-]+/[a-z0-9-]+")


INTERVALS_KEPT = 288
"""Intervals that the ledger remembers, for the trend and for corrections: a day at five minutes."""


class Policy(BaseModel):
    """Everything that can be set; the defaults suit a shop of 20 to 2,000 deployments."""

    model_config = ConfigDict(extra="forbid")

    interval: timedelta = Field(
        default=timedelta(minutes=5),
        ge=timedelta(seconds=10),
        le=DAY,
        description=(
            "Length of a counted interval; must divide a day, and should equal the schedule of "
            "the deployment. Too short costs a flow run each; too long delays notifications. "
            "Five minutes keeps a cycle's cost below 1 % of a worker."
        ),
    )
    settle: timedelta = Field(
        default=timedelta(seconds=20),
        ge=timedelta(seconds=6),
        le=timedelta(minutes=30),
        description=(
            "How long after its end an interval is counted. Too short and events still on their "
            "way need a later correction (Prefect stores them up to 5 s late, more under load); "
            "too long only delays. 20 s is four times the slowest seen."
        ),
    )
    late_horizon: timedelta = Field(
        default=timedelta(minutes=30),
        ge=timedelta(0),
        le=timedelta(days=7),
        description=(
            "How far back each cycle looks for events that came late, to correct a record. Too "
            "short and a late event is never counted; too long and every cycle reads more. At "
            "most 288 intervals, which is what the monitor remembers. "
            "Server outages and broker backlogs are mostly over within half an hour."
        ),
    )
    catch_up: timedelta = Field(
        default=DAY,
        ge=timedelta(minutes=1),
        le=timedelta(days=7),
        description=(
            "How much of an outage of the monitor is counted afterwards; what is older is left "
            "out and named in the report. Too short loses intervals, too long makes the first "
            "cycle after an outage slow. Events are kept 7 days by default."
        ),
    )
    grace: timedelta = Field(
        default=timedelta(minutes=5),
        ge=timedelta(0),
        le=DAY,
        description=(
            "How long a crashed run may take to get going again before its crash counts towards "
            "a rule. Too short tells of crashes that a retry heals; too long delays every "
            "notification by that much. The counts are not affected."
        ),
    )
    rules: list[Rule] = Field(
        default_factory=lambda: list(DEFAULT_RULES),
        max_length=100,
        description=(
            "Thresholds, in order of precedence: while a rule's incident burns, its crashes do "
            "not open incidents of later rules, so that one problem is told once. With no rule "
            "the monitor counts and never notifies."
        ),
    )
    silences: list[PlannedSilence] = Field(
        default_factory=list,
        max_length=100,
        description=(
            "Maintenance windows known beforehand; `crash-monitor silence add` makes others. "
            "Silenced crashes are counted and shown, and open no incident. Those that are over "
            "may be removed."
        ),
    )
    remind_after: timedelta = Field(
        default=timedelta(hours=4),
        ge=timedelta(seconds=10),
        le=timedelta(days=30),
        description=(
            "First reminder of an incident that is still open; each further gap doubles. Too "
            "short is noise; too long and an open incident is forgotten. Four hours is half a "
            "shift."
        ),
    )
    remind_at_most: timedelta = Field(
        default=DAY,
        ge=timedelta(seconds=10),
        le=timedelta(days=30),
        description=(
            "Largest gap between reminders, at which the doubling stops. Too short is noise, too "
            "long forgets. Once a day is once a shift rota."
        ),
    )
    cooldown: timedelta = Field(
        default=timedelta(minutes=15),
        ge=timedelta(seconds=10),
        le=DAY,
        description=(
            "How long the automations swallow a repeat of the same event. Too short and a cycle "
            "repeated after a server restart may notify twice; too long is refused: neither "
            "reminders nor quiet periods may be shorter than it."
        ),
    )
    digest_above: int = Field(
        default=5,
        ge=1,
        le=1_000,
        description=(
            "How many openings, reminders and all-clears of one cycle are told one by one; more "
            "come as one digest. Too low and two problems hide behind one message; too high and "
            "a storm floods the channel. Five can still be read one by one."
        ),
    )
    receiver: str | None = Field(
        default=None,
        description=(
            "Notification block that is told of incidents, as block-type/name, for instance "
            "slack-webhook/data-alerts. None: everything is registered, nobody is told, and the "
            "report says so."
        ),
    )
    routes: dict[Severity, str] = Field(
        default_factory=dict,
        description=(
            "Notification blocks for incidents of one severity, for instance critical: "
            "pager-duty-webhook/night. Severities without one go to the receiver, and so does a "
            "silent monitor. Too few and warnings wake somebody; too many and nobody sees the "
            "whole. None by default: one place is right until somebody is woken by it."
        ),
    )
    failure_receiver: str | None = Field(
        default=None,
        description=(
            "Second notification block, told when a notification of ours could not be sent; use "
            "another channel than the receiver's. None: such failures show only in the report "
            "of the next cycle and in Prefect's event feed."
        ),
    )
    silent_after: int = Field(
        default=3,
        ge=2,
        le=100,
        description=(
            "Intervals without a count after which the monitor itself is reported as silent. Too "
            "low and one slow cycle alarms; too high and a dead monitor stays unnoticed. Three "
            "forgives one missed cycle and a slow one."
        ),
    )
    silent_reminder: timedelta = Field(
        default=timedelta(hours=6),
        ge=timedelta(seconds=10),
        le=timedelta(days=30),
        description=(
            "How often a silent monitor is reported again. Too short is noise (a paused "
            "deployment is silent, too), too long forgets. It also is the only alarm when the "
            "monitor never ran, then late by up to three times this."
        ),
    )
    triage: bool = Field(
        default=True,
        description=(
            "Whether each incident that opens starts a run of the deployment crash-triage, where "
            "that is deployed: a close look at one of its runs, as an artifact. False leaves it to "
            "you; true costs a flow run and some 20 requests an incident, once per cooldown, for "
            "at most digest_above incidents of a cycle."
        ),
    )
    reports_kept: int = Field(
        default=50,
        ge=1,
        le=10_000,
        description=(
            "Versions kept of each artifact. Too low and there is no looking back in the UI; too "
            "high and the database grows by a report per interval (288 a day at five minutes)."
        ),
    )
    rows_shown: int = Field(
        default=200,
        ge=1,
        le=5_000,
        description=(
            "Rows of the crash-runs table, newest first; the report says what was left out. Too "
            "low hides crashes, too high makes the page heavy (about 400 bytes a row; Prefect "
            "Cloud takes 5 MiB)."
        ),
    )

    actions: Actions = Field(
        default_factory=Actions,
        description=(
            "What the monitor may do itself: retry runs, pause what crashes, free slots. All of "
            "it is off by default; see below."
        ),
    )

    @field_validator("receiver", "failure_receiver")
    @classmethod
    def _is_a_block_name(cls, value: str | None) -> str | None:
        if value is not None and not BLOCK_NAME.fullmatch(value):
            raise ValueError(f"{value!r} is no block-type/name, for instance slack-webhook/alerts")
        return value

    @field_validator("routes")
    @classmethod
    def _are_block_names(cls, value: dict[Severity, str]) -> dict[Severity, str]:
        for name in value.values():
            cls._is_a_block_name(name)
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if DAY % self.interval or self.interval.microseconds:
            raise ValueError(f"interval {self.interval} does not divide a day in whole seconds")
        if self.catch_up < self.interval:
            raise ValueError(f"catch_up {self.catch_up} is shorter than interval {self.interval}")
        if self.late_horizon > INTERVALS_KEPT * self.interval:
            raise ValueError(
                f"late_horizon {self.late_horizon} is longer than the {INTERVALS_KEPT} intervals "
                f"that are remembered ({INTERVALS_KEPT * self.interval}): nothing earlier can be "
                "corrected. Lower it, or raise interval"
            )
        names = [rule.name for rule in self.rules]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"rule names must be unique, repeated: {', '.join(repeated)}")
        if unknown := self.actions.pause.misses(names):
            raise ValueError(f"actions.pause.rules: no rule is called {', '.join(unknown)}")
        self._refuse_gaps_shorter_than_the_cooldown()
        return self

    def _refuse_gaps_shorter_than_the_cooldown(self) -> None:
        """Automations drop, not delay, what comes within a cooldown (facts of Prefect 3.8)."""
        gaps = {"remind_after": self.remind_after, "remind_at_most": self.remind_at_most}
        gaps |= {f"quiet_for of rule {rule.name!r}": rule.quiet_for for rule in self.rules}
        for name, gap in gaps.items():
            if gap < self.cooldown:
                raise ValueError(
                    f"{name} ({gap}) is shorter than cooldown ({self.cooldown}): the automations "
                    "would swallow what comes in between. Raise it, or lower cooldown."
                )

    @property
    def lookback(self) -> timedelta:
        """How much history before an interval the rules and late events need."""
        widest = max((rule.reads_back for rule in self.rules), default=timedelta(0))
        return max(self.late_horizon, widest + self.grace, self.actions.reads_back)

    @property
    def dimensions(self) -> frozenset[str]:
        """Custom dimensions that any rule counts by."""
        return frozenset(rule.dimension for rule in self.rules if rule.dimension)
