"""Which notification block is told of an incident: by its severity, each by exactly one.

Pure. The severities are divided among the routes and the receiver, so that an incident event,
whose label names its severity, has one automation waiting for it: never none, never two. Where
the severity of an incident's rule is changed while it is open, its next event goes the new way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prefect_crash_monitor.config.policy import Policy
from prefect_crash_monitor.model.incident import Severity

NOBODY_IS_TOLD = (
    "Nobody is notified: the policy names no receiver. Set `receiver` to a notification block, "
    "for instance slack-webhook/data-alerts."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The severities that one set of automations takes."""

    suffix: str = ""
    """What the names of its automations end with; empty for the receiver's."""
    severities: tuple[Severity, ...] = ()
    """Empty for all there are, where no severity is routed."""
    field: str = "receiver"
    """The field of the policy that names its block."""

    def takes(self, severity: str) -> bool:
        """Whether incidents of a severity are its."""
        return not self.severities or severity in self.severities


def shares(policy: Policy) -> tuple[Share, ...]:
    """All sets of automations that the policy needs; the receiver's first, where it has any."""
    if not policy.routes:
        return (Share(),)
    left = tuple(severity for severity in Severity if severity not in policy.routes)
    routed = (
        Share(suffix=f", {severity}", severities=(severity,), field=route_field(severity))
        for severity in Severity
        if severity in policy.routes
    )
    return (*((Share(severities=left),) if left else ()), *routed)


def share_of(policy: Policy, severity: str) -> Share:
    """The set of automations that takes incidents of a severity."""
    for share in shares(policy):
        if share.takes(severity):
            return share
    return Share()


def route_field(severity: Severity) -> str:
    """How a route is called in messages."""
    return f"routes.{severity}"


def blocks_named(policy: Policy) -> Mapping[str, str | None]:
    """Every field of the policy that names a notification block, and the name."""
    routes = {route_field(severity): block for severity, block in policy.routes.items()}
    return {
        "receiver": policy.receiver,
        "failure_receiver": policy.failure_receiver,
        **routes,
    }


def receiver_of(policy: Policy, severity: str) -> str | None:
    """The block that is told of incidents of a severity, as block-type/name."""
    return blocks_named(policy)[share_of(policy, severity).field]


def untold(policy: Policy) -> tuple[str, ...]:
    """What nobody is told of, in words; empty where somebody is told of everything."""
    if policy.receiver:
        return ()
    if not policy.routes:
        return (NOBODY_IS_TOLD,)
    left = [str(severity) for severity in Severity if severity not in policy.routes]
    what = f"incidents of severity {' and '.join(left)}, and of a " if left else "a "
    return (
        f"Nobody is notified of {what}monitor that has fallen silent: the policy has routes, but "
        "no receiver. Set `receiver` to a notification block.",
    )
