"""Concurrency slots of tag limits, as far as Prefect says who holds them.

Prefect 3.8 names holders of tag limits only (task runs), and only until its server restarts: then
it forgets the leases, and with them whose the slots are that stay taken. Slots of global limits
and of deployments have no holder that can be read.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldSlot:
    """A slot of the limit of a tag, and the task run that Prefect says holds it."""

    tag: str
    task_run_id: str
    flow_run_id: str
