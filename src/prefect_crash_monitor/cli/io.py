"""How every command answers: errors of ours, JSON for programs, text for people, times."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, NoReturn, TypeVar

import typer

from prefect_crash_monitor.errors import BadInput, MonitorError

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else.")]
PolicyName = Annotated[
    str, typer.Option("--policy", help="Name of the crash-policy block to work by.")
]
Answer = TypeVar("Answer")
EXAMPLE = "2026-11-24T12:00:00+00:00"


def run_to_its_end(work: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
    """The answer of a command's work; its errors end the command."""
    with errors():
        return asyncio.run(work())


@contextmanager
def errors() -> Iterator[None]:
    """Every error of ours becomes one line on stderr and its exit code."""
    try:
        yield
    except MonitorError as error:
        _fail(error)


def _fail(error: MonitorError) -> NoReturn:
    typer.echo(f"crash-monitor: {error}", err=True)
    raise typer.Exit(error.exit_code) from error


def show(answer: Any, as_json: bool, text: Callable[[Any], str]) -> None:
    """The answer, for a program on one line or for a person; on a stdout of any encoding."""
    if as_json:
        sys.stdout.write(json.dumps(answer, allow_nan=False) + "\n")
    else:
        encoding = sys.stdout.encoding or "utf-8"
        typer.echo(text(answer).encode(encoding, "backslashreplace").decode(encoding))


def time_of(text: str, option: str) -> datetime:
    """The time that an option gives, in UTC.

    Raises:
        BadInput: no ISO 8601 time, or one without an offset.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInput(f"{option}: {text!r} is no ISO 8601 time, as {EXAMPLE}.") from error
    if moment.tzinfo is None:
        raise BadInput(f"{option}: {text!r} has no offset; write it as {EXAMPLE}.")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise BadInput(f"{option}: {text!r} is outside of the years 1 to 9999 in UTC.") from error
