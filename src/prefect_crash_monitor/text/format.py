"""Times, durations, spans and numbers of crashes, as people read them. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from prefect_crash_monitor.model.incident import Incident


def clock(moment: datetime) -> str:
    """A time of day in UTC."""
    return f"{moment.astimezone(UTC):%H:%M}"


def stamp(moment: datetime) -> str:
    """A date and time in UTC, to the second."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def span(start: datetime, end: datetime) -> str:
    """A window in UTC, with the date of its end where that is another day."""
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    time = "%H:%M:%S" if start.second or end.second else "%H:%M"
    until = time if start.date() == end.date() else f"%Y-%m-%d {time}"
    return f"{start:%Y-%m-%d} {start.strftime(time)}–{end.strftime(until)} UTC"


def duration(length: timedelta) -> str:
    """A length of time in its two largest units."""
    seconds = max(int(length.total_seconds()), 0)
    parts = []
    for name, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        number, seconds = divmod(seconds, size)
        if number:
            parts.append(f"{number} {name}")
    return " ".join(parts[:2]) or "0 s"


def crashes_of(number: int) -> str:
    """The number of crashes in words."""
    return f"{number:,} crash" if number == 1 else f"{number:,} crashes"


def many_of(incident: Incident) -> str:
    """The number of what an incident is of, in words."""
    if not incident.ghosts:
        return crashes_of(incident.crashes)
    return f"{incident.crashes:,} ghost run" + ("s" if incident.crashes != 1 else "")
