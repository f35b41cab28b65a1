"""What is known when acts are decided. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from prefect_crash_monitor.act import Act
from prefect_crash_monitor.model import Crash, Diagnosis, Fate, Incident
from prefect_crash_monitor.policy import Policy
from prefect_crash_monitor.seen import Seen
from prefect_crash_monitor.silences import active, silenced
from prefect_crash_monitor.slots import HeldSlot


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


def knowledge(seen: Seen, open_: Sequence[Incident]) -> Knowledge:
    """What a cycle knows at its end; of the incidents that are open those not silenced."""
    why = seen.explained.diagnoses
    hushing = active(seen.silences, seen.now)
    return Knowledge(
        policy=seen.policy,
        now=seen.now,
        crashes=seen.crashes,
        fates={id_: outcome.fate for id_, outcome in seen.observation.outcomes.items()},
        diagnoses=why,
        incidents=[i for i in open_ if not any(silence.covers(i) for silence in hushing)],
        silenced=frozenset(silenced(seen.crashes, why, hushing)),
        past=seen.ledger.acts,
        held=seen.held_slots,
    )


def act_id(*parts: str) -> str:
    """The id of an act, made of what it is about."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:12]
