"""Defects that were found, each with the smallest case that shows it.

Those of the observation as a whole are situations in `test_observe_truth`: attempts beyond a
limit left out in silence, a later crash without event that did not supersede, events sent twice
or by others, windows beyond the retention taken for quiet times.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from tests.support.simulator import Shop, Simulator, crash
from tests.support.world import CRASHED, RUNNING, unique
from tests.test_cycle import SECOND, TEN, begin, cycle, own_crashes, settings

from prefect_crash_monitor.config.policy import Policy, Rule
from prefect_crash_monitor.errors import Failing
from prefect_crash_monitor.model.interval import aligned
from prefect_crash_monitor.notify.notification import notification
from prefect_crash_monitor.observe.parse_crash import Doubt, crash_of_state, doubt_of
from prefect_crash_monitor.prefect_api.answers import rows
from prefect_crash_monitor.prefect_api.client import open_api
from prefect_crash_monitor.publish.events import incident_json

AT = "2026-11-24T12:00:00+00:00"
RUN = {"prefect.resource.id": "prefect.flow-run.00000000-0000-4000-8000-000000000001"}
NAMED = {**RUN, "prefect.state-name": "Crashed", "prefect.state-type": "CRASHED"}


@pytest.mark.parametrize(
    ("resource", "doubt"),
    [
        ({**NAMED, "prefect.state-timestamp": AT}, Doubt.NONE),
        ({**NAMED, "prefect.state-timestamp": "2026-11-24T12:00:00Z"}, Doubt.NONE),
        (NAMED, Doubt.SOME),
        ({**RUN, "prefect.state-type": "CRASHED"}, Doubt.BASELESS),
        ({**NAMED, "prefect.state-timestamp": "2026-11-24T11:59:00+00:00"}, Doubt.BASELESS),
    ],
    ids=["as Prefect's", "with a Z", "without its time", "without a name", "sent again later"],
)
def test_an_event_is_believed_as_far_as_it_looks_like_prefects(resource, doubt):
    """Anyone may send a crash event; it used to count whatever it looked like."""
    assert doubt_of({"resource": resource, "occurred": AT}) is doubt


@pytest.mark.parametrize("answer", [None, {}, {"detail": "gone"}, "[]", 0])
def test_what_is_no_list_is_no_empty_list(answer):
    """An empty object instead of a list of lost runs used to mean that none was lost."""
    with pytest.raises(Failing, match="lost runs"):
        rows(answer, "lost runs")


def test_a_lost_event_of_an_own_run_is_recognised_by_the_tags_of_its_flow():
    """Prefect's events gather the tags of run, flow and deployment; so must we without one."""
    state = {"id": "s", "timestamp": AT}
    run = {"id": "r", "tags": ["a"]}

    crash = crash_of_state(state, run, {"name": "f", "tags": ["b"]}, {"name": "d", "tags": ["c"]})

    assert crash.tags == ("a", "b", "c")
    assert crash.deployment == "f/d"


def test_what_is_told_late_is_not_reminded_of_in_the_same_breath():
    """A monitor that was away for hours used to open an incident and remind of it in one cycle."""
    hour = 60
    shop = Shop(crashes=[crash(minute) for minute in range(1, 14 * hour, 10)])
    policy = Policy(rules=[Rule(name="loop")], remind_after=timedelta(hours=4))
    monitor = Simulator(shop, policy)
    monitor.cycle(0)

    told = [(at / hour, kind) for at, kind, *_ in monitor.play(range(8 * hour, 14 * hour, hour))]

    assert told == [(8, "opened"), (12, "reminded")]


@pytest.mark.server
async def test_a_crash_explained_cycles_before_it_is_told_is_told_with_cause_and_remedy(
    world, wait_until
):
    """With a grace above the interval, as by default, notifications had neither cause nor fix."""
    flow, start = unique("told-later"), datetime.now(UTC)
    segmentation_fault = CRASHED | {"message": "Process exited with status code: -11"}
    for _ in range(3):
        world.run(RUNNING, segmentation_fault, flow=flow, tags=[f"{flow}:acme"])
    wait_until(lambda: own_crashes(world, flow, start) == 3, what="crash events")
    setting = settings(flow, grace=25 * SECOND)
    end = aligned(datetime.now(UTC), TEN) + TEN
    async with open_api() as api:
        await begin(api, setting, start)
        told = [
            transition
            for cycles in range(5)
            for transition in (
                await cycle(api, setting, end + cycles * TEN + 6 * SECOND)
            ).judgement.transitions
        ]
        opened = told[0].incident
        listed = incident_json(opened)

    text = notification(told[0], ui_url="", monitor=flow)["text"]
    assert opened.opened_at > end + TEN
    assert "\nCause: Native code crashed (native-crash-segfault)" in text
    assert "\nTo do: " in text
    assert f"prefect flow-run logs {opened.sample_run_id}" in text
    for field in ("title", "evidence", "remedy", "command"):
        assert listed[field], field
    assert opened.sample_run_id in opened.command
