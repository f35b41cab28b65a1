"""The names that Prefect's server and Prefect Cloud give to the same things.

Prefect Cloud names the events of its automations by a namespace of its own; their labels and
payloads are those of the server (Prefect's documentation, "Automation events"). Both names are
asked for everywhere: an absent name costs nothing.
"""

from __future__ import annotations

AUTOMATION_TRIGGERED = ("prefect.automation.triggered", "prefect-cloud.automation.triggered")
"""An automation fired."""

ACTION_TRIGGERED = (
    "prefect.automation.action.triggered",
    "prefect-cloud.automation.action.triggered",
)
ACTION_EXECUTED = (
    "prefect.automation.action.executed",
    "prefect-cloud.automation.action.executed",
)
ACTION_FAILED = ("prefect.automation.action.failed", "prefect-cloud.automation.action.failed")

ACTION_DISABLED = ("prefect-cloud.automation.action.disabled",)
"""Prefect Cloud alone: an automation that failed or fired too often is switched off."""


def event_resources(event_id: str) -> tuple[str, ...]:
    """The resource ids by which the events of automations name the event that set them off."""
    return f"prefect.event.{event_id}", f"prefect-cloud.event.{event_id}"
