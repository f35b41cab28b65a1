"""How often a deployment runs, by its schedules; computed as Prefect's own scheduler does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

LOOKED_AHEAD = timedelta(days=8)
"""A schedule of working hours shows its weekend."""

AT_ONCE, ASKED = 500, 30
"""Dates computed at once, and how often: a schedule for each minute has 11,520 in eight days."""


async def longest_gap(schedules: Iterable[Mapping[str, Any]], now: datetime) -> timedelta:
    """The longest time between two runs in the days to come; 0 where there are not two.

    Args:
        schedules: Those of one deployment that are active, as the API gives them: each with
            `interval` (seconds), `cron` or `rrule`.
        now: The gap is looked for from here on.

    Raises:
        ValueError: a schedule that Prefect itself cannot read.
    """
    dates: set[datetime] = set()
    for schedule in schedules:
        dates |= await _dates(schedule, now)
    return max((b - a for a, b in pairwise(sorted(dates))), default=timedelta(0))


async def _dates(schedule: Mapping[str, Any], now: datetime) -> set[datetime]:
    """When it runs in the days to come; where that is but once, also when it runs next."""
    # Slow to import, and needed only where a deployment's schedule is read.
    from prefect.server.schemas import schedules

    kinds: dict[str, Any] = {
        "interval": schedules.IntervalSchedule,
        "cron": schedules.CronSchedule,
        "rrule": schedules.RRuleSchedule,
    }
    kind = next((kinds[key] for key in kinds if schedule.get(key)), None)
    if kind is None:
        return set()
    clock = kind.model_validate(dict(schedule))
    if len(found := await clock.get_dates(2, start=now)) < 2:
        return set(found)
    dates, until = set(found), now + LOOKED_AHEAD
    for _ in range(ASKED):
        more = await clock.get_dates(AT_ONCE, start=max(dates), end=until)
        if not set(more) - dates:
            break
        dates |= set(more)
    return dates
