"""Verdicts on ghosts that were wrong once: living runs called dead, dead ones never told of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.cases.bundles import RUN, SEEN_AT, Bundle, bundle, event, line
from tests.support.simulator import MINUTE, NOON, Shop, Simulator, ghost

from prefect_crash_monitor.config.policy import Policy
from prefect_crash_monitor.explain import Confidence, Explanation, evidence_of_bundle, explain
from prefect_crash_monitor.ghosts.candidates import turns
from prefect_crash_monitor.ghosts.ghost import Ghost, death
from prefect_crash_monitor.ghosts.read_ghosts import KEPT, Sweep, most_certain
from prefect_crash_monitor.ghosts.tracking import found
from prefect_crash_monitor.observe.outcomes import RunNow

RUNNING = ("SCHEDULED", "PENDING", "RUNNING")
PENDING = ("SCHEDULED", "PENDING")
WORKER = "prefect.worker.process.shared"


def explained(*course: str, **parts: Any) -> Explanation:
    """What is said of a run that went so."""
    return explain(evidence_of_bundle(bundle(*course, **parts)))


def beat(ago: float, *, received: float | None = None) -> Bundle:
    """A heartbeat, received when it was sent or so many minutes ago."""
    sent = event("prefect.flow-run.heartbeat", ago=ago)
    at = (SEEN_AT - (ago if received is None else received) * MINUTE).isoformat()
    return {**sent, "received": at}


def of_worker(what: str, ago: float, run: str = "", kind: str = "process") -> Bundle:
    """An event of a worker, about a run where one is given."""
    about = {"prefect.resource.id": f"prefect.flow-run.{run}", "prefect.resource.role": "flow-run"}
    resource = WORKER.replace("process", kind)
    sent = event(f"prefect.worker.{what}", ago=ago, resource=resource)
    sent["resource"]["prefect.worker-type"] = kind
    return {**sent, "related": [about] if run else []}


@pytest.mark.parametrize("worker", ["process", "docker", "ecs"])
def test_a_run_pending_for_long_is_likely_a_ghost_where_there_is_no_pod(worker: str):
    """Nobody asks Kubernetes about it, so nothing is missing."""
    why = explained(*PENDING, worker=worker, ago=15)

    assert (why.verdict, why.cause, why.confidence) == ("ghost", "ghost-pending", "medium")


def test_a_run_pending_for_long_is_told_of_once_it_stayed_so():
    """As README says: three minutes more."""
    dead = death(evidence_of_bundle(bundle(*PENDING, ago=15)))
    assert dead is not None
    pending = replace(ghost("a"), why=dead.why, is_silent=dead.is_silent)

    class Waiting(Shop):
        def dead(self, minute: float) -> list[Ghost]:
            return [pending] if minute > 0 else []

    monitor = Simulator(Waiting(), Policy())
    monitor.cycle(-5)

    assert monitor.play([5, 10]) == [(10, "opened", "ghost-runs etl/daily", 1)]


def test_on_kubernetes_a_run_pending_for_long_is_doubtful_while_nobody_asked_kubernetes():
    """Its pod may wait for a node."""
    why = explained(*PENDING, worker="kubernetes", ago=15)

    assert (why.cause, why.confidence) == ("ghost-pending", "low")


def test_one_heartbeat_shows_no_period_and_proves_nothing_for_certain():
    """With heartbeats each 15 minutes the run lives; it would be set CRASHED by `--mark`."""
    once = explained(*RUNNING, ago=11, events=[beat(10)])
    twice = explained(*RUNNING, ago=20, events=[beat(13), beat(10)])
    rare = explained(*RUNNING, ago=50, events=[beat(40), beat(25), beat(10)])

    assert (once.verdict, once.confidence) == ("ghost", "medium")
    assert (twice.verdict, twice.confidence) == ("ghost", "high")
    assert rare.verdict == "healthy"


def test_a_clock_that_is_behind_makes_no_ghost():
    """Its heartbeats are dated ten minutes ago, and came a minute ago."""
    beats = [beat(16, received=6), beat(13, received=3), beat(10, received=0.5)]

    assert explained(*RUNNING, ago=20, events=beats).verdict == "healthy"


def test_the_order_of_an_end_and_the_last_heartbeat_is_the_servers():
    """Worker and run on a host whose clock is behind: the end is still after the heartbeat."""
    end = of_worker("executed-flow-run", 11.5, RUN) | {
        "received": (SEEN_AT - 5.5 * MINUTE).isoformat()
    }
    events = [beat(15, received=9), beat(12, received=6), end]

    assert explained(*RUNNING, ago=20, events=events).confidence == "high"


def stopped_of(*others: Bundle) -> Explanation:
    """A run that has been quiet for six minutes; a worker of the name was stopped 5 minutes ago."""
    taken = of_worker("submitted-flow-run", 19, RUN)
    events = [taken, beat(9), beat(6), of_worker("stopped", 5), *others]
    return explained(*RUNNING, ago=19, events=events)


def test_the_stop_of_the_only_worker_of_its_name_takes_the_run_with_it():
    """Also where it was restarted since, and took other runs."""
    assert stopped_of().cause == "ghost-running"
    assert stopped_of(of_worker("started", 30)).cause == "ghost-running"
    before = [of_worker("started", 90), of_worker("stopped", 60), of_worker("started", 30)]
    assert stopped_of(*before).cause == "ghost-running"
    since = [of_worker("started", 4), of_worker("submitted-flow-run", 3, "another")]
    assert stopped_of(*since).cause == "ghost-running"


@pytest.mark.parametrize(
    "others",
    [
        [("started", 60), ("started", 50)],
        [("started", 60), ("started", 10)],
        [("submitted-flow-run", 2)],
    ],
    ids=["two before", "a second since", "one takes runs after the stop"],
)
def test_the_stop_of_one_of_several_workers_of_a_name_proves_nothing(
    others: list[tuple[str, float]],
):
    """Replicas with a fixed name, at each roll-out."""
    told = [of_worker(what, ago, "another" if "run" in what else "") for what, ago in others]

    assert stopped_of(*told).verdict == "healthy"


def test_the_stop_of_all_workers_of_a_name_is_proof():
    """Whichever of them had the run."""
    two = [of_worker("started", 60), of_worker("started", 50), of_worker("stopped", 4)]

    assert stopped_of(*two).cause == "ghost-running"


@pytest.mark.parametrize("what", ["executed-flow-run", "stopped"])
def test_a_forged_end_is_no_proof_before_a_heartbeat_is_missed(what: str):
    """Anybody may send such an event: until then it is likely, and never marked."""
    forged = of_worker(what, 1.5, RUN if what == "executed-flow-run" else "")
    events = [of_worker("submitted-flow-run", 19, RUN), beat(5), beat(2), forged]
    why = explained(*RUNNING, ago=19, events=events)

    assert (why.verdict, why.confidence) == ("ghost", "medium")


@pytest.mark.parametrize("sign", ["heartbeat", "log"])
@pytest.mark.parametrize("what", ["executed-flow-run", "stopped"])
def test_a_forged_end_is_given_the_lie_by_any_sign_of_life(what: str, sign: str):
    """A heartbeat or a line of log after it."""
    forged = of_worker(what, 8, RUN if what == "executed-flow-run" else "")
    events = [of_worker("submitted-flow-run", 19, RUN), beat(11), beat(9), forged]
    alive: dict[str, Any] = (
        {"events": [*events, beat(6)]}
        if sign == "heartbeat"
        else {"events": events, "logs": [line("on I go", ago=6, level=20)]}
    )

    assert explained(*RUNNING, ago=19, **alive).verdict == "healthy"


def likely(run: str, **more: Any) -> Ghost:
    """A ghost that may be none."""
    one = ghost(run, is_silent=False, **more)
    return replace(one, why=replace(one.why, confidence=Confidence.MEDIUM))


def test_what_is_likely_is_told_of_only_after_another_look():
    """That it is still listed says nothing where nobody looked."""

    def after(one: Ghost, known: Any, minute: float) -> Any:
        now = NOON + minute * MINUTE
        return found([one], known, heard=None, through=now - 5 * MINUTE, now=now)

    seen = likely("a", looked_at=NOON)
    first = after(seen, (), 0)
    unseen = after(seen, first, 10)
    assert unseen[0].sure_at is None
    assert after(likely("a", looked_at=NOON + 15 * MINUTE), unseen, 15)[0].sure_at is not None


def test_what_was_doubtful_for_long_is_told_of_only_when_it_was_likely_for_long():
    """The three minutes begin with what makes it likely."""
    doubtful = replace(ghost("a").why, confidence=Confidence.LOW)
    known = found(
        [replace(ghost("a"), why=doubtful)], (), heard=None, through=NOON - 5 * MINUTE, now=NOON
    )
    later = NOON + 60 * MINUTE
    (one,) = found([likely("a")], known, heard=None, through=later - 5 * MINUTE, now=later)

    assert one.sure_at is None


def test_the_monitor_keeps_a_bounded_number_of_ghosts_and_says_so():
    """The most certain, of those the newest: the ledger is read and written whole each cycle."""

    def of_age(number: int, confidence: Confidence) -> Ghost:
        one = ghost(f"{number}")
        at = NOON - number * MINUTE
        return replace(
            one,
            left_in=replace(one.left_in, at=at),
            why=replace(one.why, confidence=confidence),
        )

    doubtful = [of_age(n, Confidence.LOW) for n in range(KEPT)]
    certain = [of_age(1_000 + n, Confidence.HIGH) for n in range(10)]
    kept = most_certain([*doubtful, *certain])

    assert len(kept) == KEPT
    assert {one.flow_run_id for one in certain} <= {one.flow_run_id for one in kept}
    assert "0" in {one.flow_run_id for one in kept}
    assert str(KEPT - 1) not in {one.flow_run_id for one in kept}
    (notice,) = Sweep(ghosts=tuple(kept), not_kept=10).remarks
    assert notice.startswith("10 more runs")
    assert Sweep().remarks == ()


@pytest.mark.parametrize(("again", "new"), [(0, 30), (30, 0), (3, 30), (30, 3), (30, 30), (4, 5)])
def test_neither_the_likely_nor_the_new_keep_the_others_from_being_looked_at(again: int, new: int):
    """Each has its turn, whatever there is of the other, and no turn is longer than it may be."""
    run = RunNow(id="", state_id="", state_type="RUNNING", state_at=NOON)
    first = [replace(run, id=f"again-{n}") for n in range(again)]
    rest = [replace(run, id=f"new-{n}") for n in range(new)]
    looks = [turns(first, rest, 10, turn) for turn in range(100, 110)]

    assert {one.id for look in looks for one in look} == {one.id for one in [*first, *rest]}
    assert all(len({one.id for one in look}) == min(10, again + new) for look in looks)
