"""Plays a history against the monitor's own decisions, with a clock of our choice.

Everything that decides is the real thing: what is due, counted, judged, reminded of, remembered,
through the ledger's JSON between two cycles. Only the reading is replaced: a cycle is given what
Prefect would have told it at that moment.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from prefect_crash_monitor.config.policy import Policy
from prefect_crash_monitor.count.schedule import due
from prefect_crash_monitor.cycle.decide import count_due, judge_due, remembered
from prefect_crash_monitor.cycle.snapshot import Seen, judged_through, span_to_read
from prefect_crash_monitor.evaluate.min_share import asked as asked_for_shares
from prefect_crash_monitor.evaluate.min_share import of_groups, totals
from prefect_crash_monitor.evaluate.rate.candidates import days_wanted, not_looked_at, wanted
from prefect_crash_monitor.evaluate.rule_state import questions
from prefect_crash_monitor.evaluate.silences import Silence
from prefect_crash_monitor.explain import Confidence, Explanation, Line, Severity, Verdict
from prefect_crash_monitor.explain.evidence.evidence import HEARTBEAT
from prefect_crash_monitor.explain.explanation import Where
from prefect_crash_monitor.explain.read_evidence import explain_unread
from prefect_crash_monitor.explain.sampling import Explained
from prefect_crash_monitor.ghosts.ghost import Ghost
from prefect_crash_monitor.ghosts.tracking import found
from prefect_crash_monitor.model.crash import Crash, Diagnosis, Fate, Observation, Outcome
from prefect_crash_monitor.model.incident import Transition
from prefect_crash_monitor.model.interval import EPOCH, Window
from prefect_crash_monitor.model.interval_record import IntervalRecord
from prefect_crash_monitor.model.runs import Ending, Runs, RunsOf
from prefect_crash_monitor.state.ledger import Ledger, ledger_json, ledger_of

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def crash(minute: float, deployment: str = "etl/daily", **more: object) -> Crash:
    """A crash some minutes after noon."""
    values: dict[str, object] = {
        "state_id": f"{deployment}-{minute}",
        "at": NOON + minute * MINUTE,
        "flow_run_id": f"run-{deployment}-{minute}",
        "flow": deployment.split("/")[0],
        "deployment": deployment,
        "deployment_id": deployment,
        "work_pool": "pool",
    }
    return Crash(**{**values, **more})  # type: ignore[arg-type]


def ghost(run: str, deployment: str = "etl/daily", **more: object) -> Ghost:
    """A run that has sent no heartbeat for long."""
    why = Explanation(
        flow_run_id=run,
        flow_run_name=run,
        verdict=Verdict.GHOST,
        cause="ghost-running",
        confidence=Confidence.HIGH,
        severity=Severity.CRITICAL,
        title="Ghost",
        summary="Ghost.",
        evidence=(Line(source=Where.EVENT, text="no sign of life", at=NOON),),
        remediation=("Mark it.",),
    )
    left_in = crash(0, deployment, state_id=f"ghost-{run}", flow_run_id=run, state_name="Running")
    values = {"left_in": left_in, "why": why, "is_silent": True}
    return Ghost(**{**values, **more})  # type: ignore[arg-type]


@dataclass
class Shop:
    """What happens in a simulated shop."""

    crashes: Sequence[Crash] = ()
    causes: Mapping[str, str] = field(default_factory=dict)
    """By state id; `oom` where none is given, and each cause is one fingerprint."""
    completed: Sequence[tuple[str, float]] = ()
    """Deployment and minute of each run that completed."""
    recovered: Mapping[str, float] = field(default_factory=dict)
    """By state id, the minute at which the run got going again."""
    silences: Sequence[Silence] = ()
    ended: Callable[[str, datetime, datetime], int] = lambda *_: 0
    """How many runs of a deployment ended otherwise than crashed, in a span."""
    ghosts: Sequence[tuple[str, float, float]] = ()
    """Deployment of a run that is a ghost, from one minute to another: merely silent."""

    def dead(self, minute: float) -> list[Ghost]:
        """The ghosts of that minute."""
        return [
            ghost(f"{number}", deployment)
            for number, (deployment, since, until) in enumerate(self.ghosts)
            if since <= minute < until
        ]

    def numbers(self, wanted: Iterable[Ending]) -> dict[Ending, int]:
        """How many runs ended, of each span asked for."""
        return {e: self.ended(e.runs.id, e.since, e.until) for e in wanted}

    def diagnosis(self, crash: Crash) -> Diagnosis:
        """Why a run crashed."""
        cause = self.causes.get(crash.state_id, "oom")
        return Diagnosis(cause=cause, confidence="high", fingerprint=f"v1-{cause}", title=cause)

    def outcome(self, crash: Crash, now: datetime) -> Outcome:
        """What has become of a crash by now."""
        minute = self.recovered.get(crash.state_id)
        if minute is None or (at := NOON + minute * MINUTE) > now:
            return Outcome(fate=Fate.STILL_CRASHED)
        return Outcome(fate=Fate.RECOVERED, recovered_at=at)

    def completion(self, runs: Runs, since: datetime, now: datetime) -> datetime | None:
        """The latest completed run of a deployment."""
        assert runs.of is RunsOf.DEPLOYMENT
        times = [NOON + m * MINUTE for name, m in self.completed if name == runs.id]
        return max((time for time in times if since <= time <= now), default=None)


@dataclass
class Simulator:
    """A monitor in a simulated shop."""

    shop: Shop
    policy: Policy
    ledger: Ledger = field(default_factory=lambda: Ledger(monitor="simulated"))
    told: list[Transition] = field(default_factory=list)
    records: dict[Window, IntervalRecord] = field(default_factory=dict)
    heard: bool = True
    """Prefect has events of the time before a cycle: silence is no outage of Prefect."""

    def cycle(self, minute: float, *, killed: bool = False) -> list[Transition]:
        """One cycle some minutes after noon.

        Killed before its decisions are written down it tells nothing; after that, the next cycle
        tells what is written, which is the same as not being killed.
        """
        now = NOON + minute * MINUTE
        plan = due(self.ledger.watermark, now, self.policy)
        if not plan.windows:
            return []
        span = span_to_read(self.ledger, plan, self.policy)
        crashes = tuple(c for c in self.shop.crashes if c.at in span)
        diagnoses = self.diagnoses(crashes)
        asked = questions(
            self.ledger.memory, crashes, self.policy.rules, diagnoses, self.ledger.incidents
        )
        throughs = judged_through(plan, self.policy)
        suspects = wanted(self.ledger.memory, crashes, self.policy.rules, diagnoses, throughs)
        ended = self.shop.numbers(suspects.windows)
        shares = asked_for_shares(crashes, self.policy.rules, throughs)
        together = self.shop.numbers(totals(shares))
        together |= self.shop.numbers(of_groups(shares, together))
        seen = Seen(
            now=now,
            policy=self.policy,
            ledger=self.ledger,
            plan=plan,
            observation=Observation(
                window=span,
                crashes=crashes,
                outcomes={c.state_id: self.shop.outcome(c, now) for c in crashes},
            ),
            explained=Explained(diagnoses=diagnoses),
            stored=tuple(self.shop.silences),
            completed={runs: self.shop.completion(runs, at, now) for runs, at in asked.items()},
            ended=ended | self.shop.numbers(days_wanted(suspects, ended)) | together,
            ghosts=found(
                self.shop.dead(minute),
                self.ledger.ghosts,
                heard=now - HEARTBEAT if self.heard else None,
                through=throughs[-1],
                now=now,
            ),
            not_judged=not_looked_at(suspects),
        )
        records, _ = count_due(seen)
        judgement = judge_due(seen)
        if not killed:
            self.told += judgement.transitions
            self.records |= {record.window: record for record in records}
            after = remembered(seen, records, judgement, "")
            self.ledger = ledger_of(json.loads(json.dumps(ledger_json(after))))
            assert not self.ledger.notices
        return list(judgement.transitions)

    def diagnoses(self, crashes: Sequence[Crash]) -> Mapping[str, Diagnosis]:
        """Why runs crashed: as the shop says."""
        return {c.state_id: self.shop.diagnosis(c) for c in crashes}

    def play(self, minutes: Iterable[float]) -> list[tuple[float, str, str, int]]:
        """Cycles at these minutes; (minute, kind, rule or group, crashes) of what is told."""
        return [
            (minute, str(t.kind), f"{t.incident.rule} {t.incident.group}", t.incident.crashes)
            for minute in minutes
            for t in self.cycle(minute)
        ]


@dataclass
class Explaining(Simulator):
    """A monitor that explains crashes itself, by their messages, each once, as it really does."""

    def diagnoses(self, crashes: Sequence[Crash]) -> Mapping[str, Diagnosis]:
        """Those of earlier cycles come from the ledger."""
        judged = (self.ledger.watermark or EPOCH) - self.policy.grace
        known = self.ledger.diagnoses
        return explain_unread(crashes, known, settled_before=judged).diagnoses


def quick(policy: Policy, **changes: object) -> Policy:
    """The policy with some fields replaced."""
    return Policy(**{**policy.model_dump(), **changes})  # type: ignore[arg-type]


def numbered(crashes: Iterable[Crash]) -> list[Crash]:
    """The crashes with state ids that differ in their marks, as Prefect's do."""
    return [
        replace(crash, state_id=f"00000000-0000-4000-8000-{number:012x}")
        for number, crash in enumerate(crashes)
    ]
