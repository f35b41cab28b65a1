"""What the demo shows: progress on stderr, results on stdout."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from os.path import relpath
from pathlib import Path
from typing import Any

from rich.box import HORIZONTALS
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from prefect_crash_monitor.text.sanitize import shorten

EVIDENCE_LENGTH = 150
SHARES = {"flow run": 20, "cause found": 24, "evidence": 27}
"""Of the width; on 80 columns the longest cause fits on a line."""


class Screen:
    """Progress for a person who waits; silent about results where a program reads them."""

    def __init__(self, *, results: bool) -> None:
        self._progress = Console(stderr=True, highlight=False)
        self._results = Console(highlight=False, quiet=not results)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Shows what is being waited for, and that it is done."""
        with self._progress.status(escape(what)):
            yield
        self._progress.print(f"[green]✓[/] {escape(what)}")

    def notification(self, message: Mapping[str, Any]) -> None:
        """What arrived at the webhook."""
        text = escape(str(message.get("text", "")))
        title = f"received: {escape(str(message.get('subject', '')))}"
        self._results.print(Panel(text, title=title, title_align="left", border_style="yellow"))

    def made(self, made: Sequence[Mapping[str, str]]) -> None:
        """What was done to each run, and what was found."""
        self._results.print(table_of(made))

    def numbers(self, count: Mapping[str, Any]) -> None:
        """The count, as `crash-monitor count` gives it."""
        self._results.print(
            f"[bold]crash-monitor count[/]: {count['crashed']} crashed = "
            f"{count['still_crashed']} still crashed + {count['superseded']} crashed again + "
            f"{count['recovered']} recovered + {count['deleted']} deleted; "
            f"complete: {count['complete']}, {count['requests']} requests"
        )

    def begin(self) -> None:
        """What is about to happen."""
        self._progress.print(
            "All of this really happens, in a temporary folder and on a Prefect server of its own; "
            "it takes about three minutes."
        )

    def look_at(self, ui_url: str, run: str) -> None:
        """Where the UI shows it, and how to ask for yourself."""
        command = relpath(Path(sys.executable).with_name("crash-monitor"))
        self._results.print(
            f"Look at it while the demo goes on:\n"
            f"  report      {ui_url}/artifacts/key/crash-report\n"
            f"  crashes     {ui_url}/artifacts/key/crash-runs\n"
            f"  events      {ui_url}/events\n"
            f"  automations {ui_url}/automations\n"
            f"  a close look at one run, and more: {ui_url}/artifacts\n"
            f"or ask for a run's explanation:\n"
            f"  PREFECT_API_URL={ui_url}/api {escape(command)} explain {run}",
            soft_wrap=True,
        )

    def line(self, text: str) -> None:
        """A line of result."""
        self._results.print(escape(text))


def table_of(made: Sequence[Mapping[str, str]]) -> Table:
    """What the demo did to each run, what the monitor found, and the line that proves it."""
    table = Table(
        title="What the demo did, and what the monitor found",
        title_justify="left",
        box=HORIZONTALS,
        show_lines=True,
        expand=True,
    )
    for column, share in SHARES.items():
        table.add_column(column, ratio=share, overflow="fold")
    for run in made:
        table.add_row(
            f"[bold]{escape(run['way'])}[/]\n[dim]{escape(run['did'])}[/]",
            f"[bold]{escape(run['cause'] or 'no crash found')}[/]\n{escape(run['title'])}",
            escape(shorten(run["evidence"], EVIDENCE_LENGTH)),
        )
    return table
