"""The notifications in the report that failed, or of which nobody knows whether they arrived."""

from __future__ import annotations

from collections.abc import Sequence

from prefect_crash_monitor.notify.delivery.record import Delivery, Why
from prefect_crash_monitor.text.format import stamp
from prefect_crash_monitor.text.sanitize import code, markdown

SHOWN = 20

WORDS = {
    Why.ACTION_FAILED: "Prefect could not send it to {receiver}: {detail}",
    Why.NEVER_REPORTED: (
        "never confirmed: {receiver} was tried, but neither success nor failure was reported. "
        "A custom webhook that fails does so, after up to 4 tries"
    ),
    Why.NEVER_FIRED: (
        "never confirmed: the automation did not fire, as when Prefect was restarted just then"
    ),
    Why.AUTOMATION_MISSING: "never sent: the automation is not on the server",
    Why.AUTOMATION_PAUSED: "not sent: the automation is paused",
}
TO_DO = {
    Why.ACTION_FAILED: "prefect block inspect {receiver}",
    Why.NEVER_REPORTED: "prefect block inspect {receiver}",
    Why.NEVER_FIRED: 'prefect automation inspect "{automation}"',
    Why.AUTOMATION_MISSING: "crash-monitor register --policy {monitor}",
    Why.AUTOMATION_PAUSED: 'prefect automation resume "{automation}"',
}


def deliveries_section(troubles: Sequence[Delivery], *, monitor: str) -> str:
    """What nobody may know of, why, and what to do; empty where all was told."""
    lines = [_trouble(delivery, monitor) for delivery in troubles[-SHOWN:]]
    if (left := len(troubles) - SHOWN) > 0:
        lines.append(f"- and {left} earlier ones: `crash-monitor incidents --json`")
    return "## Not confirmed to be told\n\n" + "\n".join(lines) if lines else ""


def _trouble(delivery: Delivery, monitor: str) -> str:
    named = {"monitor": monitor, "receiver": delivery.receiver, "automation": delivery.automation}
    detail = markdown(delivery.detail, 300) or "no reason given"
    told = WORDS[delivery.why].format(receiver=markdown(delivery.receiver), detail=detail)
    return (
        f"- **{markdown(delivery.subject)}** ({delivery.kind} {stamp(delivery.told_at)} UTC, "
        f"incident {markdown(delivery.incident)}): {told}\n"
        f"  - next: {code(TO_DO[delivery.why].format(**named))}"
    )
