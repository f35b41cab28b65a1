"""What the demo shows: progress on stderr, results on stdout."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table


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
        title = f"notification received: {escape(str(message.get('subject', '')))}"
        self._results.print(Panel(text, title=title, title_align="left", border_style="yellow"))

    def made(self, made: Sequence[Mapping[str, str]]) -> None:
        """Which runs crashed, and how."""
        table = Table(title="Runs that crashed", title_justify="left")
        table.add_column("way")
        table.add_column("flow run")
        for run in made:
            table.add_row(escape(run["way"]), run["flow_run_id"])
        self._results.print(table)

    def numbers(self, count: Mapping[str, Any]) -> None:
        """The count, as `crash-monitor count` gives it."""
        self._results.print(
            f"[bold]crash-monitor count[/]: {count['crashed']} crashed = "
            f"{count['still_crashed']} still crashed + {count['superseded']} crashed again + "
            f"{count['recovered']} recovered + {count['deleted']} deleted; "
            f"complete: {count['complete']}, {count['requests']} requests"
        )

    def look_at(self, ui_url: str) -> None:
        """Where the UI shows it."""
        self._results.print(
            f"Look at it:\n  report      {ui_url}/artifacts/key/crash-report\n"
            f"  crashes     {ui_url}/artifacts/key/crash-runs\n"
            f"  events      {ui_url}/events\n  automations {ui_url}/automations"
        )

    def line(self, text: str) -> None:
        """A line of result."""
        self._results.print(escape(text))
