"""What a cycle did. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from prefect_crash_monitor.count.count import record_json
from prefect_crash_monitor.evaluate.evaluate import Judgement
from prefect_crash_monitor.model.codec import to_json
from prefect_crash_monitor.model.interval_record import IntervalRecord
from prefect_crash_monitor.publish.events import incident_json
from prefect_crash_monitor.remediate.action import Act
from prefect_crash_monitor.remediate.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a cycle did."""

    record: IntervalRecord
    """Of the latest interval."""
    records: tuple[IntervalRecord, ...] = ()
    """All intervals counted now, oldest first, with corrections; empty where none was due."""
    judgement: Judgement
    plan: Plan = field(default_factory=Plan)
    """What was decided to be done."""
    acts: tuple[Act, ...] = ()
    """What came of it."""
    notices: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The interval record, and what else the cycle has to say."""
        return record_json(self.record) | {
            "state_ids": list(self.record.state_ids),
            "counted": [record_json(record) for record in self.records],
            "transitions": [
                {"incident": f"{t.incident.id}.{t.incident.episode}", "kind": str(t.kind)}
                for t in self.judgement.transitions
            ],
            "incidents": [incident_json(incident) for incident in self.judgement.open],
            "acts": [to_json(Act, act) for act in self.acts],
            "notices": list(self.notices),
        }
