"""The demo: real flow runs crash on an embedded Prefect server, are counted, and told of once."""

from prefect_crash_monitor.demo.story import run_demo

__all__ = ["run_demo"]
