"""`python -m prefect_crash_monitor` is the command `crash-monitor`."""

from prefect_crash_monitor.cli.app import app

app(prog_name="crash-monitor")
