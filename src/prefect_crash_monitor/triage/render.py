"""The triage of one crash: a markdown artifact, in the order in which one would ask.

Why did it crash, what stands out around it, what to do; then what that rests on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from urllib.parse import quote

from prefect_crash_monitor.explain.evidence.evidence import Log
from prefect_crash_monitor.explain.explanation import Verdict
from prefect_crash_monitor.model.crash import Crash
from prefect_crash_monitor.report.crash_table import cause_of
from prefect_crash_monitor.text.format import duration, stamp
from prefect_crash_monitor.text.sanitize import code, link, markdown, run_url
from prefect_crash_monitor.triage.findings import findings
from prefect_crash_monitor.triage.scene import AROUND, Around, PastRun, Scene

WARNING = 30
LEVELS = {10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR", 50: "CRITICAL"}
LOUD, QUIET = 20, 8
"""Log lines shown: warnings and above; where there are none, the last ones of any level."""

STATES, CRASHES, WORKERS, EVIDENCE = 20, 15, 15, 10


def summary(scene: Scene) -> str:
    """One line for the artifact's description."""
    explanation = scene.explanation
    telling = sum(finding.telling for finding in findings(scene))
    outside = f"; {telling} thing{'s' if telling != 1 else ''} stand out around it"
    if telling == 1:
        outside = "; 1 thing stands out around it"
    name = markdown(explanation.flow_run_name or scene.run_id, 80)
    return f"{name}: {markdown(explanation.title, 120)}{outside if telling else ''}"


def render_triage(scene: Scene, *, ui_url: str, requests: int) -> str:
    """The triage as GitHub-flavoured markdown; everything of strangers in it is inert."""
    sections = [
        _head(scene, ui_url),
        _why(scene),
        _findings(scene),
        _next(scene),
        _states(scene),
        _logs(scene),
        _runs(scene, ui_url),
        _around(scene, ui_url),
        _workers(scene),
        _foot(scene, requests),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _head(scene: Scene, ui_url: str) -> str:
    names, explanation = scene.evidence.names, scene.explanation
    run = link(explanation.flow_run_name or scene.run_id, run_url(ui_url, scene.run_id))
    where = [
        ("deployment", _deployment(scene, ui_url)),
        ("work pool", markdown(names.pool)),
        ("worker", markdown(names.worker)),
        ("incident", markdown(scene.incident)),
    ]
    told = [f"{what} {value}" for what, value in where if value]
    return (
        f"# 🔎 {run}: {markdown(explanation.title)}\n\n"
        f"{_ended(scene)} {stamp(scene.crashed_at)} UTC; {', '.join([*told, scene.run_id])}"
    )


def _deployment(scene: Scene, ui_url: str) -> str:
    name = scene.evidence.names.deployment or (scene.deployment.name if scene.deployment else "")
    if not name or not scene.deployment or not ui_url:
        return markdown(name)
    return link(name, f"{ui_url}/deployments/deployment/{quote(scene.deployment.id)}")


def _ended(scene: Scene) -> str:
    history = scene.evidence.history or ()
    crashed = scene.explanation.verdict is Verdict.CRASHED
    return "Crashed" if crashed or any(s.type == "CRASHED" for s in history) else "Last changed"


def _why(scene: Scene) -> str:
    explanation = scene.explanation
    cause = explanation.cause or "nothing is wrong with it now"
    how = f"{explanation.confidence} confidence, {explanation.severity}"
    lines = [f"**{markdown(cause)}** ({how}). {markdown(explanation.summary, 600)}", ""]
    lines += [
        f"- {line.source}{f' {stamp(line.at)}' if line.at else ''}: {markdown(line.text, 300)}"
        for line in explanation.evidence[:EVIDENCE]
    ]
    return "\n".join(lines).rstrip()


def _findings(scene: Scene) -> str:
    found = findings(scene)
    lines = [
        f"- {'**' if one.telling else ''}{markdown(one.text, 700)}{'**' if one.telling else ''}"
        for one in found
    ]
    return "## Around it\n\n" + "\n".join(lines) if lines else ""


def _next(scene: Scene) -> str:
    explanation = scene.explanation
    told = [f"- {markdown(text, 400)}" for text in explanation.remediation]
    commands = dict.fromkeys([*explanation.commands, *_commands(scene)])
    return "\n".join(["## Next\n", *told, *(f"- {code(command)}" for command in commands)])


def _commands(scene: Scene) -> Iterable[str]:
    """Beyond those that the explanation has; ids are checked, names stand in none of them."""
    yield f"prefect flow-run logs {scene.run_id}"
    yield f"crash-monitor capture {scene.run_id} --output {scene.run_id}.json"
    if scene.deployment and scene.explanation.verdict is Verdict.CRASHED:
        yield f"prefect flow-run retry {scene.run_id}"
    deployment = scene.deployment
    if deployment and scene.active is not None and deployment.slots_taken > scene.active:
        limit = f"deployment:{deployment.id}"
        yield f"prefect gcl update {limit} --active-slots {scene.active}"


def _states(scene: Scene) -> str:
    states = scene.evidence.history or ()
    rows = [
        [_time(state.at), markdown(state.name, 40), state.type, markdown(state.message, 200)]
        for state in states[-STATES:]
    ]
    columns = ["Time (UTC)", "State", "Type", "Message"]
    return _table("Its states", columns, rows, left=len(states) - STATES)


def _logs(scene: Scene) -> str:
    logs = scene.evidence.logs
    if logs is None:
        return ""
    loud = [line for line in logs if line.level >= WARNING]
    shown: Sequence[Log] = loud[-LOUD:] or logs[-QUIET:]
    if not shown:
        return "## Its log\n\nNo log line is there: it may have died before it could send any."
    rows = [
        [
            _time(line.at),
            LEVELS.get(line.level, str(line.level)),
            markdown(line.logger, 40),
            markdown(line.text, 400),
        ]
        for line in shown
    ]
    title = "Its last warnings and errors" if loud else "Its last log lines; no warning among them"
    columns = ["Time (UTC)", "Level", "Logger", "Line"]
    return _table(title, columns, rows, left=len(loud) - LOUD)


def _runs(scene: Scene, ui_url: str) -> str:
    runs = [*(scene.since or ()), *([scene.run] if scene.run else []), *(scene.before or ())]
    good = scene.completed
    if good and good.id not in {run.id for run in runs}:
        runs.append(good)
    rows = [_run_cells(run, scene, ui_url) for run in runs]
    columns = ["Started (UTC)", "Run", "State", "Version", "Worker"]
    return _table("Runs of the deployment", columns, rows) if len(runs) > 1 else ""


def _run_cells(run: PastRun, scene: Scene, ui_url: str) -> list[str]:
    mark = "**this one**, " if run.id == scene.run_id else ""
    return [
        _time(run.at),
        mark + link(run.name, run_url(ui_url, run.id)),
        markdown(run.state_name, 40),
        markdown(run.version, 16),
        markdown(run.worker, 60),
    ]


def _around(scene: Scene, ui_url: str) -> str:
    around = scene.around
    if around is None:
        return ""
    rows = [_crash_cells(crash, around, ui_url) for crash in around.crashes[:CRASHES]]
    columns = ["Time (UTC)", "Run", "Cause", "Deployment", "Work pool", "Worker"]
    left = max(len(around.crashes) - CRASHES, 0) + around.left_out
    return _table(f"Other crashes within {duration(AROUND)} of it", columns, rows, left=left)


def _crash_cells(crash: Crash, around: Around, ui_url: str) -> list[str]:
    return [
        stamp(crash.at),
        link(crash.flow_run_name, run_url(ui_url, crash.flow_run_id)),
        markdown(cause_of(around.diagnoses.get(crash.state_id))),
        markdown(crash.deployment or crash.flow),
        markdown(crash.work_pool, 60),
        markdown(around.workers.get(crash.flow_run_id, ""), 60),
    ]


def _workers(scene: Scene) -> str:
    workers = scene.workers or ()
    rows = [
        [markdown(w.name), "online" if w.online else "offline", _time(w.heartbeat_at)]
        for w in workers[:WORKERS]
    ]
    pool = markdown(scene.pool.name) if scene.pool else "the pool"
    columns = ["Worker", "Status", "Last heartbeat (UTC)"]
    return _table(f"Workers of work pool {pool}", columns, rows, left=len(workers) - WORKERS)


def _foot(scene: Scene, requests: int) -> str:
    lines = [f"- Not known: {markdown(gap, 400)}" for gap in scene.gaps]
    lines.append(
        f"- Looked at {stamp(scene.looked_at)} UTC, in {requests} requests. Values of parameters "
        "and job variables are compared, never shown."
    )
    return "---\n\n" + "\n".join(lines)


def _table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 0
) -> str:
    """A section with a table of cells that are inert already; empty where it has no row."""
    if not rows:
        return ""
    lines = [columns, ["---"] * len(columns), *([cell or "—" for cell in row] for row in rows)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    more = f"\n\nand {left:,} more" if left > 0 else ""
    return f"## {title}\n\n{table}{more}"


def _time(moment: datetime | None) -> str:
    return stamp(moment) if moment else ""
