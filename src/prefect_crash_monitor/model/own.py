"""What is the monitor's own: its tag, flows, artifacts, runs; and where it runs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from prefect_crash_monitor.model.crash import Crash

OWN_TAG = "managed-by:crash-monitor"
"""Carried by everything that is ours: deployments, automations."""


OWN_FLOWS = frozenset({"crash-monitor", "crash-triage", "configuration-audit"})
"""Names of our own flows; a run is ours only together with `OWN_TAG` or by deployment id."""


DEFAULT_MONITOR = "default"
"""Name of the policy, and so of the monitor, where none is given."""


REPORT_KEY, ROWS_KEY = "crash-report", "crash-runs"
"""Keys of our artifacts in Prefect's artifacts tab."""


def artifact_key(key: str, monitor: str) -> str:
    """The key under which a monitor publishes; one beside the default carries its name."""
    return key if monitor == DEFAULT_MONITOR else f"{key}-{monitor}"


def is_own(crash: Crash, own_deployments: Collection[str] = ()) -> bool:
    """Whether the run is the monitor's: by deployment id, else by own tag *and* flow name.

    A user's flow that happens to be called crash-monitor is not ours.
    """
    return crash.deployment_id in own_deployments or (
        OWN_TAG in crash.tags and crash.flow in OWN_FLOWS
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a cycle runs: what it cannot ask the API for."""

    ui_url: str = ""
    """Base of links into the UI; empty where unknown."""
    flow_run_id: str | None = None
    deployment_id: str | None = None
