"""The monitor's own flow runs: where this one runs, and stranded ones that hold a slot.

Prefect 3.8 keeps the leases of a deployment's concurrency limit in the server's memory. After a
restart a slot whose holder died stays taken until that run is in a terminal state, so a stranded
cycle would block the deployment for ever. The deployment allows two runs: the second one frees
the slot of the first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from prefect_crash_monitor.api import Api
from prefect_crash_monitor.count import is_own
from prefect_crash_monitor.errors import Failing, NotThere
from prefect_crash_monitor.model import OWN_FLOWS, OWN_TAG, Crash
from prefect_crash_monitor.policy import Policy
from prefect_crash_monitor.reading import moment, rows, whole_answer

STRANDED_AFTER = timedelta(minutes=15)
"""Well beyond the flow's timeout of 4 minutes, at which a living cycle ends itself."""

FREED_AT_ONCE = 10

OWN_KEPT = 100
"""Own deployments believed in, the latest; a monitor has two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a cycle runs: what it cannot ask the API for."""

    ui_url: str = ""
    """Base of links into the UI; empty where unknown."""
    flow_run_id: str | None = None
    deployment_id: str | None = None


async def own_deployments_of(api: Api, crashes: Iterable[Crash]) -> frozenset[str]:
    """Deployments of ours among those whose runs carry our flow's name, but not our tag.

    One request, none where there is no such run.
    """
    doubtful = {c.deployment_id for c in crashes if c.flow in OWN_FLOWS and not is_own(c)} - {""}
    if not doubtful:
        return frozenset()
    filter_ = {"id": {"any_": sorted(doubtful)}, "tags": {"all_": [OWN_TAG]}}
    own = await api.post("/deployments/filter", {"deployments": filter_})
    with whole_answer("the monitor's own deployments"):
        return frozenset(str(deployment["id"]) for deployment in own)


async def still_own(api: Api, remembered: Sequence[str], place: Place) -> tuple[str, ...]:
    """Of the deployments that the ledger calls ours those that are: crashes of ours are kept apart.

    Anybody may write a ledger. So each needs our tag on the server, or runs a flow of ours, or is
    the deployment of this run. One request, one more where a tag is missing; none where nothing is
    remembered but this run's.
    """
    doubtful = [id_ for id_ in remembered if id_ != place.deployment_id]
    if not doubtful:
        return tuple(remembered)
    asked = {"id": {"any_": doubtful[-OWN_KEPT:]}}
    found = rows(await api.post("/deployments/filter", {"deployments": asked}), "own deployments")
    with whole_answer("own deployments"):
        ours = {d["id"] for d in found if OWN_TAG in d["tags"]}
        flows = {d["id"]: d["flow_id"] for d in found if d["id"] not in ours}
    if flows:
        named = {"id": {"any_": sorted(set(flows.values()))}, "name": {"any_": sorted(OWN_FLOWS)}}
        own = rows(await api.post("/flows/filter", {"flows": named}), "own flows")
        with whole_answer("own flows"):
            names = {flow["id"] for flow in own}
        ours |= {id_ for id_, flow in flows.items() if flow in names}
    return tuple(id_ for id_ in remembered if id_ in ours or id_ == place.deployment_id)


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
