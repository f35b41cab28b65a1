"""What a cycle decides from what it has seen: records, incidents, what to remember. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from prefect_crash_monitor.count.corrections import correctable, corrections, in_words
from prefect_crash_monitor.count.count import count
from prefect_crash_monitor.cycle.snapshot import Seen
from prefect_crash_monitor.evaluate.evaluate import Judgement, as_it_is_now, judge, remind
from prefect_crash_monitor.evaluate.rule_state import Beyond
from prefect_crash_monitor.evaluate.silences import active, silenced
from prefect_crash_monitor.ghosts.tracking import diagnoses, to_judge
from prefect_crash_monitor.model.incident import Incident, Transition
from prefect_crash_monitor.model.interval import Window
from prefect_crash_monitor.model.interval_record import IntervalRecord
from prefect_crash_monitor.remediate.plan_input import Knowledge
from prefect_crash_monitor.state.ledger import SILENCES_KEPT, Ledger, enter, remember


def count_due(seen: Seen) -> tuple[tuple[IntervalRecord, ...], tuple[str, ...]]:
    """The records of what is due, after corrected earlier ones; and the corrections in words."""

    def recount(window: Window) -> IntervalRecord:
        return count(
            seen.observation,
            window,
            counted_at=seen.now,
            own_deployments=seen.ledger.own_deployments,
            diagnoses=seen.explained.diagnoses,
        )

    earlier = correctable(seen.ledger.counted, seen.late_horizon)
    revised = corrections(earlier, recount)
    before = {counted.window: counted for counted in earlier}
    words = tuple(in_words(record, before[record.window]) for record in revised)
    return (*revised, *(recount(window) for window in seen.plan.windows)), words


def judge_due(seen: Seen) -> Judgement:
    """The judgement at the end of each interval, in order, and the reminders at the last."""
    policy = seen.policy
    why = {**seen.explained.diagnoses, **diagnoses(seen.ghosts)}
    incidents: Sequence[Incident] = seen.ledger.incidents
    transitions: list[Transition] = []
    beyond = Beyond(memory=seen.ledger.memory, completed=seen.completed, ended=seen.ended)
    crashes, ghosts = seen.crashes, to_judge(seen.ghosts)
    for window in seen.plan.windows:
        dead = [ghost for ghost in ghosts if ghost.at < window.end - policy.grace]
        since = window.start - policy.lookback
        recent = [crash for crash in crashes if since <= crash.at < window.end]
        hushed = silenced([*recent, *dead], why, seen.in_force(window.end))
        beyond = replace(beyond, ghosts=tuple(dead))
        judgement = judge(
            recent, seen.observation.outcomes, incidents, policy, window.end, why, hushed, beyond
        )
        incidents, beyond = judgement.incidents, judgement.beyond
        transitions += judgement.transitions
    told = as_it_is_now(transitions, incidents)
    judged = Judgement(incidents=tuple(incidents), transitions=told, beyond=beyond)
    return remind(judged, policy, seen.end, seen.in_force(seen.end))


def remembered(
    seen: Seen, records: Sequence[IntervalRecord], judgement: Judgement, registered: str
) -> Ledger:
    """The ledger as the next cycle is to find it, but for what is still to be told."""
    ledger = replace(
        seen.ledger,
        incidents=judgement.incidents,
        memory=judgement.beyond.memory,
        ghosts=seen.ghosts,
        silences=seen.stored[:SILENCES_KEPT],
        registered=registered,
    )
    ledger = enter(ledger, records, horizon=seen.late_horizon, now=seen.now)
    judged_again = seen.end - seen.policy.lookback
    # What could not be read is looked at again, as long as no incident rests on it.
    open_from, unread = seen.end - seen.policy.grace, seen.explained.unread
    known = [c for c in seen.crashes if c.at < open_from or c.state_id not in unread]
    return remember(ledger, seen.explained.diagnoses, known, judged_again)


def knowledge(seen: Seen, open_: Sequence[Incident]) -> Knowledge:
    """What a cycle knows at its end; of the incidents that are open those not silenced."""
    why = seen.explained.diagnoses
    hushing = active(seen.silences, seen.now)
    return Knowledge(
        policy=seen.policy,
        now=seen.now,
        crashes=seen.crashes,
        fates={id_: outcome.fate for id_, outcome in seen.observation.outcomes.items()},
        diagnoses=why,
        incidents=[i for i in open_ if not any(silence.covers(i) for silence in hushing)],
        silenced=frozenset(silenced(seen.crashes, why, hushing)),
        past=seen.ledger.acts,
        held=seen.held_slots,
    )
