"""What a cycle sees before it decides: the due intervals, their crashes, causes and silences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from prefect_crash_monitor.config.policy import Policy
from prefect_crash_monitor.count.corrections import correctable
from prefect_crash_monitor.count.schedule import Due
from prefect_crash_monitor.evaluate.silences import Silence
from prefect_crash_monitor.explain.failed_runs import Beside
from prefect_crash_monitor.explain.sampling import Explained
from prefect_crash_monitor.ghosts.tracking import Found
from prefect_crash_monitor.model.crash import Crash, Observation
from prefect_crash_monitor.model.interval import Window
from prefect_crash_monitor.model.own import is_own
from prefect_crash_monitor.model.runs import Ending, Runs
from prefect_crash_monitor.remediate.slots import HeldSlot, Unclaimed
from prefect_crash_monitor.state.ledger import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All that counting, judging and telling need; frozen, so that each sees the same."""

    now: datetime
    policy: Policy
    ledger: Ledger
    """As the last cycle left it."""
    plan: Due
    observation: Observation
    explained: Explained
    planned: tuple[Silence, ...] = ()
    """Silences of the policy."""
    stored: tuple[Silence, ...] = ()
    """Those that people added; as read last where they cannot be read."""
    beside: Beside = field(default_factory=Beside)
    """Runs that failed in the due intervals."""
    completed: Mapping[Runs, datetime | None] = field(default_factory=dict)
    """Of the runs that a streak of crashes may be of, when one completed last."""
    ended: Mapping[Ending, int] = field(default_factory=dict)
    """How many runs ended otherwise than crashed, where a rate is in question."""
    ghosts: tuple[Found, ...] = ()
    """Runs that ended without saying so, as far as is known now."""
    not_judged: tuple[str, ...] = ()
    """What is left out of judging, in words."""
    held_slots: tuple[HeldSlot, ...] = ()
    """Slots of tag limits that are taken, where the policy asks for them."""
    unclaimed: tuple[Unclaimed, ...] = ()
    """Deployments of which more slots are taken than runs are alive, likewise."""

    @property
    def silences(self) -> tuple[Silence, ...]:
        """All of them."""
        return (*self.planned, *self.stored)

    def in_force(self, moment: datetime) -> tuple[Silence, ...]:
        """The silences at the end of an interval, and those of now: it is now that is told of it.

        Else what crashed a minute before somebody adds a silence would notify a minute after.
        """
        return tuple(s for s in self.silences if s.is_active(moment) or s.is_active(self.now))

    @property
    def crashes(self) -> tuple[Crash, ...]:
        """The crashes observed, without the monitor's own."""
        own = self.ledger.own_deployments
        return tuple(c for c in self.observation.crashes if not is_own(c, own))

    @property
    def own_crashes(self) -> Mapping[str, int]:
        """The monitor's own crashes of what is due, by deployment or flow."""
        due, own = Window(self.plan.windows[0].start, self.end), self.ledger.own_deployments
        found = (c for c in self.observation.crashes if c.at in due and is_own(c, own))
        return Counter(crash.deployment or crash.flow for crash in found)

    @property
    def new(self) -> list[Crash]:
        """Those of them that are counted for the first time."""
        span = Window(self.plan.windows[0].start, self.end)
        return [crash for crash in self.crashes if crash.at in span]

    @property
    def end(self) -> datetime:
        """End of the last interval that is due."""
        return self.plan.windows[-1].end

    @property
    def late_horizon(self) -> datetime:
        """How far back late events still correct a record."""
        return horizon_of(self.plan, self.policy)


def judged_through(plan: Due, policy: Policy) -> list[datetime]:
    """The moments before which crashes are past their grace, of each judgement."""
    return [window.end - policy.grace for window in plan.windows]


def horizon_of(plan: Due, policy: Policy) -> datetime:
    """How far back late events still correct a record."""
    return plan.windows[0].start - policy.late_horizon


def span_to_read(ledger: Ledger, plan: Due, policy: Policy) -> Window:
    """The due intervals, with the history that rules and late events need."""
    first = plan.windows[0].start
    corrected = (c.window.start for c in correctable(ledger.counted, horizon_of(plan, policy)))
    return Window(min([first - policy.lookback, *corrected]), plan.windows[-1].end)
