"""Where the policy of a cycle comes from: a saved block, or the built-in default, said aloud."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prefect_crash_monitor.config.parse_policy import override, parse_policy
from prefect_crash_monitor.config.policy import Policy
from prefect_crash_monitor.errors import BadInput, NotThere
from prefect_crash_monitor.model.own import DEFAULT_MONITOR
from prefect_crash_monitor.prefect_api.answers import whole_answer
from prefect_crash_monitor.prefect_api.client import Api

BLOCK_TYPE = "crash-policy"
DOCUMENT_NAME = re.compile(r"[a-z0-9-]+")
"""Names that Prefect gives a block document; also part of our automations' names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The policy in force, its name, and what a reader of the report must know about it."""

    name: str
    policy: Policy
    saved: Policy | None = None
    """The policy without what is overridden for this run; None where nothing is."""
    notices: tuple[str, ...] = ()

    @property
    def lasting(self) -> Policy:
        """What the automations follow: registering them for one run would reset cooldowns."""
        return self.saved or self.policy


async def load_settings(
    api: Api, name: str = DEFAULT_MONITOR, overrides: Mapping[str, Any] | None = None
) -> Settings:
    """The saved policy of this name, with some fields replaced for one run; one request.

    Read as plain values, so that a field that a newer or older version does not know is refused
    with its name. Without a saved block of the default name the built-in default serves.

    Raises:
        BadInput: the named block is missing or cannot exist, or holds what the policy refuses.
    """
    if not DOCUMENT_NAME.fullmatch(name):
        raise BadInput(
            f"{name!r} is no name of a block: those have small letters, digits and dashes only."
        )
    try:
        path = f"/block_types/slug/{BLOCK_TYPE}/block_documents/name/{name}"
        document = await api.get(path, {"include_secrets": "true"})
    except NotThere as error:
        if name != DEFAULT_MONITOR:
            raise BadInput(
                f"There is no block {BLOCK_TYPE}/{name}. Save one with "
                f'`CrashPolicy(...).save("{name}")`, or use the default.'
            ) from error
        notice = (
            f"No block {BLOCK_TYPE}/{name} is saved: the built-in default policy is in force. "
            "Save one with `python blocks/crash_policy.py`."
        )
        saved = Policy()
        policy = override(saved, overrides or {})
        return Settings(
            name=name,
            policy=policy,
            saved=saved,
            notices=(notice, *_overridden(overrides)),
        )
    with whole_answer("the policy block"):
        values = dict(document["data"])
    saved = parse_policy(values)
    policy = override(saved, overrides or {})
    return Settings(name=name, policy=policy, saved=saved, notices=_overridden(overrides))


def _overridden(overrides: Mapping[str, Any] | None) -> tuple[str, ...]:
    if not overrides:
        return ()
    return (f"Overridden for this run: {', '.join(sorted(overrides))}.",)
