"""A policy of plain values, as a person or a block gives them; what is wrong with them in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from prefect_crash_monitor.config.policy import Policy
from prefect_crash_monitor.errors import BadInput

SECOND_BLOCK = (
    "Save a second block (`CrashPolicy(...).save(NAME)`) and run with `policy=NAME`: it has "
    "incidents and automations of its own."
)
BY_AUTOMATIONS = (
    "automations follow it, which are registered for the saved policy. Change it there. "
    + SECOND_BLOCK
)
REFUSED = {
    "rules": "the open incidents of the others would be resolved, with an all-clear. "
    + SECOND_BLOCK,
    "silences": "what it silences, or does not, changes incidents that later runs go on with. "
    "Use `crash-monitor silence add` and `remove`.",
    **dict.fromkeys(
        (
            *("receiver", "routes", "failure_receiver", "cooldown"),
            *("silent_after", "silent_reminder", "triage"),
        ),
        BY_AUTOMATIONS,
    ),
}
"""Fields that one run cannot have for itself, and why: it shares its ledger and its automations."""


def parse_policy(values: Mapping[str, Any]) -> Policy:
    """The policy of plain values, as a person wrote them.

    Raises:
        BadInput: naming each field that cannot be used, and why.
    """
    try:
        return Policy.model_validate(dict(values))
    except ValidationError as error:
        raise BadInput(f"The policy cannot be used: {_in_words(error)}") from error


def override(policy: Policy, overrides: Mapping[str, Any]) -> Policy:
    """The policy with some fields replaced, for one run; checked like the whole.

    Raises:
        BadInput: a field that cannot be replaced so, or a value that the policy refuses.
    """
    for name in overrides:
        if why := REFUSED.get(name):
            raise BadInput(f"`{name}` cannot be overridden for one run: {why}")
    return parse_policy(policy.model_dump() | dict(overrides)) if overrides else policy


def _in_words(error: ValidationError) -> str:
    """Pydantic's complaints as one line, without its links."""
    return "; ".join(
        ": ".join(filter(None, [".".join(str(part) for part in item["loc"]), item["msg"]]))
        for item in error.errors(include_url=False)
    )
