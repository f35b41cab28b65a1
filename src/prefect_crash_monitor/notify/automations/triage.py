"""The automation that starts a triage of each incident that opens. Pure."""

from __future__ import annotations

from typing import Any

from prefect_crash_monitor.config.policy import Policy
from prefect_crash_monitor.model.incident import Kind
from prefect_crash_monitor.model.own import OWN_TAG
from prefect_crash_monitor.notify.automations.desired import RESOURCE, automation_name
from prefect_crash_monitor.publish.events import INCIDENT_EVENTS, MONITOR_LABEL, NOTIFY_LABEL

DEPLOYMENT = "crash-triage/crash-triage"

NOT_DEPLOYED = (
    f"Incidents are not triaged: there is no deployment {DEPLOYMENT} with tag {OWN_TAG} on the "
    "server. Deploy it with `prefect deploy --all`, then `crash-monitor register` again; or set "
    "`triage` to false in the policy."
)


def triage_automation(policy: Policy, deployment_id: str, *, monitor: str) -> dict[str, Any]:
    """Runs the deployment once per incident that opens, and again only after the cooldown.

    In one cycle for `digest_above` incidents at most: those that are told in a digest start none.
    It reacts to our own event only, never to a flow run, so that a crashed triage starts none.
    """
    return {
        "name": automation_name("triage", monitor),
        "description": "Looks closely at a crashed run of each incident that opens.",
        "enabled": True,
        "tags": [OWN_TAG],
        "trigger": {
            "type": "event",
            "posture": "Reactive",
            "threshold": 1,
            "within": policy.cooldown.total_seconds(),
            "for_each": [RESOURCE],
            # What is told in a digest is too much to be looked at one by one.
            "match": {MONITOR_LABEL: monitor, NOTIFY_LABEL: "alone"},
            "match_related": {},
            "after": [],
            "expect": [INCIDENT_EVENTS[Kind.OPENED]],
        },
        "actions": [
            {
                "type": "run-deployment",
                "source": "selected",
                "deployment_id": deployment_id,
                "parameters": {
                    "flow_run_id": "{{ event.payload.incident.sample_run_id }}",
                    "incident": "{{ event.payload.incident.incident }}",
                    "policy": monitor,
                },
                "job_variables": None,
                "schedule_after": 0.0,
            }
        ],
        "actions_on_trigger": [],
        "actions_on_resolve": [],
    }
