"""What is known when acts are decided. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from prefect_crash_monitor.config.policy import Policy
from prefect_crash_monitor.model.crash import Crash, Diagnosis, Fate
from prefect_crash_monitor.model.incident import Incident
from prefect_crash_monitor.remediate.action import Act
from prefect_crash_monitor.remediate.slots import HeldSlot


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """All that is known when acts are decided."""

    policy: Policy
    now: datetime
    crashes: Sequence[Crash]
    fates: Mapping[str, Fate]
    diagnoses: Mapping[str, Diagnosis]
    incidents: Sequence[Incident] = ()
    silenced: frozenset[str] = frozenset()
    """State ids."""
    past: Sequence[Act] = ()
    held: Sequence[HeldSlot] = ()

    def cause(self, crash: Crash) -> str:
        """Slug of the cause of a crash; empty where it was not explained."""
        diagnosis = self.diagnoses.get(crash.state_id)
        return diagnosis.cause if diagnosis else ""


def act_id(*parts: str) -> str:
    """The id of an act, made of what it is about."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:12]
