"""Reads which deployments are the monitor's own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prefect_crash_monitor.model.crash import Crash
from prefect_crash_monitor.model.own import OWN_FLOWS, OWN_TAG, Place, is_own
from prefect_crash_monitor.prefect_api.answers import rows, whole_answer
from prefect_crash_monitor.prefect_api.client import Api

OWN_KEPT = 100
"""Own deployments believed in, the latest; a monitor has two."""


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
