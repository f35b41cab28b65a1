"""Silences: which crashes open no incident for a while, though they are counted and shown.

A silence has an end. It hides crashes from opening incidents, never from an incident that is open
already; what still burns when it ends opens one then, because the rules look at the crashes again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from prefect_crash_monitor.config.matching import FIELDS, matches
from prefect_crash_monitor.config.policy import Policy
from prefect_crash_monitor.errors import BadInput
from prefect_crash_monitor.model import codec
from prefect_crash_monitor.model.codec import Moment
from prefect_crash_monitor.model.crash import Crash, Diagnosis
from prefect_crash_monitor.model.incident import Incident


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Crashes that match every field are silenced from `since` until `until`."""

    id: str
    """8 hex digits; `policy-N` for the N-th silence of the policy."""
    matcher: Mapping[str, str]
    """Field to pattern: `*`, `?` and `[…]` as in a shell, case-sensitive."""
    since: Moment
    until: Moment
    reason: str
    author: str = ""

    def is_active(self, moment: datetime) -> bool:
        """Whether it silences at a moment; not any more at its end."""
        return self.since <= moment < self.until

    def matches(self, crash: Crash, diagnosis: Diagnosis | None) -> bool:
        """Whether a crash is among those meant."""
        return matches(self.matcher, crash, diagnosis)

    def covers(self, incident: Incident) -> bool:
        """Whether all that an incident is about is meant; only what it lists can be told."""
        listed = {
            "deployment": incident.deployments,
            "flow": [name.split("/", 1)[0] for name in incident.deployments],
            "work_pool": incident.work_pools,
            "cause": incident.causes,
        }
        return all(
            bool(values := list(listed.get(field, [])))
            and all(fnmatchcase(value, pattern) for value in values)
            for field, pattern in self.matcher.items()
        )


def checked(silence: Silence) -> Silence:
    """The silence itself, where it can be used.

    Raises:
        BadInput: nothing to match on, an unknown field, or an end before its start.
    """
    if not silence.matcher:
        raise BadInput(f"A silence must match on something: {', '.join(FIELDS)}.")
    if unknown := sorted(set(silence.matcher) - set(FIELDS)):
        raise BadInput(
            f"A silence cannot match on {', '.join(unknown)}; it can on {', '.join(FIELDS)}."
        )
    if silence.until <= silence.since:
        raise BadInput(
            f"The silence ends at {silence.until.isoformat()}, before it begins "
            f"({silence.since.isoformat()})."
        )
    return silence


def planned(policy: Policy) -> tuple[Silence, ...]:
    """The silences that stand in the policy."""
    return tuple(
        Silence(
            id=f"policy-{number}",
            matcher={str(field): pattern for field, pattern in silence.matcher.items()},
            since=silence.since.astimezone(UTC),
            until=silence.until.astimezone(UTC),
            reason=silence.reason,
            author="policy",
        )
        for number, silence in enumerate(policy.silences, start=1)
    )


def active(silences: Iterable[Silence], moment: datetime) -> tuple[Silence, ...]:
    """Those that silence at a moment."""
    return tuple(silence for silence in silences if silence.is_active(moment))


def silenced(
    crashes: Iterable[Crash], diagnoses: Mapping[str, Diagnosis], silences: Sequence[Silence]
) -> dict[str, Silence]:
    """The silence of each silenced crash, by state id; the first that matches."""
    found: dict[str, Silence] = {}
    for crash in crashes if silences else ():
        diagnosis = diagnoses.get(crash.state_id)
        for silence in silences:
            if silence.matches(crash, diagnosis):
                found[crash.state_id] = silence
                break
    return found


def of_json(data: object) -> Silence:
    """The silence of its JSON.

    Raises:
        ValueError, BadInput: when it is damaged.
    """
    return checked(codec.of_json(Silence, data))
