"""The monitor's own flow runs: where this one runs, and stranded ones that hold a slot.

Prefect 3.8 keeps the leases of a deployment's concurrency limit in the server's memory. After a
restart a slot whose holder died stays taken until that run is in a terminal state, so a stranded
cycle would block the deployment for ever. The deployment allows two runs: the second one frees
the slot of the first.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from prefect_crash_monitor.config.policy import Policy
from prefect_crash_monitor.errors import Failing, NotThere
from prefect_crash_monitor.model.interval import moment
from prefect_crash_monitor.model.own import OWN_TAG, Place
from prefect_crash_monitor.prefect_api.answers import whole_answer
from prefect_crash_monitor.prefect_api.client import Api

STRANDED_AFTER = timedelta(minutes=15)
"""Well beyond the flow's timeout of 4 minutes, at which a living cycle ends itself."""

FREED_AT_ONCE = 10


async def free_stranded(
    api: Api, place: Place, deployments: Collection[str], policy: Policy, now: datetime
) -> int:
    """Sets runs of our deployments CRASHED that began long ago and never ended; how many it freed.

    One request, none where no own deployment is known. Never by force: a run that ended meanwhile
    stays so. The ledger, which anybody may have written, is not enough to end a run: its deployment
    is that of this run, or has our tag on the server.
    """
    if not deployments:
        return 0
    began_before = now - max(STRANDED_AFTER, 2 * policy.interval)
    filter_ = {
        "deployment_id": {"any_": sorted(deployments)},
        "state": {"type": {"any_": ["PENDING", "RUNNING", "CANCELLING"]}},
        "start_time": {"before_": began_before.isoformat()},
    }
    ours: dict[str, Any] = {"operator": "or_", "tags": {"all_": [OWN_TAG]}}
    if place.deployment_id:
        ours["id"] = {"any_": [place.deployment_id]}
    body = {
        "flow_runs": filter_,
        "deployments": ours,
        "limit": FREED_AT_ONCE,
        "sort": "ID_DESC",
    }
    stranded = await api.post("/flow_runs/filter", body)
    with whole_answer("the monitor's own runs"):
        # A late run has an old start time from the first moment on, so its state's age decides.
        ids = [
            run["id"]
            for run in stranded
            if run["id"] != place.flow_run_id and moment(run["state"]["timestamp"]) < began_before
        ]
    freed = 0
    for id_ in ids:
        state = {
            "type": "CRASHED",
            "name": "Crashed",
            "message": "Stranded run of the crash monitor: its process is gone.",
        }
        with suppress(Failing, NotThere):  # deleted meanwhile; or for the next cycle
            answer = await api.post(f"/flow_runs/{id_}/set_state", {"state": state, "force": False})
            with whole_answer("a stranded run"):
                freed += answer["status"] == "ACCEPT"
    return freed
