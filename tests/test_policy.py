"""The policy: what it refuses and how it says so; overrides; and its round trip as a block."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic.fields import FieldInfo
from tests.support.world import unique

from prefect_crash_monitor.blocks import CrashPolicy
from prefect_crash_monitor.config.parse_policy import override, parse_policy
from prefect_crash_monitor.config.policy import Policy, Rule, Scope
from prefect_crash_monitor.config.read_policy import load_settings
from prefect_crash_monitor.errors import BadInput
from prefect_crash_monitor.prefect_api.client import open_api

SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)
FIELDS = [("policy", name, field) for name, field in Policy.model_fields.items()]
FIELDS += [("rule", name, field) for name, field in Rule.model_fields.items()]
each_field = pytest.mark.parametrize(
    ("where", "name", "field"), FIELDS, ids=[f"{where}.{name}" for where, name, _ in FIELDS]
)


def bounds(field: FieldInfo) -> dict[str, Any]:
    """The smallest and the largest value that a field takes."""
    found = {
        key: getattr(m, key) for m in field.metadata for key in ("ge", "le") if hasattr(m, key)
    }
    return {key: value for key, value in found.items() if value is not None}


def step(value: Any) -> Any:
    """The smallest step beyond a bound."""
    return timedelta(microseconds=1) if isinstance(value, timedelta) else 1


BEYOND = [
    (where, name, value)
    for where, name, field in FIELDS
    for value in (
        [bounds(field)["ge"] - step(bounds(field)["ge"])] if "ge" in bounds(field) else []
    )
    + ([bounds(field)["le"] + step(bounds(field)["le"])] if "le" in bounds(field) else [])
]


@pytest.mark.parametrize(("where", "name", "value"), BEYOND, ids=lambda v: str(v))
def test_a_value_out_of_range_is_refused_by_name(where, name, value):
    """One step below the least and one above the most; the message names the field."""
    bad = {name: value} if where == "policy" else {"rules": [{"name": "r", name: value}]}
    place = name if where == "policy" else f"rules.0.{name}"

    with pytest.raises(BadInput) as refused:
        parse_policy(bad)

    assert f"The policy cannot be used: {place}: Input should be" in str(refused.value)
    assert "pydantic" not in str(refused.value)
    assert "\n" not in str(refused.value)
    assert refused.value.exit_code == 2


@each_field
def test_every_number_and_duration_has_a_range(where, name, field):
    """Nothing runs away: neither a negative span nor a million reports."""
    if field.annotation in {int, timedelta}:
        assert set(bounds(field)) == {"ge", "le"}
        if not field.is_required():
            assert bounds(field)["ge"] <= field.default <= bounds(field)["le"]


TOO = {int, timedelta}


@each_field
def test_every_field_says_what_it_does(where, name, field):
    """Too low, too high, and why the default is what it is; as a sentence."""
    text = field.description or ""

    assert text.endswith(".")
    assert len(text) > 60
    if field.annotation in TOO:
        low_and_high = [("too low", "too high"), ("too short", "too long"), ("below", "above")]
        says = [all(word in text.lower() for word in pair) for pair in low_and_high]
        mixed = "too low" in text.lower() and "too long" in text.lower()
        assert any(says) or mixed or "too long only delays" in text.lower(), text


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"treshold": 5}, "treshold: Extra inputs are not permitted"),
        ({"rules": [{"name": "a", "treshold": 5}]}, "rules.0.treshold: Extra inputs"),
        ({"rules": [{"name": "A B"}]}, "rules.0.name: String should match pattern"),
        ({"rules": [{"crashes": 5}]}, "rules.0.name: Field required"),
        ({"rules": [{"name": "a"}, {"name": "a"}]}, "rule names must be unique, repeated: a"),
        ({"rules": [{"name": "a", "scope": "planet"}]}, "rules.0.scope: Input should be"),
        ({"rules": [{"name": "a", "scope": "dimension"}]}, "needs a dimension, as client_id"),
        ({"rules": [{"name": "a", "dimension": "x"}]}, "needs scope: dimension"),
        ({"rules": "all"}, "rules: Input should be a valid list"),
        ({"rules": [{"name": f"r{n}"} for n in range(101)]}, "rules: List should have at most"),
        ({"interval": 7}, "interval: Input should be greater"),
        ({"interval": "PT7M"}, "interval 0:07:00 does not divide a day"),
        ({"interval": 10.5}, "does not divide a day"),
        ({"interval": "soon"}, "interval: Input should be a valid timedelta"),
        ({"grace": "NaN"}, "grace: "),
        ({"grace": None}, "grace: Input should be a valid timedelta"),
        ({"interval": "PT1H", "catch_up": "PT30M"}, "catch_up 0:30:00 is shorter than interval"),
        ({"receiver": "slack"}, "receiver: Value error, 'slack' is no block-type/name"),
        ({"receiver": "slack-webhook/A b"}, "receiver: Value error"),
        ({"receiver": "../x/y"}, "receiver: Value error"),
        ({"receiver": "a/b\n"}, "receiver: Value error"),
        ({"failure_receiver": ""}, "failure_receiver: Value error"),
        ({"silent_after": 2.5}, "silent_after: Input should be a valid integer"),
        ({"remind_after": "PT10M"}, "remind_after (0:10:00) is shorter than cooldown (0:15:00)"),
        ({"remind_at_most": "PT10M"}, "remind_at_most (0:10:00) is shorter than cooldown"),
        (
            {"rules": [{"name": "a", "quiet_for": "PT14M59S"}]},
            "quiet_for of rule 'a' (0:14:59) is shorter than cooldown",
        ),
        ({"cooldown": "PT5H"}, "remind_after (4:00:00) is shorter than cooldown (5:00:00)"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_used_is_refused_in_words(values, message):
    """Each message names the field and what is wrong with it, on one line."""
    with pytest.raises(BadInput) as refused:
        parse_policy(values)

    assert message in str(refused.value)
    assert "\n" not in str(refused.value).removesuffix("\n")


def test_several_mistakes_are_all_named():
    """Not one after another."""
    with pytest.raises(BadInput, match=r"settle: .*; silent_after: .*; nonsense: "):
        parse_policy({"settle": 1, "silent_after": 1, "nonsense": 1})


def test_gaps_of_the_cooldown_exactly_are_fine():
    """The border itself is allowed."""
    rule = Rule(name="r", quiet_for=15 * MINUTE)
    policy = Policy(rules=[rule], remind_after=15 * MINUTE, remind_at_most=15 * MINUTE)

    assert policy.cooldown == policy.remind_after


@pytest.mark.parametrize("seconds", [10, 60, 300, 900, 3_600, 86_400])
def test_intervals_that_divide_a_day(seconds):
    """Ten seconds to a day, as number of seconds or ISO 8601."""
    assert parse_policy({"interval": seconds}) == parse_policy({"interval": f"PT{seconds}S"})


def test_an_override_replaces_fields_and_is_checked():
    """As a flow parameter gives them: JSON values; the rest stays, the whole must fit."""
    policy = Policy(grace=MINUTE, receiver="slack-webhook/alerts")

    changed = override(policy, {"settle": "PT30S", "rows_shown": 7})

    assert changed == policy.model_copy(update={"settle": 30 * SECOND, "rows_shown": 7})
    assert override(policy, {}) == policy
    with pytest.raises(BadInput, match="remind_after"):
        override(policy, {"remind_after": "PT5M"})
    with pytest.raises(BadInput, match="gracee"):
        override(policy, {"gracee": 1})
    with pytest.raises(BadInput, match="open incidents of the others would be"):
        override(policy, {"rules": []})


def test_the_lookback_reaches_what_rules_and_late_events_need():
    """The widest window with the grace, or the horizon of corrections."""
    wide = Rule(name="r", within=2 * DAY)

    assert Policy(rules=[wide]).lookback == 2 * DAY + 5 * MINUTE
    assert Policy(rules=[]).lookback == 30 * MINUTE
    dimension = Rule(name="d", scope=Scope.DIMENSION, dimension="client_id")
    assert Policy(rules=[wide, dimension]).dimensions == {"client_id"}


def test_the_block_refuses_what_the_policy_refuses():
    """Unknown fields too, which a Block would take silently."""
    with pytest.raises(ValueError, match="treshold"):
        CrashPolicy(treshold=5)
    with pytest.raises(ValueError, match="shorter than cooldown"):
        CrashPolicy(remind_after=10 * MINUTE)


def test_the_block_has_the_policys_fields():
    """The same names, defaults and texts: one place to change."""
    block = CrashPolicy.model_fields

    assert [name for name in block if name in Policy.model_fields] == list(Policy.model_fields)
    assert CrashPolicy().policy() == Policy()
    for name, field in Policy.model_fields.items():
        assert block[name].description == field.description


@pytest.mark.server
@pytest.mark.parametrize(
    "values",
    [
        {},
        {
            "receiver": "slack-webhook/alerts",
            "routes": {"critical": "pager-duty-webhook/night", "info": "slack-webhook/quiet"},
            "grace": 90 * SECOND,
            "rules": [
                Rule(name="client", scope=Scope.DIMENSION, dimension="client_id", crashes=7),
                Rule(name="all", scope=Scope.EVERYTHING, within=2 * DAY),
            ],
        },
        {"rules": []},
    ],
    ids=["default", "much", "no rules"],
)
async def test_the_block_survives_saving(api_url, values):
    """Saved and loaded by Prefect, and read by the monitor as plain values: the same policy."""
    name = unique("policy")

    await CrashPolicy(**values).save(name)
    loaded = await CrashPolicy.load(name)
    async with open_api() as api:
        settings = await load_settings(api, name)

    assert loaded.policy() == Policy(**values) == settings.policy
    assert (settings.name, settings.notices) == (name, ())


@pytest.mark.server
async def test_a_saved_policy_of_another_version_is_refused_by_field(api_url, world):
    """A field that this version does not know, or a range it no longer takes."""
    name = unique("policy")
    await CrashPolicy().save(name)
    path = f"/block_types/slug/crash-policy/block_documents/name/{name}"
    document = world.http.get(path).json()["id"]
    for data, message in (({"from_tomorrow": 1}, "from_tomorrow"), ({"settle": 0}, "settle")):
        world.http.patch(
            f"/block_documents/{document}", json={"data": data, "merge_existing_data": False}
        ).raise_for_status()
        async with open_api() as api:
            with pytest.raises(BadInput, match=message):
                await load_settings(api, name)


@pytest.mark.server
async def test_without_a_block_the_default_serves_and_says_so(api_url):
    """Only under the name `default`; an override is said as well."""
    async with open_api() as api:
        plain = await load_settings(api)
        changed = await load_settings(api, overrides={"settle": "PT30S", "grace": 0})
        with pytest.raises(BadInput, match="There is no block crash-policy/elsewhere"):
            await load_settings(api, "elsewhere")

    assert plain.policy == Policy()
    assert "built-in default policy is in force" in plain.notices[0]
    assert changed.policy.settle == 30 * SECOND
    assert changed.notices[1] == "Overridden for this run: grace, settle."


ONE_RUN = {
    "receiver": "slack-webhook/elsewhere",
    "routes": {"critical": "slack-webhook/elsewhere"},
    "failure_receiver": "slack-webhook/elsewhere",
    "cooldown": 60,
    "silent_after": 5,
    "silent_reminder": 3600,
    "triage": False,
    "silences": [],
    "rules": [],
}


@pytest.mark.parametrize("field", ONE_RUN)
def test_one_run_cannot_have_for_itself_what_others_go_by(field):
    """A receiver for one run was said to be in force, and the saved one was notified."""
    with pytest.raises(BadInput, match=f"`{field}` cannot be overridden for one run: ."):
        override(Policy(), {field: ONE_RUN[field]})
