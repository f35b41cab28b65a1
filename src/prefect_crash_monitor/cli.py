"""The command `crash-monitor`: every command takes `--json` and works on the active profile.

Exit codes: 0 done, 2 bad usage or input, 3 the Prefect API gave no usable answer.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer

from prefect_crash_monitor import __version__
from prefect_crash_monitor.errors import BadInput, MonitorError

# What needs Prefect is imported by the command that needs it: importing it takes a second.

app = typer.Typer(
    name="crash-monitor",
    help="Counts crashed Prefect flow runs exactly, explains them, and tells you once.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else.")]
PolicyName = Annotated[
    str, typer.Option("--policy", help="Name of the crash-policy block to work by.")
]
Answer = TypeVar("Answer")


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(help="Where to write it.")] = Path(),
    as_json: Json = False,
) -> None:
    """Write the deployable project: prefect.yaml, flows/ and blocks/."""
    from prefect_crash_monitor.project import write_project

    with _errors():
        written = [str(path) for path in write_project(directory)]
    _show({"written": written}, as_json, lambda answer: "\n".join(answer["written"]))


@app.command()
def demo(as_json: Json = False) -> None:
    """Watch real flow runs crash on an embedded server, be counted, and be told of."""
    from prefect_crash_monitor.demo import run_demo

    with _errors():
        raise typer.Exit(run_demo(as_json=as_json))


@app.command()
def count(
    since: Annotated[str, typer.Option(help="Start of the window, ISO 8601 with an offset.")],
    until: Annotated[str, typer.Option(help="End of the window, not included.")],
    as_json: Json = False,
) -> None:
    """Count the crashes of a window; reads only."""
    from prefect_crash_monitor.commands import count_window
    from prefect_crash_monitor.render.terminal import count_text

    answer = _run(lambda: count_window(_time(since, "--since"), _time(until, "--until")))
    _show(answer, as_json, count_text)


@app.command()
def run(policy: PolicyName = "default", as_json: Json = False) -> None:
    """Do one monitoring cycle now, as the deployment does."""
    from prefect_crash_monitor.commands import run_once
    from prefect_crash_monitor.render.terminal import cycle_text

    _show(_run(lambda: run_once(policy)), as_json, cycle_text)


@app.command()
def register(
    policy: PolicyName = "default",
    remove: Annotated[bool, typer.Option("--remove", help="Remove what is ours.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Make blocks and automations on the server as the policy wants them."""
    from prefect_crash_monitor.commands import register_now
    from prefect_crash_monitor.render.terminal import registration_text

    answer, warnings = _run(lambda: register_now(policy, remove=remove, dry_run=dry_run))
    for warning in warnings:
        typer.echo(warning, err=True)
    _show(answer, as_json, registration_text)


@app.command()
def incidents(policy: PolicyName = "default", as_json: Json = False) -> None:
    """List the open incidents, until they are resolved."""
    from prefect_crash_monitor.commands import open_incidents
    from prefect_crash_monitor.render.terminal import incidents_text

    _show(_run(lambda: open_incidents(policy)), as_json, incidents_text)


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Counts crashed Prefect flow runs exactly, explains them, and tells you once."""
    if show:
        typer.echo(__version__)
        raise typer.Exit


def _run(work: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
    with _errors():
        return asyncio.run(work())


@contextmanager
def _errors() -> Iterator[None]:
    """Every error of ours becomes one line on stderr and its exit code."""
    try:
        yield
    except MonitorError as error:
        _fail(error)


def _fail(error: MonitorError) -> NoReturn:
    typer.echo(f"crash-monitor: {error}", err=True)
    raise typer.Exit(error.exit_code) from error


def _show(answer: Any, as_json: bool, text: Callable[[Any], str]) -> None:
    """The answer, for a program on one line or for a person."""
    if as_json:
        sys.stdout.write(json.dumps(answer, ensure_ascii=False, allow_nan=False) + "\n")
    else:
        typer.echo(text(answer))


def _time(text: str, option: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInput(f"{option}: {text!r} is no ISO 8601 time, as {EXAMPLE}.") from error
    if moment.tzinfo is None:
        raise BadInput(f"{option}: {text!r} has no offset; write it as {EXAMPLE}.")
    return moment.astimezone(UTC)


EXAMPLE = "2026-11-24T12:00:00+00:00"
