"""The commands `crash-monitor silence add`, `list` and `remove`."""

from __future__ import annotations

import getpass
import re
import secrets
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from prefect_crash_monitor.cli.io import Json, PolicyName, run_to_its_end, show, time_of
from prefect_crash_monitor.errors import BadInput
from prefect_crash_monitor.evaluate.silences import Silence, checked
from prefect_crash_monitor.model.own import DEFAULT_MONITOR

UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

silence = typer.Typer(
    name="silence",
    help="Silences: crashes that are expected open no incident for a while.",
    no_args_is_help=True,
)


def add_silence_commands(app: typer.Typer) -> None:
    """Adds them to the command."""
    app.add_typer(silence)


@silence.command()
def add(
    reason: Annotated[str, typer.Option(help="Why, for whoever reads the report.")],
    until: Annotated[str, typer.Option(help="Its end, ISO 8601 with an offset.")] = "",
    lasting: Annotated[str, typer.Option("--for", help="Its length: 90m, 2h, 3d, 1w.")] = "",
    since: Annotated[str, typer.Option(help="Its beginning; now, if not given.")] = "",
    deployment: Annotated[str, typer.Option(help="flow/deployment; * stands for anything.")] = "",
    flow: Annotated[str, typer.Option()] = "",
    work_pool: Annotated[str, typer.Option()] = "",
    work_queue: Annotated[str, typer.Option()] = "",
    tag: Annotated[str, typer.Option()] = "",
    cause: Annotated[str, typer.Option(help="Slug of a cause, as in the report.")] = "",
    author: Annotated[str, typer.Option(help="Who; the user's name, if not given.")] = "",
    policy: PolicyName = DEFAULT_MONITOR,
    as_json: Json = False,
) -> None:
    """Silence the crashes that match all that is given; exactly one of --until and --for."""
    wanted = {
        "deployment": deployment,
        "flow": flow,
        "work_pool": work_pool,
        "work_queue": work_queue,
        "tag": tag,
        "cause": cause,
    }

    async def work() -> list[dict[str, Any]]:
        from prefect_crash_monitor.cli.handlers import add_silence

        now = datetime.now(UTC)
        begins = time_of(since, "--since") if since else now
        new = Silence(
            id=secrets.token_hex(4),
            matcher={field: pattern for field, pattern in wanted.items() if pattern},
            since=begins,
            until=_end(begins, until, lasting),
            reason=reason,
            author=author or _user(),
        )
        return await add_silence(policy, checked(new), now)

    _show(run_to_its_end(work), as_json)


@silence.command("list")
def list_(policy: PolicyName = DEFAULT_MONITOR, as_json: Json = False) -> None:
    """List the silences that are not over yet, those of the policy with them."""

    async def work() -> list[dict[str, Any]]:
        from prefect_crash_monitor.cli.handlers import list_silences

        return await list_silences(policy, datetime.now(UTC))

    _show(run_to_its_end(work), as_json)


@silence.command()
def remove(
    silence_id: Annotated[str, typer.Argument(help="As `silence list` shows it.")],
    policy: PolicyName = DEFAULT_MONITOR,
    as_json: Json = False,
) -> None:
    """End a silence now; what burns opens an incident in the next cycle."""

    async def work() -> list[dict[str, Any]]:
        from prefect_crash_monitor.cli.handlers import remove_silence

        return await remove_silence(policy, silence_id, datetime.now(UTC))

    _show(run_to_its_end(work), as_json)


def _show(silences: list[dict[str, Any]], as_json: bool) -> None:
    from prefect_crash_monitor.cli.text import silences_text

    show(silences, as_json, silences_text)


def _user() -> str:
    """Who types; empty where the machine does not know, as in some containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def _end(begins: datetime, until: str, lasting: str) -> datetime:
    if bool(until) == bool(lasting):
        raise BadInput("A silence needs an end: give either --until or --for, as --for 2h.")
    if until:
        return time_of(until, "--until")
    match = re.fullmatch(r"(\d{1,5})([mhdw])", lasting.strip())
    if match is None:
        raise BadInput(f"--for: {lasting!r} is no length; write it as 90m, 2h, 3d or 1w.")
    return begins + timedelta(**{UNITS[match[2]]: int(match[1])})
