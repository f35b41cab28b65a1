"""Random histories against the monitor's own decisions: what must hold whatever happens.

Crashes, recoveries, completed runs, a monitor that is away or killed halfway, silences.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.simulator import MINUTE, NOON, Shop, Simulator, crash, numbered

from prefect_crash_monitor.config.policy import Policy, Rule
from prefect_crash_monitor.config.rule import DEFAULT_RULES, RuleKind
from prefect_crash_monitor.evaluate.rate.daily_counts import Day, Tally
from prefect_crash_monitor.evaluate.rule_state import Memory
from prefect_crash_monitor.evaluate.silences import Silence
from prefect_crash_monitor.model.incident import Kind, Transition
from prefect_crash_monitor.publish.events import incident_event
from prefect_crash_monitor.state.ledger import Ledger

SPAN = 240
"""Minutes in which things happen."""

DEPLOYMENTS = ("etl/daily", "etl/hourly", "ml/train")
CAUSES = ("oom", "request-to-api-failed", "process-exit-general-error", "unknown")
COUNTED = [rule for rule in DEFAULT_RULES if rule.kind is not RuleKind.CONSECUTIVE]
LOOP = Rule(name="loop", kind=RuleKind.CONSECUTIVE, within=timedelta(hours=4))
RATE = Rule(name="rate", kind=RuleKind.RATE)
POLICY = Policy(grace=2 * MINUTE, remind_after=timedelta(hours=1), rules=[LOOP, RATE, *COUNTED])
COUNTING = Policy(grace=2 * MINUTE, rules=COUNTED)

YESTERDAY = NOON - timedelta(hours=36)
WHOLE = {YESTERDAY: Day(covered=timedelta(days=1))}
KNOWN = Memory(tallies={"rate": Tally(only="{}", through=NOON, days=WHOLE)})
"""A day without crashes, so that what crashes is more than usual."""

minutes = st.integers(0, SPAN * 4).map(lambda quarter: quarter / 4 + 0.1)


@st.composite
def shops(draw: st.DrawFn) -> Shop:
    """Up to 40 crashes, often close together, and what else happens."""
    at = draw(st.lists(minutes, max_size=12))
    bursts = [
        start + draw(st.integers(0, 5)) for start in at for _ in range(draw(st.integers(1, 4)))
    ]
    crashes = numbered(
        crash(
            minute,
            draw(st.sampled_from(DEPLOYMENTS)),
            tags=draw(st.sampled_from([(), ("critical",)])),
        )
        for minute in sorted(bursts)
    )
    causes = {one.state_id: draw(st.sampled_from(CAUSES)) for one in crashes}
    healed = [one for one in crashes if draw(st.booleans())]
    minute_of = {one.state_id: (one.at - NOON) / MINUTE for one in crashes}
    return Shop(
        crashes=crashes,
        causes=causes,
        completed=draw(st.lists(st.tuples(st.sampled_from(DEPLOYMENTS), minutes), max_size=6)),
        ended=lambda _, since, until: int((until - since) / MINUTE),
        ghosts=[
            (draw(st.sampled_from(DEPLOYMENTS)), start, start + draw(st.integers(1, 120)))
            for start in draw(st.lists(minutes, max_size=3))
        ],
        recovered={
            one.state_id: minute_of[one.state_id] + draw(st.integers(1, 30)) for one in healed
        },
    )


cycles = st.lists(st.tuples(minutes, st.booleans()), max_size=40).map(sorted)
"""When the monitor runs, and whether that cycle is killed."""


def played(shop: Shop, when: Sequence[tuple[float, bool]], policy: Policy = POLICY) -> Simulator:
    """A monitor that begins before everything, runs then, and is left running to the end."""
    monitor = Simulator(shop, policy, Ledger(monitor="simulated", memory=KNOWN))
    monitor.cycle(-5)
    for minute, killed in when:
        monitor.cycle(minute, killed=killed)
    for minute in range(SPAN + 10, SPAN + 360, 30):  # until every quiet period is over
        monitor.cycle(minute)
    return monitor


def events(told: Sequence[Transition]) -> dict[str, Transition]:
    """What Prefect keeps of what was told: each event once."""
    text = {"subject": "", "text": ""}
    return {incident_event(t, text, monitor="m", now=NOON).id: t for t in told}


def episode(transition: Transition) -> tuple[str, int]:
    """Which incident, which time."""
    return transition.incident.id, transition.incident.episode


@settings(max_examples=30)
@given(shops(), cycles)
def test_every_crash_is_counted_once(shop, when):
    """However the cycles fall, and wherever they are killed."""
    monitor = played(shop, when)

    assert sum(record.crashed for record in monitor.records.values()) == len(shop.crashes)
    counted = Counter(id_ for record in monitor.records.values() for id_ in record.state_ids)
    assert counted == Counter(one.state_id for one in shop.crashes)


@settings(max_examples=30)
@given(shops(), cycles)
def test_every_incident_is_told_once_and_ends_with_an_all_clear(shop, when):
    """One opening and one all-clear each, in that order, whatever was killed in between."""
    told = list(events(played(shop, when).told).values())

    opened = [episode(t) for t in told if t.kind is Kind.OPENED]
    resolved = [episode(t) for t in told if t.kind is Kind.RESOLVED]
    assert Counter(opened) == Counter(set(opened))
    assert Counter(resolved) == Counter(opened)
    ends = {episode(t): t.at for t in told if t.kind is Kind.RESOLVED}
    assert all(t.at <= ends[episode(t)] for t in told)


@settings(max_examples=30)
@given(shops(), cycles)
def test_no_incident_is_open_that_was_not_told(shop, when):
    """What the ledger knows has been told of, up to the reminder it speaks of."""
    monitor = played(shop, when)
    told = {(*episode(t), t.kind) for t in monitor.told}

    for incident in monitor.ledger.incidents:
        assert (incident.id, incident.episode, Kind.OPENED) in told


@settings(max_examples=30)
@given(shops(), cycles)
def test_never_twice_within_the_cooldown(shop, when):
    """Automations would swallow it."""
    told = events(played(shop, when).told).values()
    spoken: dict[tuple[str, int], list] = {}
    for transition in sorted(told, key=lambda t: t.at):
        if transition.kind is not Kind.RESOLVED:
            spoken.setdefault(episode(transition), []).append(transition.at)

    for times in spoken.values():
        gaps = [after - before for before, after in pairwise(times)]
        assert all(gap >= POLICY.cooldown for gap in gaps)


@settings(max_examples=60)
@given(shops(), cycles)
def test_a_loop_that_is_told_is_one(shop, when):
    """So many crashes from its first one on, before any run of the deployment completed."""
    for transition in played(shop, when).told:
        incident = transition.incident
        if incident.rule != LOOP.name or transition.kind is not Kind.OPENED:
            continue
        ends = [NOON + m * MINUTE for name, m in shop.completed if name == incident.group]
        end = min((at for at in ends if at > incident.first_crash_at), default=None)
        times = [one.at for one in shop.crashes if one.deployment == incident.group]
        row = [at for at in times if at >= incident.first_crash_at and (not end or at < end)]
        assert len(row) >= LOOP.crashes


@settings(max_examples=20)
@given(shops(), cycles)
def test_how_the_cycles_fall_does_not_matter(shop, when):
    """One that catches up on all decides the same as one that was always there.

    But for what changes with the time of looking: recoveries, and completed runs.
    """
    still = Shop(crashes=shop.crashes, causes=shop.causes)
    steady = played(still, [(minute + 1, False) for minute in range(0, SPAN, 5)], COUNTING)
    other = played(still, when, COUNTING)

    def changes(monitor: Simulator) -> Counter:
        told = events(monitor.told).values()
        return Counter((*episode(t), t.kind, t.at) for t in told if t.kind is not Kind.REMINDED)

    assert changes(other) == changes(steady)


@settings(max_examples=30)
@given(shops(), st.integers(0, SPAN), st.integers(5, 120))
def test_a_silence_eats_no_incident_for_good(shop, since, length):
    """What burns at the end of a silence, and is open without it, is open then as well."""
    rule = Rule(name="crashes", crashes=2, within=timedelta(hours=1))
    policy = Policy(grace=timedelta(0), rules=[rule])
    still = Shop(crashes=shop.crashes)
    start, end = (NOON + minute * MINUTE for minute in (since, since + length))
    silence = Silence(id="s", matcher={"deployment": "*"}, since=start, until=end, reason="r")
    hushed = Shop(crashes=shop.crashes, silences=[silence])
    after = since + length + 11

    def open_after(world: Shop) -> set[str]:
        monitor = Simulator(world, policy)
        monitor.cycle(-5)
        for minute in range(1, after + 1, 5):
            monitor.cycle(minute)
        watermark = monitor.ledger.watermark
        assert watermark is not None
        return {
            i.group for i in monitor.ledger.incidents if i.is_open and i.burning_until > watermark
        }

    assert open_after(still) <= open_after(hushed)
