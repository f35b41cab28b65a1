"""Redaction of JSON: by names, environments and pull steps, to any depth."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_crash_monitor.redaction.redact import is_secret_name, redact_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.text()
            | st.sampled_from(
                ["env", "token", "name", "value", "inputs", "qualified_name", "pull_steps"]
            ),
            inner,
        )
    ),
)


@given(JSON)
def test_any_json_is_redacted_once_and_for_all(value):
    """It never raises, and redacting what is redacted changes nothing."""
    once = redact_json(value)

    assert repr(redact_json(once)) == repr(once)


def test_nested_secrets_go_whatever_their_type():
    """Under a secret's name nothing is shown but that there is something, or nothing."""
    value = {
        "db": {"password": "hunter2", "port": 5432, "api_key": 12345},
        "items": [{"secrets": ["a", "b"]}, {"credentials": {"user": "x"}}],
        "note": "url postgres://u:hunter2@db",
        "token": None,
        "use_token": True,
        "password": "",
        "max_tokens": 500,
    }

    assert redact_json(value) == {
        "db": {"password": "***", "port": 5432, "api_key": "***"},
        "items": [{"secrets": "***"}, {"credentials": "***"}],
        "note": "url postgres://u:***@db",
        "token": None,
        "use_token": True,
        "password": "",
        "max_tokens": 500,
    }


@pytest.mark.parametrize("key", ["job_variables", "infra_overrides"])
def test_an_environment_is_secret_but_for_open_names(key):
    """Whatever a variable is called, its value may be a secret."""
    env = {
        "PREFECT_API_URL": "http://u:hunter2@server:4200/api",
        "PREFECT_LOGGING_LEVEL": "DEBUG",
        "CUSTOMER": "acme",
        "DB_PASSWORD": "hunter2",
        "EMPTY": "",
    }

    assert redact_json({key: {"env": env, "image": "repo/x:1"}}) == {
        key: {
            "env": {
                "PREFECT_API_URL": "http://u:***@server:4200/api",
                "PREFECT_LOGGING_LEVEL": "DEBUG",
                "CUSTOMER": "***",
                "DB_PASSWORD": "***",
                "EMPTY": "",
            },
            "image": "repo/x:1",
        }
    }


def test_an_environment_as_a_list():
    """Kubernetes and Docker write environments as lists."""
    env = [
        {"name": "TZ", "value": "UTC"},
        {"name": "A", "value": "x"},
        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        "C=y",
        "odd",
    ]

    assert redact_json({"env": env})["env"] == [
        {"name": "TZ", "value": "UTC"},
        {"name": "A", "value": "***"},
        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        "C=***",
        "***",
    ]


def test_inputs_of_pull_steps_are_secret_but_for_open_names():
    """In the events of a run, and in a deployment."""
    inputs = {"repository": "https://git.example/x", "branch": "main", "script": "login hunter2"}
    shown = {"repository": "***", "branch": "main", "script": "***"}
    step = "prefect.deployments.steps.git_clone"

    assert redact_json({"qualified_name": step, "inputs": inputs})["inputs"] == shown
    assert redact_json({"pull_steps": [{step: inputs}]})["pull_steps"] == [{step: shown}]


def test_what_lies_too_deep_is_withheld():
    """Deep nesting neither raises nor shows anything unseen."""
    deep = "hunter2"
    for _ in range(900):
        deep = [deep]

    assert "hunter2" not in json.dumps(redact_json(deep))


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("DB_PASSWORD", True),
        ("clientSecret", True),
        ("x-api-key", True),
        ("PREFECT_API_KEY", True),
        ("Authorization", True),
        ("password2", True),
        ("GCP_CREDENTIALS_JSON", True),
        ("auth", True),
        ("max_tokens", False),
        ("imagePullSecrets", False),
        ("secretName", False),
        ("storage_key", False),
        ("idempotency_key", False),
        ("author", False),
        ("PWD_FILE", False),
        ("prefect.resource.id", False),
    ],
)
def test_names_of_secrets(name, secret):
    """Names that mean a secret, in any spelling, and names that only resemble them."""
    assert is_secret_name(name) is secret
