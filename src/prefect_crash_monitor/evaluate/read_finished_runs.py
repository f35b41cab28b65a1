"""How many runs ended otherwise than crashed: what crashes are a share of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from prefect_crash_monitor.evaluate.min_share import Asked, of_groups, totals
from prefect_crash_monitor.evaluate.rate.candidates import Wanted, days_wanted
from prefect_crash_monitor.evaluate.rate.daily_counts import DAY
from prefect_crash_monitor.evaluate.read_last_success import can_be_asked, filter_of
from prefect_crash_monitor.model.interval import Window, moment
from prefect_crash_monitor.model.runs import Ending, Runs, RunsOf
from prefect_crash_monitor.observe.read_flow_runs import side_by_side, within
from prefect_crash_monitor.prefect_api.answers import rows, whole_answer
from prefect_crash_monitor.prefect_api.client import Api

ENDED = ["COMPLETED", "FAILED", "CANCELLED"]
"""Ends other than a crash. Crashes are counted by their events: a run that crashed and then
completed ended twice."""


HAS_NO_PARENT = {"parent_task_run_id": {"is_null_": True}}
"""As the crashes that rules look at: the death of a process is one crash, its parent's, so the many
subflows that end within it are no runs to compare it with. Those have no deployment; the children
that a flow starts by `run_deployment`, which have one, are left out with them but in groups of
deployments and pools: then the share is taken for larger than it is, and told of."""

DEPLOYED = frozenset({RunsOf.DEPLOYMENT, RunsOf.WORK_POOL})


async def runs_ended(api: Api, wanted: Wanted) -> dict[Ending, int]:
    """What is wanted, and the days to compare with of those whose rate is high.

    One request for each window, by the time of the end, and one for all days of a deployment, by
    the time at which they were to start: that is all that Prefect's history tells, and over whole
    days it comes to the same.
    """
    found = await ended_in(api, wanted.windows)
    return found | await ended_on(api, days_wanted(wanted, found))


async def shares_of(api: Api, asked: Sequence[Asked]) -> dict[Ending, int]:
    """What is asked for to tell small shares: one request a span, and those groups that need it."""
    found = await ended_in(api, totals(asked))
    return found | await ended_in(api, of_groups(asked, found))


async def ended_in(api: Api, windows: Iterable[Ending]) -> dict[Ending, int]:
    """By the time of the end; a request each."""

    async def one(ending: Ending) -> tuple[Ending, int]:
        return ending, await _count(api, ending)

    return dict(await side_by_side(one, [e for e in windows if can_be_asked(e.runs)]))


async def ended_on(api: Api, days: Iterable[Ending]) -> dict[Ending, int]:
    """On whole days, by the time at which the runs were to start; a request for each `Runs`."""
    by_runs: dict[Runs, list[Ending]] = defaultdict(list)
    for ending in days:
        if can_be_asked(ending.runs):
            by_runs[ending.runs].append(ending)

    async def of_one(runs: Runs) -> dict[Ending, int]:
        told = await _history(api, runs, [ending.since for ending in by_runs[runs]])
        return {ending: told[ending] for ending in by_runs[runs] if ending in told}

    found: dict[Ending, int] = {}
    for answer in await side_by_side(of_one, by_runs):
        found |= answer
    return found


async def _count(api: Api, ending: Ending) -> int:
    span = Window(ending.since, ending.until)
    more = {"state": {"type": {"any_": ENDED}}, "end_time": within(span), **_alone(ending.runs)}
    number = await api.post("/flow_runs/count", filter_of(ending.runs.of, [ending.runs.id], more))
    with whole_answer("the number of flow runs"):
        return int(number)


def _alone(runs: Runs) -> Mapping[str, Any]:
    return {} if runs.of in DEPLOYED else HAS_NO_PARENT


async def _history(api: Api, runs: Runs, days: Sequence[datetime]) -> dict[Ending, int]:
    body = filter_of(runs.of, [runs.id], _alone(runs)) | {
        "history_start": min(days).isoformat(),
        "history_end": (max(days) + DAY).isoformat(),
        "history_interval_seconds": DAY.total_seconds(),
    }
    buckets = rows(await api.post("/flow_runs/history", body), "the history of flow runs")
    with whole_answer("the history of flow runs"):
        return {
            Ending(runs, moment(one["interval_start"]), moment(one["interval_end"])): sum(
                state["count_runs"] for state in one["states"] if state["state_type"] in ENDED
            )
            for one in buckets
        }
