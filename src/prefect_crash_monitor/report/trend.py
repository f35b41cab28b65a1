"""The trend as a picture: an SVG that stands alone and reads on light and dark ground."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from xml.sax.saxutils import escape

from prefect_crash_monitor.model.interval import Window
from prefect_crash_monitor.text.format import clock, crashes_of

WIDTH, HEIGHT = 760, 200
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 14, 30
MOST_BARS = 96
LABELS = 6
INK, GRID, BAR, PARTIAL = "#7c8594", "#7c859455", "#e5484d", "#f5a524"

Point = tuple[Window, int, bool]
"""A window, its crashes, and whether it was seen whole."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: a span of the axis; None where nothing was counted."""

    window: Window
    crashed: int | None
    complete: bool


def trend_svg(points: Sequence[Point]) -> str:
    """Crashes per interval. Partial ones are amber, uncounted ones dotted, none drawn as zero."""
    bars = bars_of(points)
    top = max([1, *(bar.crashed or 0 for bar in bars)])
    start, end = bars[0].window.start, bars[-1].window.end
    title = f"Crashed flow runs, {clock(start)} to {clock(end)} UTC, at most {top} per bar"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img" font-family="sans-serif" font-size="11">',
        f"<title>{escape(title)}</title>",
        *_axis(top),
        *(_bar(bar, index, len(bars), top) for index, bar in enumerate(bars)),
        *_times(bars),
        "</svg>",
    ]
    return "".join(parts)


def as_data_url(svg: str) -> str:
    """The picture inside the markdown: both UIs of Prefect 3.8 render it, inline SVG they drop."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def bars_of(points: Sequence[Point]) -> list[Bar]:
    """The points with the gaps between them made visible, added up to at most `MOST_BARS`."""
    step = max((window.length for window, _, _ in points), default=timedelta(minutes=5))
    bars: list[Bar] = []
    for window, crashed, complete in sorted(points):
        while bars and window.start - bars[-1].window.end >= step and len(bars) < 1_000:
            gap = bars[-1].window.end
            bars.append(Bar(Window(gap, gap + step), None, complete=False))
        bars.append(Bar(window, crashed, complete))
    size = -(-len(bars) // MOST_BARS)
    groups = [bars[at : at + size] for at in range(0, len(bars), size)] if bars else []
    return [_together(group) for group in groups]


def _together(group: Sequence[Bar]) -> Bar:
    known = [bar for bar in group if bar.crashed is not None]
    return Bar(
        Window(group[0].window.start, group[-1].window.end),
        sum(bar.crashed or 0 for bar in known) if known else None,
        complete=all(bar.complete for bar in group),
    )


def _axis(top: int) -> list[str]:
    lines = []
    for value in sorted({0, top // 2, top}):
        y = _y(value, top)
        lines.append(
            f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="{GRID}"/>'
            f'<text x="{LEFT - 6}" y="{y + 4:.1f}" fill="{INK}" text-anchor="end">{value}</text>'
        )
    return lines


def _bar(bar: Bar, index: int, number: int, top: int) -> str:
    slot = (WIDTH - LEFT - RIGHT) / number
    x, width = LEFT + index * slot + slot * 0.12, slot * 0.76
    floor = _y(0, top)
    if bar.crashed is None:
        return (
            f'<line x1="{x:.1f}" y1="{floor - 3:.1f}" x2="{x + width:.1f}" y2="{floor - 3:.1f}" '
            f'stroke="{INK}" stroke-width="2" stroke-dasharray="2 2"><title>'
            f"{clock(bar.window.start)} not counted</title></line>"
        )
    y = _y(bar.crashed, top)
    colour = BAR if bar.complete else PARTIAL
    label = f"{clock(bar.window.start)}: {crashes_of(bar.crashed)}"
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{floor - y:.1f}" rx="1.5" '
        f'fill="{colour}"><title>{escape(label)}</title></rect>'
    )


def _times(bars: Sequence[Bar]) -> list[str]:
    step = max(1, len(bars) // LABELS)
    slot = (WIDTH - LEFT - RIGHT) / len(bars)
    return [
        f'<text x="{LEFT + index * slot:.1f}" y="{HEIGHT - 10}" fill="{INK}">'
        f"{_label(bars[index])}</text>"
        for index in range(0, len(bars), step)
        if LEFT + index * slot < WIDTH - RIGHT - 30
    ]


def _label(bar: Bar) -> str:
    """The time at which a bar begins, to the second where bars are shorter than a minute."""
    short = bar.window.length < timedelta(minutes=1)
    return f"{clock(bar.window.start)}{f':{bar.window.start:%S}' if short else ''}"


def _y(value: int, top: int) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top)
