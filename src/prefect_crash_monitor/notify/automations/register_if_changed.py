"""Registers the automations from within a cycle, when the policy has changed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from prefect_crash_monitor import __version__
from prefect_crash_monitor.config.policy import Policy
from prefect_crash_monitor.errors import UnsuitableBlock
from prefect_crash_monitor.notify.automations.register_automations import register
from prefect_crash_monitor.notify.routing import untold
from prefect_crash_monitor.prefect_api.client import Api


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """Whether the automations are as the policy wants them."""

    digest: str
    """Of what is registered; empty where it failed, so that the next cycle tries again."""
    notices: tuple[str, ...] = ()
    triage_deployment: str = ""
    """Id of our deployment that triages, where it was looked up now."""
    error: UnsuitableBlock | None = None
    """A receiver that cannot be used: to be raised once the cycle has counted."""


async def register_if_changed(
    api: Api, policy: Policy, monitor: str, registered: str
) -> Registered:
    """Makes the server's automations agree with a policy that changed; else no request.

    Before anything is published, so that the first incident ever already notifies.
    """
    digest = hashlib.sha256(f"{__version__} {policy.model_dump_json()}".encode()).hexdigest()
    nobody = untold(policy)
    if digest == registered:
        return Registered(digest=digest, notices=nobody)
    try:
        done = await register(api, policy, monitor=monitor)
    except UnsuitableBlock as error:
        return Registered(digest="", notices=(*nobody, str(error)), error=error)
    failed = tuple(f"Not registered, the next cycle tries again: {why}" for why in done.failed)
    return Registered(
        digest="" if failed else digest,
        notices=(*done.warnings, *failed),
        triage_deployment=done.triage_deployment,
    )
