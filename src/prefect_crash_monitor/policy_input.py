"""A policy of plain values, as a person or a block gives them; what is wrong with them in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from prefect_crash_monitor.errors import BadInput
from prefect_crash_monitor.policy import Policy


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
    if "rules" in overrides:
        raise BadInput(
            "`rules` cannot be overridden for one run: the open incidents of the others would be "
            "resolved, with an all-clear. Save a second block (`CrashPolicy(...).save(NAME)`) and "
            "run with `policy=NAME`: it has incidents of its own."
        )
    return parse_policy(policy.model_dump() | dict(overrides)) if overrides else policy


def _in_words(error: ValidationError) -> str:
    """Pydantic's complaints as one line, without its links."""
    return "; ".join(
        ": ".join(filter(None, [".".join(str(part) for part in item["loc"]), item["msg"]]))
        for item in error.errors(include_url=False)
    )
