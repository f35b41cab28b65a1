"""What a reader must know of a cycle's view: what was left out, sampled, silenced."""

from __future__ import annotations

from prefect_crash_monitor.count.schedule import Due
from prefect_crash_monitor.cycle.snapshot import Seen
from prefect_crash_monitor.evaluate.silences import Silence, silenced
from prefect_crash_monitor.explain.sampling import Explained


def remarks(seen: Seen) -> tuple[str, ...]:
    """What a reader must know of this cycle's view: what was left out, sampled, silenced."""
    return (
        *_left_out(seen.plan),
        *_sampled(seen.explained),
        *seen.not_judged,
        *(slots.in_words for slots in seen.unclaimed),
        *(_silence_in_words(silence, seen) for silence in seen.in_force(seen.end)),
    )


def _silence_in_words(silence: Silence, seen: Seen) -> str:
    matched = silenced(seen.new, seen.explained.diagnoses, [silence])
    what = ", ".join(f"{field} {pattern}" for field, pattern in silence.matcher.items())
    author = f" ({silence.author})" if silence.author else ""
    return (
        f"Silenced until {silence.until.isoformat()}: {what}; {silence.reason}{author}. "
        f"{len(matched)} of the crashes counted now; they are counted, but open no incident."
    )


def _sampled(explained: Explained) -> tuple[str, ...]:
    if explained.looked_at >= explained.unclear:
        return ()
    notice = (
        f"Of {explained.unclear} crashes whose message tells no cause {explained.looked_at} were "
        "looked at; the others are given the cause of those like them, where that is one."
    )
    return (notice,)


def _left_out(plan: Due) -> tuple[str, ...]:
    if plan.left_out is None:
        return ()
    start, end = plan.left_out.start.isoformat(), plan.left_out.end.isoformat()
    notice = (
        f"Not counted, because the monitor was away for longer than catch_up: {start} to {end}. "
        f"`crash-monitor count --since {start} --until {end}` tells what can still be seen of it."
    )
    return (notice,)
