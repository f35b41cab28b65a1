"""The report: a markdown artifact that someone woken at night can act on.

In the order of the questions asked: is something wrong now, what needs a human, how much and is
it unusual, where, which runs; then how far the answer can be trusted.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from urllib.parse import quote

from prefect_crash_monitor.explain.failed_runs import Beside
from prefect_crash_monitor.ghosts.tracking import Found
from prefect_crash_monitor.model.crash import Crash, Diagnosis, Fate, Outcome, Source
from prefect_crash_monitor.model.incident import Incident
from prefect_crash_monitor.model.interval import Window
from prefect_crash_monitor.model.interval_record import IntervalRecord
from prefect_crash_monitor.notify.delivery.record import Delivery, troubled
from prefect_crash_monitor.remediate.action import Act
from prefect_crash_monitor.report.actions import acts_section
from prefect_crash_monitor.report.crash_table import FATE_WORDS, cause_of
from prefect_crash_monitor.report.deliveries import deliveries_section
from prefect_crash_monitor.report.failed_runs import beside_section
from prefect_crash_monitor.report.ghosts import ghosts_section
from prefect_crash_monitor.report.incidents import incidents_section
from prefect_crash_monitor.report.trend import Point, as_data_url, trend_svg
from prefect_crash_monitor.text.format import crashes_of, span, stamp
from prefect_crash_monitor.text.sanitize import link, markdown, run_url

GROUPS_SHOWN, CRASHES_SHOWN = 20, 15
USUAL_FROM = 12
"""Intervals before a usual number is named: an hour at five minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that the report says."""

    monitor: str
    as_of: datetime
    records: tuple[IntervalRecord, ...]
    """What this cycle counted: corrections first, then intervals, the latest last."""
    crashes: tuple[Crash, ...] = ()
    """Of these intervals, without the monitor's own."""
    own_crashes: Mapping[str, int] = field(default_factory=dict)
    """The monitor's own, by deployment or flow: named, so that nobody hides crashes among them."""
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    diagnoses: Mapping[str, Diagnosis] = field(default_factory=dict)
    series: tuple[Point, ...] = ()
    """The recent intervals for the trend, this cycle's with them."""
    open_incidents: tuple[Incident, ...] = ()
    resolved: tuple[Incident, ...] = ()
    deliveries: tuple[Delivery, ...] = ()
    """What became of the notifications told by the cycles before."""
    acts: tuple[Act, ...] = ()
    not_done: Mapping[str, int] = field(default_factory=dict)
    """Of what might have been done, how many why not."""
    notices: tuple[str, ...] = ()
    beside: Beside = field(default_factory=Beside)
    ghosts: tuple[Found, ...] = ()
    ui_url: str = ""

    @property
    def window(self) -> Window:
        """From the first to the last interval counted for the first time."""
        new = [record.window for record in self.records if not record.revision]
        return Window(new[0].start, new[-1].end) if new else self.records[-1].window

    @property
    def crashed(self) -> int:
        """Crashes in that window."""
        return sum(record.crashed for record in self.records if not record.revision)

    @property
    def gaps(self) -> tuple[str, ...]:
        """Why the view is partial, each reason once."""
        return tuple(dict.fromkeys(gap for record in self.records for gap in record.gaps))


def headline(report: Report) -> str:
    """One line for the artifact's description."""
    partial = "" if not report.gaps else "at least "
    parts = [f"{partial}{crashes_of(report.crashed)}, {span(*_edges(report.window))}"]
    if change := _change(report):
        parts[0] += f" ({change})"
    number = len(report.open_incidents)
    if number:
        parts.append(f"{number} open incident{'s' if number > 1 else ''}")
    if dead := sum(one.sure_at is not None for one in report.ghosts):
        parts.append(f"{dead} ghost run{'s' if dead > 1 else ''}")
    if untold := len(troubled(report.deliveries)):
        parts.append(f"{untold} not confirmed to be told")
    if report.gaps:
        parts.append("partial view")
    return ", ".join(parts)


def render_report(report: Report) -> str:
    """The report as GitHub-flavoured markdown; everything of strangers in it is inert."""
    sections = [
        f"# {'🔴' if report.open_incidents else '🟢' if not report.crashed else '🟠'} "
        f"{_verdict(report)}",
        _gaps(report),
        incidents_section(
            report.open_incidents, report.resolved, as_of=report.as_of, ui_url=report.ui_url
        ),
        deliveries_section(troubled(report.deliveries), monitor=report.monitor),
        acts_section(report.acts, report.not_done, as_of=report.as_of, ui_url=report.ui_url),
        _numbers(report),
        _trend(report),
        _causes(report),
        _groups(report, "Deployment", lambda crash: crash.deployment or crash.flow),
        _groups(report, "Work pool", lambda crash: crash.work_pool),
        _latest(report),
        ghosts_section(report.ghosts, ui_url=report.ui_url),
        beside_section(report.beside, ui_url=report.ui_url),
        _notices(report),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _verdict(report: Report) -> str:
    where = span(*_edges(report.window))
    if not report.crashed:
        text = f"No flow run crashed, {where}"
    else:
        text = f"{crashes_of(report.crashed).capitalize()}, {where}"
    return text.replace("No flow run", "No flow run seen to have") if report.gaps else text


def _gaps(report: Report) -> str:
    if not report.gaps:
        return ""
    lines = "\n".join(f"> - {markdown(gap, 600)}" for gap in report.gaps)
    return f"> **Partial view: there may be more crashes than counted.**\n>\n{lines}"


def _causes(report: Report) -> str:
    """The causes, the most frequent first, each with where it was and one of its runs."""
    groups: dict[str, list[Crash]] = defaultdict(list)
    for crash in report.crashes:
        if crash.state_id in report.diagnoses:
            groups[report.diagnoses[crash.state_id].cause].append(crash)
    if not groups:
        return ""
    ranked = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    lines = ["| Cause | Crashes | Deployments | What it says |", "| --- | ---: | ---: | --- |"]
    for cause, crashes in ranked[:GROUPS_SHOWN]:
        told = [d for c in crashes if (d := report.diagnoses[c.state_id]).title]
        text = told[-1].evidence or told[-1].title if told else crashes[-1].message
        where = len({crash.deployment or crash.flow for crash in crashes})
        lines.append(f"| {cause} | {len(crashes):,} | {where:,} | {markdown(text, 160)} |")
    return "\n".join(lines)


def _numbers(report: Report) -> str:
    fates: Counter[Fate] = Counter()
    for record in report.records:
        if not record.revision:
            fates.update(record.fates)
    if not report.crashed:
        return ""
    told = [f"{fates[fate]:,} {words}" for fate, words in FATE_WORDS.items() if fates[fate]]
    new = [record for record in report.records if not record.revision]
    lines = [f"**{crashes_of(report.crashed)}**: {', '.join(told)}."]
    if change := _change(report):
        lines.append(f"Against before: {change}.")
    if subflows := sum(record.in_process_subflows for record in new):
        lines.append(f"Of them subflows: {subflows}.")
    if lost := sum(record.sources.get(Source.FLOW_RUNS, 0) for record in new):
        lines.append(f"Found among the flow runs, without an event: {lost}.")
    if own := sum(record.monitor_crashed for record in new):
        names = ", ".join(markdown(name) for name in list(report.own_crashes)[:GROUPS_SHOWN])
        where = f" ({names})" if names else ""
        lines.append(f"Not among them: {own} of the monitor's own runs{where}.")
    return " ".join(lines)


def _change(report: Report) -> str:
    """The change against the interval before and against the usual, where there are such."""
    start, end = _edges(report.window)
    past = [point for point in report.series if point[0].end <= start]
    if not past or end - start != past[-1][0].length:
        return ""
    before = past[-1][1]
    difference = report.crashed - before
    sign = f"▲ {difference}" if difference > 0 else f"▼ {-difference}" if difference else "= 0"
    if len(past) < USUAL_FROM:
        return sign
    usual = median(crashed for _, crashed, _ in past)
    return f"{sign}, usually {usual:g}"


def _trend(report: Report) -> str:
    if not report.series:
        return ""
    picture = as_data_url(trend_svg(report.series))
    return f"![Crashes per interval]({picture})"


def _groups(report: Report, title: str, name_of: Callable[[Crash], str]) -> str:
    groups: dict[str, list[Crash]] = defaultdict(list)
    for crash in report.crashes:
        groups[name_of(crash)].append(crash)
    if not groups:
        return ""
    ranked = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    lines = [
        f"| {title} | Crashes | Still crashed | Latest cause |",
        "| --- | ---: | ---: | --- |",
        *(_group_row(name, crashes, report) for name, crashes in ranked[:GROUPS_SHOWN]),
    ]
    if (left := len(ranked) - GROUPS_SHOWN) > 0:
        lines.append(f"\nand {left} more in the artifact crash-runs")
    return "\n".join(lines)


def _group_row(name: str, crashes: Sequence[Crash], report: Report) -> str:
    still = sum(report.outcomes[crash.state_id].fate is Fate.STILL_CRASHED for crash in crashes)
    latest = max(crashes, key=lambda crash: crash.at)
    label = link(name, _group_url(report, name, latest)) if name else "—"
    why = markdown(cause_of(report.diagnoses.get(latest.state_id))) or "—"
    return f"| {label} | {len(crashes):,} | {still:,} | {why} |"


def _latest(report: Report) -> str:
    if not report.crashes:
        return ""
    newest = sorted(report.crashes, key=lambda c: (c.at, c.state_id), reverse=True)
    lines = [
        "## Latest crashes\n",
        "| Time (UTC) | Flow run | Cause | Now | Deployment | State | Message |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for crash in newest[:CRASHES_SHOWN]:
        run = link(crash.flow_run_name, run_url(report.ui_url, crash.flow_run_id))
        state = markdown(crash.state_name, 40) + ("" if crash.run_count else " (never started)")
        now = FATE_WORDS[report.outcomes[crash.state_id].fate]
        where = markdown(crash.deployment or crash.flow) or "—"
        message = markdown(crash.message, 160) or "—"
        why = markdown(cause_of(report.diagnoses.get(crash.state_id))) or "—"
        cells = [stamp(crash.at), run, why, now, where, state, message]
        lines.append(f"| {' | '.join(cells)} |")
    if (left := len(newest) - CRASHES_SHOWN) > 0:
        lines.append(f"\nand {left:,} more in the artifact crash-runs")
    return "\n".join(lines)


def _notices(report: Report) -> str:
    lines = [f"- {markdown(notice, 600)}" for notice in report.notices]
    lines.append(
        f"- Counted {stamp(report.as_of)} UTC by crash monitor {markdown(report.monitor)}: each "
        "transition into a crashed state once, retried and recovered ones too."
    )
    return "---\n\n" + "\n".join(lines)


def _group_url(report: Report, name: str, crash: Crash) -> str:
    """Into the UI, where the group is a deployment: its id is known, a pool's is not."""
    if not report.ui_url or name != crash.deployment or not crash.deployment_id:
        return ""
    return f"{report.ui_url}/deployments/deployment/{quote(crash.deployment_id)}"


def _edges(window: Window) -> tuple[datetime, datetime]:
    return window.start, window.end
