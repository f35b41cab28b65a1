"""Publishes the report and the table of crashes; the newest versions stay."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from prefect_crash_monitor.model.own import REPORT_KEY, ROWS_KEY, artifact_key
from prefect_crash_monitor.prefect_api.answers import whole_answer
from prefect_crash_monitor.prefect_api.client import Api
from prefect_crash_monitor.publish.send_events import Body

PRUNED_AT_ONCE = 20
"""Old versions removed of an artifact in one cycle; a lowered limit is reached over several."""


async def publish_artifacts(
    api: Api,
    monitor: str,
    *,
    report: str,
    headline: str,
    rows: Sequence[Mapping[str, str]],
    flow_run_id: str | None,
) -> None:
    """A new version of the report and of the table of crashes, under the cycle's own flow run."""
    run = {"flow_run_id": flow_run_id} if flow_run_id else {}
    report_body = {"type": "markdown", "description": headline, "data": report}
    await api.post("/artifacts/", report_body | {"key": artifact_key(REPORT_KEY, monitor)} | run)
    # Prefect's UI parses a table's data as JSON text.
    table = json.dumps(list(rows), ensure_ascii=False, allow_nan=False)
    rows_body = {"type": "table", "description": headline, "data": table}
    await api.post("/artifacts/", rows_body | {"key": artifact_key(ROWS_KEY, monitor)} | run)


async def prune_artifacts(api: Api, monitor: str, *, keep: int) -> None:
    """Removes versions of our artifacts beyond the newest `keep`.

    Prefect keeps every version for ever, at five minutes 288 a day.
    """
    for key in (REPORT_KEY, ROWS_KEY):
        own = artifact_key(key, monitor)
        await prune(api, {"key": {"any_": [own]}}, keep=keep, is_ours=own.__eq__)


async def prune(api: Api, filter_: Body, *, keep: int, is_ours: Callable[[str], bool]) -> None:
    """Removes artifacts beyond the newest `keep` that the filter finds, where the key is ours."""
    body = {
        "artifacts": dict(filter_),
        "sort": "CREATED_DESC",
        "offset": keep,
        "limit": PRUNED_AT_ONCE,
    }
    old = await api.post("/artifacts/filter", body)
    with whole_answer("old artifacts"):
        ids = [artifact["id"] for artifact in old if is_ours(artifact["key"])]
    for id_ in ids:
        await api.delete(f"/artifacts/{id_}")
