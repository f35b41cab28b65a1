"""When runs completed last: what ends a streak of crashes."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from prefect_crash_monitor.model.interval import moment
from prefect_crash_monitor.model.runs import Runs, RunsOf
from prefect_crash_monitor.observe.read_flow_runs import PAGE, Json
from prefect_crash_monitor.prefect_api.answers import rows, whole_answer
from prefect_crash_monitor.prefect_api.client import Api

ROUNDS = 3
"""Requests for each kind of group: a busy deployment may fill a page, so that the others need
another one. What is not found out is left open; no streak is told of on a guess."""

ASKED_AT_ONCE = 500
"""Groups in one request."""


@dataclass(frozen=True, slots=True)
class Query:
    """How completed runs of some groups are asked for, and which group a run belongs to."""

    filters: Callable[[Sequence[str]], dict[str, Any]]
    key: str


QUERIES: Mapping[RunsOf, Query] = {
    RunsOf.DEPLOYMENT: Query(
        lambda ids: {"flow_runs": {"deployment_id": {"any_": ids}}}, "deployment_id"
    ),
    RunsOf.FLOW: Query(lambda ids: {"flows": {"id": {"any_": ids}}}, "flow_id"),
    RunsOf.FLOW_WITHOUT_DEPLOYMENT: Query(
        lambda ids: {
            "flows": {"id": {"any_": ids}},
            "flow_runs": {"deployment_id": {"is_null_": True}},
        },
        "flow_id",
    ),
    RunsOf.RUN: Query(lambda ids: {"flow_runs": {"id": {"any_": ids}}}, "id"),
    RunsOf.WORK_POOL: Query(lambda ids: {"work_pools": {"name": {"any_": ids}}}, "work_pool_name"),
    RunsOf.EVERYTHING: Query(lambda _: {}, ""),
}


async def latest_completions(
    api: Api, questions: Mapping[Runs, datetime]
) -> dict[Runs, datetime | None]:
    """The end of the latest completed run of each group, None where none completed since.

    A group of which it cannot be told is left out. One request for each kind of group
    and 500 of them, up to `ROUNDS` times; none where nothing is asked.
    """
    since: dict[RunsOf, dict[str, datetime]] = defaultdict(dict)
    for runs, begun in questions.items():
        if can_be_asked(runs):
            since[runs.of][runs.id] = begun
    found: dict[Runs, datetime | None] = {}
    for of, begins in since.items():
        for part in _parts(begins):
            answers = await _ask(api, of, part)
            found |= {Runs(of, id_): ended for id_, ended in answers.items()}
    return found


def filter_of(of: RunsOf, ids: Sequence[str], more: Mapping[str, Any]) -> dict[str, Any]:
    """The filter for the runs of some groups, with more conditions on them."""
    body = QUERIES[of].filters(ids)
    return {**body, "flow_runs": {**body.get("flow_runs", {}), **more}}


def can_be_asked(runs: Runs) -> bool:
    """Whether Prefect takes it as an id; events, which anyone may send, may hold anything."""
    if runs.of in {RunsOf.WORK_POOL, RunsOf.EVERYTHING}:
        return True
    try:
        uuid.UUID(runs.id)
    except ValueError:
        return False
    return True


def _parts(begins: Mapping[str, datetime]) -> Iterator[dict[str, datetime]]:
    items = sorted(begins.items())
    for at in range(0, len(items), ASKED_AT_ONCE):
        yield dict(items[at : at + ASKED_AT_ONCE])


async def _ask(api: Api, of: RunsOf, begins: Mapping[str, datetime]) -> dict[str, datetime | None]:
    answers: dict[str, datetime | None] = {}
    for _ in range(ROUNDS):
        left = sorted(begins.keys() - answers.keys())
        if not left:
            break
        page = await _completed(api, of, left, min(begins[id_] for id_ in left))
        with whole_answer("completed runs"):
            for run in page:  # the latest first
                answers.setdefault(str(run[QUERIES[of].key]), moment(run["end_time"]))
        if len(page) < PAGE:
            answers |= {id_: None for id_ in left if id_ not in answers}
    return answers


async def _completed(api: Api, of: RunsOf, ids: Sequence[str], since: datetime) -> Sequence[Json]:
    completed = {
        "state": {"type": {"any_": ["COMPLETED"]}},
        "end_time": {"after_": since.isoformat()},
    }
    body = filter_of(of, ids, completed) | {"sort": "END_TIME_DESC", "limit": PAGE}
    return rows(await api.post("/flow_runs/filter", body), "completed runs")
