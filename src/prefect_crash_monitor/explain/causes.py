"""All causes by slug: a contract with people's automations, so slugs are never renamed."""

from __future__ import annotations

from collections.abc import Mapping

from prefect_crash_monitor.explain import (
    causes_failed,
    causes_kubernetes,
    causes_process,
    causes_signatures,
    causes_waiting,
)
from prefect_crash_monitor.explain.cause import Cause

UNKNOWN = "unknown"

CAUSES: Mapping[str, Cause] = {
    **causes_process.CAUSES,
    **causes_signatures.CAUSES,
    **causes_kubernetes.CAUSES,
    **causes_failed.CAUSES,
    **causes_waiting.CAUSES,
}
