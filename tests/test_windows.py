"""Which intervals are due: each settled one once, whatever the clock does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from prefect_crash_monitor.config.policy import Policy
from prefect_crash_monitor.count.schedule import boundaries, due
from prefect_crash_monitor.model.interval import Window, aligned, equal_parts

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
POLICY = Policy()
moments = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))


def test_first_cycle_counts_the_latest_settled_interval():
    """Without a watermark there is no past to catch up with."""
    plan = due(None, NOON + timedelta(seconds=30), POLICY)

    assert plan.windows == (Window(NOON - 5 * MINUTE, NOON),)
    assert plan.left_out is None


def test_an_interval_is_not_due_before_it_settled():
    """Events take seconds to be stored; 19 s after the end is too early, 20 s is not."""
    early = due(NOON - 5 * MINUTE, NOON + timedelta(seconds=19), POLICY)
    settled = due(NOON - 5 * MINUTE, NOON + timedelta(seconds=20), POLICY)

    assert early.windows == ()
    assert settled.windows == (Window(NOON - 5 * MINUTE, NOON),)


def test_catches_up_in_intervals_and_names_what_it_leaves_out():
    """After two days away one day is counted, and the other is told of."""
    plan = due(NOON - timedelta(days=2), NOON + MINUTE, POLICY)

    assert len(plan.windows) == 288
    assert plan.windows[-1].end == NOON
    assert plan.left_out == Window(NOON - timedelta(days=2), NOON - timedelta(days=1))


def test_a_changed_interval_counts_nothing_twice():
    """A watermark off the new boundaries makes a shorter first interval."""
    plan = due(NOON + 5 * MINUTE, NOON + 31 * MINUTE, Policy(interval=15 * MINUTE))

    assert plan.windows == (
        Window(NOON + 5 * MINUTE, NOON + 15 * MINUTE),
        Window(NOON + 15 * MINUTE, NOON + 30 * MINUTE),
    )


@given(st.lists(moments, min_size=1, max_size=20))
def test_cycles_at_any_times_count_each_moment_once(times):
    """Late, doubled, early: the intervals counted are adjacent and never overlap."""
    watermark, counted = None, []
    for now in sorted(times):
        plan = due(watermark, now, POLICY)
        counted += [*([plan.left_out] if plan.left_out else []), *plan.windows]
        watermark = counted[-1].end

    assert all(a.end == b.start for a, b in pairwise(counted))


@given(moments, st.timedeltas(timedelta(0), timedelta(days=2)))
def test_boundaries_cover_the_window(start, length):
    """Cut pieces are adjacent, aligned inside, and together the window."""
    window = Window(start, start + length)

    pieces = list(boundaries(window, timedelta(hours=1)))

    assert sum((piece.length for piece in pieces), timedelta(0)) == length
    assert all(piece.start == aligned(piece.start, timedelta(hours=1)) for piece in pieces[1:])


@given(moments, st.timedeltas(timedelta(microseconds=1), timedelta(days=9)), st.integers(1, 50))
def test_equal_parts_are_adjacent_and_whole(start, length, parts):
    """No moment of a window falls between two of its parts."""
    window = Window(start, start + length)

    cut = equal_parts(window, parts)

    assert (cut[0].start, cut[-1].end) == (window.start, window.end)
    assert all(a.end == b.start for a, b in pairwise(cut))
    assert all(part.start < part.end for part in cut)
