"""Concurrency slots, as far as Prefect says who holds them.

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Unclaimed:
    """A deployment's limit of which more slots are taken than runs of it are alive."""

    deployment: str
    """`flow name/deployment name`."""
    limit: str
    """Name of the limit."""
    taken: int
    alive: int

    @property
    def in_words(self) -> str:
        """What is seen, what cannot be, and how a person can set it right."""
        return (
            f"Of deployment {self.deployment} {self.taken} concurrency slots are taken, but "
            f"{self.alive} of its runs are alive. Whose the others are is unobservable, so none is "
            "freed. If it stays so, and no run of it is starting: "
            f"prefect gcl update {self.limit} --active-slots {self.alive}"
        )
