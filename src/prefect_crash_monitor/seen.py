"""What a cycle sees before it decides: the due intervals, their crashes, causes and silences."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from prefect_crash_monitor.api import Api
from prefect_crash_monitor.corrections import correctable
from prefect_crash_monitor.count import is_own
from prefect_crash_monitor.explaining import Explained, explain_crashes
from prefect_crash_monitor.ledger import Ledger
from prefect_crash_monitor.model import Crash, Observation, Window
from prefect_crash_monitor.observe import observe
from prefect_crash_monitor.policy import Policy
from prefect_crash_monitor.recoveries import date_recoveries
from prefect_crash_monitor.silence_store import SilenceStore
from prefect_crash_monitor.silences import Silence, planned
from prefect_crash_monitor.windows import EPOCH, Due


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
    silences: tuple[Silence, ...] = field(default=())

    @property
    def crashes(self) -> tuple[Crash, ...]:
        """The crashes observed, without the monitor's own."""
        own = self.ledger.own_deployments
        return tuple(c for c in self.observation.crashes if not is_own(c, own))

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


async def see(
    api: Api, ledger: Ledger, plan: Due, policy: Policy, monitor: str, now: datetime
) -> Seen:
    """Reads the due intervals, with the history that rules and late events need.

    Raises:
        ApiTrouble: nothing is lost, the next cycle does this one's work.
    """
    first = plan.windows[0].start
    corrected = [c.window.start for c in correctable(ledger, horizon_of(plan, policy))]
    span = Window(min([first - policy.lookback, *corrected]), plan.windows[-1].end)
    observation = await observe(api, span, now=now, settle=policy.settle)
    observation = await date_recoveries(api, observation, policy.grace)
    crashes = [c for c in observation.crashes if not is_own(c, ledger.own_deployments)]
    judged = (ledger.watermark or EPOCH) - policy.grace
    return Seen(
        now=now,
        policy=policy,
        ledger=ledger,
        plan=plan,
        observation=observation,
        explained=await explain_crashes(api, crashes, ledger.diagnoses, settled_before=judged),
        silences=(*planned(policy), *await SilenceStore(api, monitor).read(plan.windows[0].end)),
    )


def horizon_of(plan: Due, policy: Policy) -> datetime:
    """How far back late events still correct a record."""
    return plan.windows[0].start - policy.late_horizon
