"""An act of the monitor: what it is about, and what came of it; as a value and in the ledger."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from shlex import quote

from prefect_crash_monitor.config.actions import Mode, Target
from prefect_crash_monitor.model.codec import Moment

REMEMBERED = 1_000
"""Acts kept in the ledger, the newest; about 400 kB. A run's own history on the server tells of
older retries."""


class ActKind(StrEnum):
    """What is done; the last word of its event's name."""

    RETRIED = "retried"
    PAUSED = "paused"
    FREED = "freed"


class Result(StrEnum):
    """What came of an act."""

    PENDING = "pending"
    """Decided; the cycle that wrote this down was about to do it."""
    DONE = "done"
    WOULD = "would"
    """Dry run: nothing was changed."""
    LEFT = "left"
    """When it came to it, it was not right any more."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One act, decided; what it is about, and what came of it."""

    id: str
    """12 hex digits: a hash of what it is about and its mode."""
    kind: ActKind
    mode: Mode
    at: Moment
    """When it was decided."""
    target: str
    """Flow run id, deployment id, work pool name, or task run id."""
    target_type: str
    """`flow-run`, `deployment`, `work-pool` or `task-run`."""
    name: str
    """Of the target, for people."""
    why: str
    """Cause of the crash, or the incident `<id>.<episode>`."""
    detail: str = ""
    """State id of the crash, or the tag of a slot: what has to be so still. Of a pause the crashes
    that it rests on, as `flow run id:state id`."""
    number: int = 1
    """Ordinal of a retry among those of its run."""
    result: Result = Result.PENDING
    remark: str = ""
    """Why it was left or failed."""

    @property
    def undo(self) -> str:
        """The command that takes it back; empty where there is none."""
        if self.kind is not ActKind.PAUSED:
            return ""
        if self.target_type == Target.WORK_POOL:
            return f"prefect work-pool resume {quote(self.target)}"
        return f"prefect api POST /deployments/{self.target}/resume_deployment"


def remember(past: Iterable[Act], planned: Iterable[Act]) -> tuple[Act, ...]:
    """The acts as the ledger keeps them, oldest first, each once."""
    return tuple({act.id: act for act in (*past, *planned)}.values())[-REMEMBERED:]
