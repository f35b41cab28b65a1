"""Takes secrets out of text and JSON, before anything is shown, sent or written.

Text goes through an ordered table of rules; a rule keeps the words around a secret, so that what
is left can still be read. What only looks like a secret to the eye (ids, hashes, paths) stays.
Two kinds of secret are out of reach: a bare one of no known shape, and one told in prose
("the password is ..."); `tests/test_redact.py` lists the known mistakes.

Pure and without Prefect. Patterns are bounded or possessive, so that the time grows linearly with
the text, whatever the text is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prefect_crash_monitor.redaction.patterns import CONFIDENTIAL_ALONE, RULES
from prefect_crash_monitor.redaction.places import rows
from prefect_crash_monitor.redaction.text import Looked
from prefect_crash_monitor.redaction.values import STARS

__all__ = ["RULES", "is_secret_name", "redact", "redact_json"]

PASSES = 4
"""One rule's output may be another's input: passes until nothing changes. Two are usual."""

DEEPEST = 60
"""Levels of nested JSON looked into; what lies deeper is replaced unseen."""

ENVIRONMENTS = frozenset({"env", "environment", "environ"})
"""Keys whose mapping, or list of name and value, is an environment."""


OPEN_VALUES = frozenset(
    {
        # Environment variables that are no secret and that causes are told by.
        "PREFECT_API_URL",
        "PREFECT_CLIENT_MAX_RETRIES",
        "PREFECT_CLIENT_RETRY_EXTRA_CODES",
        "PREFECT_CLI_COLORS",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY",
        "PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR",
        "PREFECT_HOME",
        "PREFECT_LOGGING_LEVEL",
        "PREFECT_PROFILE",
        "PREFECT_RUNNER_HEARTBEAT_FREQUENCY",
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE",
        "PREFECT_SERVER_EPHEMERAL_ENABLED",
        "PREFECT_UI_URL",
        "PREFECT_WORKER_QUERY_SECONDS",
        "PREFECT__DEPLOYMENT_ID",
        "PREFECT__DEPLOYMENT_NAME",
        "PREFECT__FLOW_ID",
        "PREFECT__FLOW_NAME",
        "PREFECT__FLOW_RUN_ID",
        "PREFECT__WORKER_NAME",
        "PYTHONPATH",
        "PYTHONUNBUFFERED",
        "TZ",
        # Inputs of pull steps.
        "branch",
        "directory",
        "id",
        "include_submodules",
        "requires",
    }
)
"""Names whose values are shown, each still redacted as text, where all others are withheld."""


def redact(text: str) -> str:
    """The text with `***` in place of each secret; the same again for what is redacted already.

    Where rules keep on finding secrets in what other rules left, the whole text is withheld.
    """
    for _ in range(PASSES):
        before, looked = text, Looked(text)
        for rule in (*RULES, *rows()):
            text = rule.apply(looked)
            if text != looked.text:
                looked = Looked(text)
        if text == before:
            return text
    return STARS


def is_secret_name(name: str) -> bool:
    """Whether a value of this name is a secret: `DB_PASSWORD`, `clientSecret`, `x-api-key`."""
    return CONFIDENTIAL_ALONE.search(name) is not None


def redact_json(value: Any) -> Any:
    """The JSON value without secrets.

    All values under a secret's name go, whatever their type, but for null, booleans and empty
    text, which hold nothing. An environment and the inputs of a deployment's pull step count as
    secret as a whole, but for the few names in `OPEN_VALUES`.
    """
    return _redacted(value, DEEPEST)


def _redacted(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return redact(value)
    if not isinstance(value, Mapping | list | tuple):
        return value
    if depth <= 0:
        return STARS
    if isinstance(value, Mapping):
        return {_key(key): _member(value, key, depth - 1) for key in value}
    return [_redacted(item, depth - 1) for item in value]


def _key(key: Any) -> Any:
    return redact(key) if isinstance(key, str) else key


def _member(parent: Mapping[Any, Any], key: Any, depth: int) -> Any:
    """What to show of one member of a JSON object."""
    value, name = parent[key], str(key)
    labelled = str(parent.get("name") or parent.get("key") or "") if name == "value" else ""
    if _holds_nothing(value):
        return value
    if is_secret_name(name) or is_secret_name(labelled):
        return STARS
    if name == "pull_steps":
        return _pull_steps(value, depth)
    if name.lower() in ENVIRONMENTS or (name == "inputs" and "qualified_name" in parent):
        return _environment(value, depth)
    return _redacted(value, depth)


def _pull_steps(value: Any, depth: int) -> Any:
    """A deployment's `pull_steps`: a list of `{step: inputs}`."""
    steps = value if isinstance(value, list | tuple) else [value]
    return [
        {_key(step): _environment(inputs, depth - 2) for step, inputs in item.items()}
        if isinstance(item, Mapping)
        else _redacted(item, depth - 1)
        for item in steps
    ]


def _environment(value: Any, depth: int) -> Any:
    """An environment: a mapping, or Kubernetes' list of `{"name", "value"}`; all but open values.

    Anything else, such as the name of an environment ("production"), is ordinary JSON.
    """
    if isinstance(value, Mapping):
        return {_key(key): _variable(str(key), item, depth) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_environment_entry(item, depth - 1) for item in value]
    return _redacted(value, depth)


def _environment_entry(entry: Any, depth: int) -> Any:
    if not isinstance(entry, Mapping):  # `NAME=value`, as Docker writes it
        name, is_pair, item = str(entry).partition("=")
        return f"{redact(name)}={_variable(name, item, depth)}" if is_pair else STARS
    name = str(entry.get("name"))
    return {
        _key(key): _variable(name, item, depth) if key == "value" else _redacted(item, depth)
        for key, item in entry.items()
    }


def _variable(name: str, value: Any, depth: int) -> Any:
    if _holds_nothing(value):
        return value
    return _redacted(value, depth) if name in OPEN_VALUES else STARS


def _holds_nothing(value: Any) -> bool:
    return value is None or isinstance(value, bool) or value == ""
