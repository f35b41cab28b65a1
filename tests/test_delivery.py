"""What became of a notification: decided from Prefect's reports, success only where proven."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.test_notification_texts import opened
from tests.test_render import incident
from tests.test_silence import told

from prefect_crash_monitor.config.policy import Policy
from prefect_crash_monitor.model.incident import Kind, Severity
from prefect_crash_monitor.notify.compose import events_to_tell
from prefect_crash_monitor.notify.delivery.confirm import (
    DEADLINE,
    LOOKED_AT_ONCE,
    Act,
    Did,
    Standing,
    act_of,
    awaited,
    decide,
    told_now,
)
from prefect_crash_monitor.notify.delivery.record import (
    KEPT,
    KEPT_FOR,
    STATUS,
    Delivery,
    Status,
    Why,
    by_incident,
    entered,
    notified,
    troubled,
)
from prefect_crash_monitor.notify.routing import shares
from prefect_crash_monitor.report.deliveries import SHOWN, TO_DO, WORDS, deliveries_section
from prefect_crash_monitor.state.ledger import Ledger, ledger_json, ledger_of

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LATE = NOON + DEADLINE


def delivery(number: int = 1, **more: Any) -> Delivery:
    """A notification that nothing is known of yet."""
    blank = Delivery(
        event_id=f"event-{number}",
        incident=f"{number:012x}.1",
        kind="opened",
        subject=f"🔴 3 crashes in etl/daily-{number} [warning]",
        automation="Crash monitor: incident opened",
        receiver="slack-webhook/alerts",
        told_at=NOON,
    )
    return replace(blank, **more)


def acts(*did: Did, event_id: str = "event-1") -> list[Act]:
    """Reports on one event."""
    return [Act(event_id=event_id, did=one, detail="why" * (one is Did.FAILED)) for one in did]


@pytest.mark.parametrize(
    ("reports", "after", "looks", "standing", "why"),
    [
        ([Did.EXECUTED], 0, 0, Standing.UNKNOWN, Why.EXECUTED),
        ([Did.FIRED, Did.EXECUTED], 0, 0, Standing.UNKNOWN, Why.EXECUTED),
        ([Did.FIRED, Did.EXECUTED], 60, 9, Standing.PAUSED, Why.EXECUTED),
        ([Did.FAILED, Did.EXECUTED], 0, 0, Standing.UNKNOWN, Why.EXECUTED),
        ([Did.FIRED, Did.FAILED], 0, 0, Standing.UNKNOWN, Why.ACTION_FAILED),
        ([Did.NOTHING, Did.FAILED], 0, 0, Standing.UNKNOWN, Why.ACTION_FAILED),
        ([Did.FIRED, Did.NOTHING], 0, 0, Standing.UNKNOWN, Why.NO_RECEIVER),
        ([], 5, 0, Standing.UNKNOWN, Why.NOT_YET),
        ([Did.FIRED], 5, 0, Standing.UNKNOWN, Why.NOT_YET),
        ([Did.FIRED], 60, 0, Standing.UNKNOWN, Why.NOT_YET),  # the first look, after an hour
        ([Did.FIRED], 9.99, 5, Standing.UNKNOWN, Why.NOT_YET),
        ([Did.FIRED], 10, 1, Standing.UNKNOWN, Why.NEVER_REPORTED),
        ([Did.FIRED], 10, 1, Standing.PAUSED, Why.NEVER_REPORTED),
        ([], 10, 1, Standing.UNKNOWN, Why.NOT_YET),  # how it stands is to be asked for
        ([], 10, 1, Standing.ACTIVE, Why.NEVER_FIRED),
        ([], 10, 1, Standing.PAUSED, Why.AUTOMATION_PAUSED),
        ([], 10, 1, Standing.MISSING, Why.AUTOMATION_MISSING),
        ([], 5, 0, Standing.PAUSED, Why.NOT_YET),
    ],
)
def test_what_became_of_it(reports, after, looks, standing, why):
    """Success outweighs failure and failure silence; silence counts from the deadline on."""
    now = NOON + after * MINUTE

    decided = decide(delivery(looks=looks), acts(*reports), now, standing)

    assert decided.why is why
    assert decided.detail == ("why" if why is Why.ACTION_FAILED else "")


def test_every_answer_has_a_status_and_every_trouble_its_words():
    """Adding a reason without saying what it means, and what to do, is a mistake."""
    assert set(STATUS) == set(Why)
    assert {why for why in Why if delivery(why=why).is_trouble} == set(WORDS) == set(TO_DO)


@given(st.lists(st.sampled_from(Did)), st.lists(st.sampled_from(Did)), st.sampled_from(Standing))
def test_success_is_never_claimed_without_a_report(own, foreign, standing):
    """Reports on another event, a firing and the time that passed prove nothing; order neither."""
    reports = [*acts(*own), *acts(*foreign, event_id="event-2")]
    decided = decide(delivery(looks=1), reports, LATE, standing)

    assert (decided.status is Status.CONFIRMED) == (Did.EXECUTED in own)
    assert decided == decide(delivery(looks=1), reports[::-1], LATE, standing)


def test_a_failure_names_the_block_that_was_tried():
    """A route that could not be used was told by the receiver in its place."""
    failed = Act(event_id="event-1", did=Did.FAILED, block="email/all")

    assert decide(delivery(), [failed], NOON).receiver == "email/all"
    assert decide(delivery(), [replace(failed, block="")], NOON).receiver == delivery().receiver


def test_a_look_without_an_answer_is_counted():
    """Two looks at least: the cycle between them sends again what Prefect has lost."""
    hourly = [NOON + hours * 60 * MINUTE for hours in (1, 2)]

    first = decide(delivery(), [], hourly[0], Standing.ACTIVE)
    second = decide(first, [], hourly[1], Standing.ACTIVE)

    assert (first.status, first.looks) == (Status.PENDING, 1)
    assert second.why is Why.NEVER_FIRED


def test_each_gets_its_turn():
    """Of 100 told at once all are looked at in five cycles, then the first again."""
    waiting = [delivery(number) for number in range(5 * LOOKED_AT_ONCE)]
    seen = []
    for _ in range(5):
        now = awaited([*waiting, delivery(1_000, why=Why.EXECUTED)])
        assert len(now) == LOOKED_AT_ONCE
        looked = {d.event_id: decide(d, [], NOON) for d in now}
        seen += list(looked)
        waiting = [looked.get(d.event_id, d) for d in waiting]

    assert len(set(seen)) == len(waiting)
    assert awaited(waiting)[0].looks == 1


def test_what_is_remembered_stays_bounded():
    """Of open incidents all, of others a day's, in all the newest."""
    day = NOON + KEPT_FOR
    old, open_, new = delivery(1), delivery(2), delivery(3, told_at=day)

    kept = entered([old, open_], [new], open_incidents={open_.incident}, now=day)
    many = [delivery(n, told_at=NOON + n * MINUTE) for n in range(2 * KEPT)]
    newest = entered(many, [], open_incidents={d.incident for d in many}, now=day)

    assert kept == (open_, new)
    assert newest == tuple(many[KEPT:])
    again = replace(new, why=Why.EXECUTED)
    assert entered(kept, [again], open_incidents=(), now=day) == (again,)


@pytest.mark.parametrize(
    ("whys", "status", "is_trouble"),
    [
        ([Why.NOT_YET], "pending", False),
        ([Why.EXECUTED], "confirmed", False),
        ([Why.ACTION_FAILED], "failed", True),
        ([Why.ACTION_FAILED, Why.NOT_YET], "failed", True),
        ([Why.ACTION_FAILED, Why.EXECUTED], "confirmed", False),
        ([Why.EXECUTED, Why.NEVER_REPORTED], "unconfirmed", True),
        ([Why.NEVER_FIRED], "unconfirmed", True),
        ([Why.NO_RECEIVER], "nobody", False),
        ([Why.AUTOMATION_PAUSED], "nobody", True),
    ],
)
def test_what_is_known_of_an_incident(whys, status, is_trouble):
    """Its latest notification whose fate is known: a later one that arrived mends it."""
    told_so_far = [
        replace(delivery(), event_id=str(n), why=why, told_at=NOON + n * MINUTE)
        for n, why in enumerate(whys)
    ]

    latest = by_incident(told_so_far)

    assert notified(latest, delivery().incident) == status
    assert bool(troubled(told_so_far)) is is_trouble
    assert notified(latest, "another.1") is None


def report_of(event: str, payload: dict[str, Any]) -> dict[str, Any]:
    """An event of an automation, as Prefect 3.8.8 sends it."""
    return {
        "event": event,
        "resource": {
            "prefect.resource.id": "prefect.automation.0791d959-9dab-490c-bbf0-41e192eb453a",
            "prefect.resource.name": "Crash monitor: incident opened",
            "prefect.trigger-type": "event",
            "prefect.posture": "Reactive",
        },
        "related": [
            {
                "prefect.resource.id": "prefect.block-document.899e0f06-4e0d-4716-af24",
                "prefect.resource.role": "block",
                "prefect.resource.name": "alerts",
            },
            {
                "prefect.resource.id": "prefect.block-type.mattermost-webhook",
                "prefect.resource.role": "block-type",
            },
            {
                "prefect.resource.id": "prefect.event.01a212c8-6025-7b25-8c5b-f7b882cfb95c",
                "prefect.resource.role": "automation-triggered-event",
            },
            {
                "prefect.resource.id": "prefect.event.135a334a-3675-5e2f-a452-d6959a3e512c",
                "prefect.resource.role": "triggering-event",
            },
        ],
        "payload": {"action_index": 0, "invocation": "01a212c8-6025-7767-8606-a1ba34ac225a"}
        | payload,
    }


SENT = {"action_type": "send-notification"}


@pytest.mark.parametrize(
    ("event", "payload", "did", "detail"),
    [
        ("triggered", {"triggering_labels": {}}, Did.FIRED, ""),
        ("action.executed", SENT, Did.EXECUTED, ""),
        ("action.executed", {"action_type": "do-nothing"}, Did.NOTHING, ""),
        (
            "action.executed",
            {"action_type": "call-webhook", "status_code": 500},
            Did.FAILED,
            "the answer was HTTP 500",
        ),
        ("action.executed", {"action_type": "call-webhook", "status_code": 200}, Did.EXECUTED, ""),
        (
            "action.failed",
            {**SENT, "reason": "Notification failed", "notification_log": "[WARNING]: error=500."},
            Did.FAILED,
            "Notification failed: [WARNING]: error=500.",
        ),
        ("action.failed", {**SENT, "reason": None}, Did.FAILED, ""),
    ],
)
@pytest.mark.parametrize("namespace", ["prefect", "prefect-cloud"])
def test_what_an_automation_reports(namespace, event, payload, did, detail):
    """The told event is the one that set the automation off; Prefect Cloud has names of its own."""
    told_event, block = "135a334a-3675-5e2f-a452-d6959a3e512c", "mattermost-webhook/alerts"
    act = act_of(report_of(f"{namespace}.automation.{event}", payload))

    assert act == Act(event_id=told_event, did=did, detail=detail, block=block)


def test_an_automation_that_prefect_cloud_disabled_notifies_nobody():
    """Cloud switches off an automation whose actions fail, with an event of its own."""
    act = act_of(report_of("prefect-cloud.automation.action.disabled", {"reason": "too many"}))

    assert act is not None
    assert act.did is Did.FAILED
    assert act.detail == "Prefect Cloud disabled the automation: too many"


def test_odd_events_stop_nothing():
    """Anyone may send an event that looks like Prefect's: it proves nothing, and breaks nothing."""
    odd = report_of("prefect.automation.action.executed", {"status_code": "none"})

    assert act_of(odd | {"related": []}) is None
    assert act_of(odd | {"related": [{"prefect.resource.id": "prefect.event.x"}]}) is None
    plain = act_of(odd)
    assert plain is not None
    assert plain.did is Did.EXECUTED


def test_a_reason_never_tells_a_secret():
    """Apprise may log the URL it posts to, with the token in it."""
    token = "xoxb-123456789012-1234567890123-AbCdEfGhIjKlMnOpQrStUvWx"
    log = f"posting to https://user:hunter2secret@chat.example/hooks with {token} " + "x" * 9_999
    payload = {**SENT, "reason": "Notification failed", "notification_log": log}

    act = act_of(report_of("prefect.automation.action.failed", payload))

    assert act is not None
    detail = act.detail
    assert "hunter2secret" not in detail
    assert token not in detail
    assert len(detail) <= 300


def test_what_is_told_is_watched():
    """By the policy's receiver for the severity; without one nobody is waited for."""
    event = told("eu", Kind.REMINDED, "still open", severity="critical", reminders=1).body()
    counted = {"event": "crash-monitor.interval.counted"}
    routed = Policy(routes={Severity.CRITICAL: "slack-webhook/night"})

    (watched,) = told_now([counted, event], routed, monitor="eu", now=NOON)
    (unheard,) = told_now([event], Policy(), monitor="eu", now=NOON)

    assert watched == Delivery(
        event_id=event["id"],
        incident="abcdef012345.1",
        kind="reminded",
        subject="still open",
        automation="Crash monitor: incident reminded, critical (eu)",
        receiver="slack-webhook/night",
        told_at=NOON,
    )
    assert (unheard.status, unheard.receiver) == (Status.NOBODY, "")


def test_older_and_newer_ledgers_are_read():
    """Without the key there is nothing to watch; a reason of a later version is left out."""
    told_before = delivery(why=Why.ACTION_FAILED, detail="500", looks=1)
    written = json.loads(json.dumps(ledger_json(Ledger(monitor="m", deliveries=(told_before,)))))
    newer = {**written["deliveries"][0], "why": "swallowed-by-a-whale"}

    assert ledger_of(written).deliveries == (told_before,)
    mixed = ledger_of({**written, "deliveries": [newer, *written["deliveries"]]})
    assert mixed.deliveries == (told_before,)
    assert "1 of deliveries" in mixed.notices[0]
    del written["deliveries"]
    assert ledger_of(written).deliveries == ()


def test_the_report_names_what_nobody_may_know_of():
    """Which incident, why, and what to do next."""
    troubles = [
        delivery(1, why=Why.ACTION_FAILED, detail="Notification failed: no answer"),
        delivery(2, why=Why.NEVER_REPORTED, receiver="custom-webhook/pager"),
        delivery(3, why=Why.AUTOMATION_PAUSED),
        delivery(4, why=Why.AUTOMATION_MISSING),
        delivery(5, why=Why.NEVER_FIRED),
    ]

    section = deliveries_section(troubles, monitor="eu")

    assert section.startswith("## Not confirmed to be told\n\n- **🔴 3 crashes in etl/daily-1")
    for words in (
        "(opened 2026-11-24 12:00:00 UTC, incident 000000000001.1)",
        "Prefect could not send it to slack-webhook/alerts: Notification failed: no answer",
        "`prefect block inspect slack-webhook/alerts`",
        "custom-webhook/pager was tried, but neither success nor failure was reported",
        "after up to 4 tries",
        '`prefect automation resume "Crash monitor: incident opened"`',
        "`crash-monitor register --policy eu`",
        "the automation did not fire",
    ):
        assert words in section
    assert deliveries_section([], monitor="eu") == ""
    many = [delivery(n, why=Why.NEVER_FIRED) for n in range(SHOWN + 5)]
    assert "and 5 earlier ones" in deliveries_section(many, monitor="eu")


def test_reasons_of_strangers_are_inert():
    """What a receiver answers is no markup of the report."""
    evil = delivery(why=Why.ACTION_FAILED, detail="![x](https://evil)\n# <b>{receiver}</b> {0}")

    section = deliveries_section([evil], monitor="default")

    assert "![x](" not in section
    assert "<b>" not in section
    assert "\n# " not in section


def test_of_what_is_told_in_a_digest_the_digest_is_watched():
    """Seven incidents, one notification: one event to look at, for all of them."""
    policy = Policy(receiver="slack-webhook/alerts", routes={Severity.CRITICAL: "email/boss"})
    warnings = [opened(incident(id=f"{number:012x}")) for number in range(7)]
    critical = opened(incident(id="c" * 12, severity="critical"))
    events = events_to_tell(
        (),
        [*warnings, critical],
        shares(policy),
        digest_above=policy.digest_above,
        monitor="default",
        ui_url="",
        now=NOON,
    )

    watched = told_now([e.body() for e in events], policy, monitor="default", now=NOON)
    looked_at = awaited(entered((), watched, open_incidents=(), now=NOON))

    assert [e.event for e in events].count("crash-monitor.incidents.digest") == 1
    assert len(looked_at) == 8
    assert len({one.event_id for one in looked_at}) == 2
    assert {(one.receiver, one.automation) for one in looked_at} == {
        ("email/boss", "Crash monitor: incident opened, critical"),
        ("slack-webhook/alerts", "Crash monitor: incident digest"),
    }
