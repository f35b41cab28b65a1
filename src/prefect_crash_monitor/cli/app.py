"""The command `crash-monitor`: every command takes `--json` and works on the active profile.

Exit codes: 0 done, 1 trouble found by a command that looks for it, 2 bad usage or input, 3 the
Prefect API gave no usable answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from prefect_crash_monitor import __version__
from prefect_crash_monitor.cli.io import Json, PolicyName, errors, run_to_its_end, show, time_of
from prefect_crash_monitor.cli.silence import add_silence_commands
from prefect_crash_monitor.model.own import DEFAULT_MONITOR

API_TROUBLE = 3
"""Exit code where Prefect did not do all that was asked for."""

FOUND = 1
"""Exit code of a command that looked for trouble and found it."""

# What needs Prefect is imported by the command that needs it: importing it takes a second.

app = typer.Typer(
    name="crash-monitor",
    help="Counts crashed Prefect flow runs exactly, explains them, and tells you once.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class By(StrEnum):
    """What a count can be broken down by in addition, at a price."""

    CAUSE = "cause"


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(help="Where to write it.")] = Path(),
    as_json: Json = False,
) -> None:
    """Write the deployable project: prefect.yaml, flows/ and blocks/."""
    from prefect_crash_monitor.config.write_project import write_project

    with errors():
        written = [str(path) for path in write_project(directory)]
    show({"written": written}, as_json, lambda answer: "\n".join(answer["written"]))


@app.command()
def demo(as_json: Json = False) -> None:
    """Watch real flow runs crash on an embedded server, be counted, and be told of."""
    from prefect_crash_monitor.demo import run_demo

    with errors():
        raise typer.Exit(run_demo(as_json=as_json))


@app.command()
def count(
    since: Annotated[str, typer.Option(help="Start of the window, ISO 8601 with an offset.")],
    until: Annotated[str, typer.Option(help="End of the window, not included.")],
    by: Annotated[
        By | None, typer.Option(help="Count by cause as well; that reads logs, too.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Count the crashes of a window; reads only."""
    from prefect_crash_monitor.cli.handlers import count_window
    from prefect_crash_monitor.cli.text import count_text

    def work() -> Coroutine[Any, Any, dict[str, Any]]:
        span = time_of(since, "--since"), time_of(until, "--until")
        return count_window(*span, by_cause=by is By.CAUSE)

    answer = run_to_its_end(work)
    for gap in answer["gaps"] if as_json else ():
        typer.echo(f"crash-monitor: partial view: {gap}.", err=True)
    show(answer, as_json, count_text)


@app.command()
def run(policy: PolicyName = DEFAULT_MONITOR, as_json: Json = False) -> None:
    """Do one monitoring cycle now, as the deployment does."""
    from prefect_crash_monitor.cli.handlers import run_once
    from prefect_crash_monitor.cli.text import cycle_text

    show(run_to_its_end(lambda: run_once(policy)), as_json, cycle_text)


@app.command()
def backfill(
    since: Annotated[str, typer.Option(help="A time in the first interval, with an offset.")],
    policy: PolicyName = DEFAULT_MONITOR,
    as_json: Json = False,
) -> None:
    """Count past intervals that were never counted: before the monitor, or while it was away."""
    from prefect_crash_monitor.cli.handlers import backfill_since
    from prefect_crash_monitor.cli.progress import on_stderr
    from prefect_crash_monitor.cli.text import backfill_text

    with on_stderr("Counting intervals") as progress:
        answer = run_to_its_end(lambda: backfill_since(policy, time_of(since, "--since"), progress))
    show(answer, as_json, backfill_text)


@app.command()
def explain(
    what: Annotated[
        list[str],
        typer.Argument(metavar="RUN_OR_FILE...", help="Flow runs' ids, or files by `capture`."),
    ],
    as_json: Json = False,
) -> None:
    """Explain why runs crashed, and what to do; captured files need no server."""
    from prefect_crash_monitor.cli.text import explanations_text
    from prefect_crash_monitor.explain import evidence_of_bundle
    from prefect_crash_monitor.explain import explain as explained
    from prefect_crash_monitor.explain.read_bundle_file import bundles_of

    with errors():
        bundles = bundles_of(what, _captured)
    _notes(bundles)
    answer = [explained(evidence_of_bundle(bundle)).to_json() for bundle in bundles]
    show(answer, as_json, explanations_text)


@app.command()
def capture(
    run: Annotated[str, typer.Argument(help="A flow run's id.")],
    output: Annotated[Path | None, typer.Option(help="A new file to write it to.")] = None,
    as_json: Json = False,
) -> None:
    """Capture all evidence about a run, without its secrets, to explain it elsewhere."""
    from prefect_crash_monitor.cli.text import bundle_text, written_text
    from prefect_crash_monitor.explain.read_bundle_file import must_be_new, run_id_of, write_bundle

    with errors():
        run_id = run_id_of(run)
        if output:
            must_be_new(output)
        (bundle,) = _captured([run_id])
        if output:
            write_bundle(output, bundle)
    _notes([bundle])
    show(bundle, as_json, written_text(output) if output else bundle_text)


@app.command()
def ghosts(
    mark: Annotated[
        bool, typer.Option("--mark", help="Set those that are certain CRASHED, never by force.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Find runs that ended without saying so; exits 1 where there is one."""
    from prefect_crash_monitor.cli.handlers import find_ghosts
    from prefect_crash_monitor.cli.text import ghosts_text

    found, trouble = run_to_its_end(lambda: find_ghosts(mark=mark))
    show(found, as_json, ghosts_text)
    if trouble:
        with errors():
            raise trouble
    if found:
        raise typer.Exit(FOUND)


@app.command()
def register(
    policy: PolicyName = DEFAULT_MONITOR,
    remove: Annotated[bool, typer.Option("--remove", help="Remove what is ours.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Make blocks and automations on the server as the policy wants them."""
    from prefect_crash_monitor.cli.handlers import register_now
    from prefect_crash_monitor.cli.text import registration_text

    answer, warnings, failed = run_to_its_end(
        lambda: register_now(policy, remove=remove, dry_run=dry_run)
    )
    for warning in (*warnings, *failed):
        typer.echo(warning, err=True)
    show(answer, as_json, registration_text)
    if failed:
        raise typer.Exit(API_TROUBLE)


@app.command()
def incidents(policy: PolicyName = DEFAULT_MONITOR, as_json: Json = False) -> None:
    """List the open incidents, until they are resolved."""
    from prefect_crash_monitor.cli.handlers import open_incidents
    from prefect_crash_monitor.cli.text import incidents_text

    show(run_to_its_end(lambda: open_incidents(policy)), as_json, incidents_text)


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Counts crashed Prefect flow runs exactly, explains them, and tells you once."""
    if show:
        typer.echo(__version__)
        raise typer.Exit


def _captured(run_ids: Sequence[str]) -> list[dict[str, Any]]:
    from prefect_crash_monitor.cli.handlers import capture_runs

    return asyncio.run(capture_runs(run_ids))


def _notes(bundles: Sequence[Mapping[str, Any]]) -> None:
    """Says on stderr what a capture left out."""
    from prefect_crash_monitor.cli.text import notes_of

    for bundle in bundles:
        for note in notes_of(bundle):
            typer.echo(f"note: {note}", err=True)


add_silence_commands(app)
