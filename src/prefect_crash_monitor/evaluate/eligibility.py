"""Which crashes count towards rules, and in which groups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from prefect_crash_monitor.config.policy import Rule, Scope
from prefect_crash_monitor.model.crash import Crash, Fate, Outcome


def standing_crashes(
    crashes: Iterable[Crash], outcomes: Mapping[str, Outcome], grace: timedelta, as_of: datetime
) -> list[Crash]:
    """The crashes that count towards rules: past their grace, and not recovered within it.

    Intervals are half-open, so a crash at the very end belongs to the next judgement.
    A crash of a run that crashed again stands, so that a crash loop cannot hide. Subflows inside
    their parent's process do not: the death of that process is one crash, the parent's.
    """
    return sorted(
        (
            crash
            for crash in crashes
            if not crash.dies_with_parent
            and crash.at + grace < as_of
            and _stands(crash, outcomes[crash.state_id], grace)
        ),
        key=lambda crash: (crash.at, crash.state_id),
    )


def _stands(crash: Crash, outcome: Outcome, grace: timedelta) -> bool:
    if outcome.fate is not Fate.RECOVERED or outcome.recovered_at is None:
        return True
    return outcome.recovered_at > crash.at + grace


def by_group(crashes: Iterable[Crash], rule: Rule) -> dict[str, list[Crash]]:
    """The crashes of each group of a rule."""
    groups: dict[str, list[Crash]] = defaultdict(list)
    for crash in crashes:
        for group in groups_of(crash, rule):
            groups[group].append(crash)
    return groups


def groups_of(crash: Crash, rule: Rule) -> tuple[str, ...]:
    """The groups in which a crash counts; none where it has no such name."""
    match rule.scope:
        case Scope.EVERYTHING:
            return ("",)
        case Scope.FLOW:
            names = [crash.flow]
        case Scope.DEPLOYMENT:
            names = [crash.deployment or crash.flow]
        case Scope.FLOW_RUN:
            names = [f"{crash.flow_run_name} ({crash.flow_run_id})".strip()]
        case Scope.WORK_POOL:
            names = [crash.work_pool]
        case Scope.WORK_QUEUE:
            names = [f"{crash.work_pool}/{crash.work_queue}" if crash.work_queue else ""]
        case Scope.TAG:
            names = list(crash.tags)
        case Scope.DIMENSION:
            prefix = f"{rule.dimension}:"
            tagged = [tag.removeprefix(prefix) for tag in crash.tags if tag.startswith(prefix)]
            names = tagged or [dict(crash.labels).get(rule.dimension, "")]
    return tuple(sorted({name for name in names if name}))
