"""A line in the log for each decision of a cycle, with its reason.

The report shows what is; the log shows why, also of cycles whose report is gone.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from prefect_crash_monitor.model.incident import Transition
from prefect_crash_monitor.model.interval_record import IntervalRecord
from prefect_crash_monitor.remediate.plan import Plan

_log = logging.getLogger(__name__)


def log_decisions(
    records: Sequence[IntervalRecord], transitions: Sequence[Transition], plan: Plan
) -> None:
    """Logs each interval counted, each change of an incident, each action chosen or left."""
    for record in records:
        _log.info(
            "Counted %d crashes in [%s, %s)%s%s",
            record.crashed,
            record.window.start.isoformat(),
            record.window.end.isoformat(),
            f", revision {record.revision}" if record.revision else "",
            f"; partial: {'; '.join(record.gaps)}" if record.gaps else "",
        )
    for transition in transitions:
        incident = transition.incident
        _log.info(
            "Incident %s.%d %s (%s): rule %s, group %r, %d crashes, cause %s",
            incident.id,
            incident.episode,
            transition.kind,
            transition.reason,
            incident.rule,
            incident.group,
            incident.crashes,
            incident.sample_cause or "unknown",
        )
    for act in plan.acts:
        _log.info("Action %s: %s %r, because of %s", act.mode, act.kind, act.name, act.why)
    for reason, number in plan.left.items():
        _log.info("No action for %d: %s", number, reason)
