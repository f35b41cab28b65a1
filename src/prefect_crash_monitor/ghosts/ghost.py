"""A ghost: a flow run that ended without saying so, and the state in which it was left."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from prefect_crash_monitor.explain import Confidence, Evidence, Explanation, Verdict, explain
from prefect_crash_monitor.explain.liveness import end_told
from prefect_crash_monitor.model.codec import Moment
from prefect_crash_monitor.model.crash import Crash

NEVER_RAN = "exited-without-running"
"""Cause of a run that is stuck for good: its worker saw its process end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dead:
    """What a close look at a ghost tells."""

    why: Explanation
    is_silent: bool


def death(evidence: Evidence) -> Dead | None:
    """Why a run that has not ended is a ghost; None where it is none."""
    why = explain(evidence)
    if why.verdict is Verdict.STUCK and why.cause == NEVER_RAN:
        why = replace(why, verdict=Verdict.GHOST)
    if why.verdict is not Verdict.GHOST:
        return None
    return Dead(why=why, is_silent=not end_told(evidence).held)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ghost:
    """A run that is called running, pending or cancelling, and is not."""

    left_in: Crash
    """The state it was left in, told as a crash is: `state_id` and `at` are that state's."""
    why: Explanation
    is_silent: bool
    """Nothing but its silence tells of its end: neither its worker nor its pod."""
    looked_at: Moment | None = None
    """When it was looked at closely; None: just now."""

    @property
    def proved_at(self) -> datetime:
        """The latest moment of what proves it: life that shows later gives it the lie."""
        return max([self.left_in.at, *(line.at for line in self.why.evidence if line.at)])

    @property
    def flow_run_id(self) -> str:
        """Of the run."""
        return self.left_in.flow_run_id

    @property
    def is_claimed(self) -> bool:
        """Whether it is said to be dead; of the others nobody can tell whether they live."""
        return self.why.confidence is not Confidence.LOW

    @property
    def is_likely(self) -> bool:
        """Whether it is said to be dead, and may still be alive."""
        return self.is_claimed and not self.certain

    @property
    def certain(self) -> bool:
        """Whether the run may be set CRASHED: what is only likely may still be alive."""
        return self.why.confidence is Confidence.HIGH

    def to_json(self) -> dict[str, Any]:
        """As `crash-monitor ghosts --json` lists it: its explanation, and where it ran."""
        return self.why.to_json() | {
            "deployment": self.left_in.deployment,
            "work_pool": self.left_in.work_pool,
            "state_name": self.left_in.state_name,
            "since": self.left_in.at.isoformat(),
        }
