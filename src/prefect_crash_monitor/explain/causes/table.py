"""All causes by slug: a contract with people's automations, so slugs are never renamed."""

from __future__ import annotations

from collections.abc import Mapping

from prefect_crash_monitor.explain.causes import failed as causes_failed
from prefect_crash_monitor.explain.causes import kubernetes as causes_kubernetes
from prefect_crash_monitor.explain.causes import process as causes_process
from prefect_crash_monitor.explain.causes import signatures as causes_signatures
from prefect_crash_monitor.explain.causes import waiting as causes_waiting
from prefect_crash_monitor.explain.causes.cause import Cause

UNKNOWN = "unknown"

CAUSES: Mapping[str, Cause] = {
    **causes_process.CAUSES,
    **causes_signatures.CAUSES,
    **causes_kubernetes.CAUSES,
    **causes_failed.CAUSES,
    **causes_waiting.CAUSES,
}
