"""Writes docs/settings.md from the policy's own fields, so that the two cannot drift apart.

Run it after changing a field: `python docs/settings.py`. A test holds the file against it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from prefect_crash_monitor.config.actions import Actions, FreeRule, PauseRule, RetryRule
from prefect_crash_monitor.config.policy import DEFAULT_RULES, PlannedSilence, Policy, Rule
from prefect_crash_monitor.config.rule import RuleKind
from prefect_crash_monitor.text.format import crashes_of, duration

TARGET = Path(__file__).parent / "settings.md"

INTRODUCTION = """\
# Settings

Every setting is a field of the block `crash-policy`. Save one in the Prefect UI (Blocks), or from
Python; without a block the defaults below are in force, and the report says so.

```python
from datetime import timedelta

from prefect_crash_monitor.blocks import CrashPolicy
from prefect_crash_monitor.policy import Rule

CrashPolicy(
    receiver="slack-webhook/data-alerts",
    grace=timedelta(minutes=10),
    rules=[Rule(name="billing", scope="tag", crashes=1, severity="critical")],
).save("default", overwrite=True)
```

Durations are seconds or ISO 8601 (`PT5M`) in JSON. A field that does not exist is refused with
its name; nothing is silently ignored. One run can override fields by the flow parameter
`overrides`, as `{"grace": "PT1M"}`; not those that later runs or automations go by: `rules`,
`silences`, receivers, `cooldown`, `silent_after`, `silent_reminder`, `triage`. A changed policy is
registered by the next cycle, or at once by `crash-monitor register`.
"""

ACTIONS = """\
All are off by default. Go from `off` to `dry_run`, look at what the report and the events
`crash-monitor.action.*` say it would have done, and only then to `act`. With

```json
{"actions": {"retry": {"mode": "dry_run", "only": {"deployment": "etl/*"}}}}
```

in the policy the monitor tells which runs of the deployments of flow `etl` it would retry.
"""


def settings_page() -> str:
    """The whole page."""
    rules = "\n".join(f"- {_rule(rule)}" for rule in DEFAULT_RULES)
    parts = [
        INTRODUCTION,
        "## The policy\n",
        *_table(Policy),
        "\n## A rule\n",
        "In force by default, in this order:\n",
        rules,
        "",
        *_table(Rule),
        "\n## A silence\n",
        *_table(PlannedSilence),
        "\n## Actions\n",
        ACTIONS,
        *_table(Actions),
        "\n### Retry (`actions.retry`)\n",
        *_table(RetryRule),
        "\n### Pause (`actions.pause`)\n",
        *_table(PauseRule),
        "\n### Slots (`actions.free_slots`)\n",
        *_table(FreeRule),
    ]
    return "\n".join(parts) + "\n"


def _table(model: type[BaseModel]) -> Iterator[str]:
    yield "| setting | default | range | what it does, too low, too high, why |"
    yield "| --- | --- | --- | --- |"
    for name, info in model.model_fields.items():
        text = str(info.description).replace("|", "\\|")
        yield f"| `{name}` | {_default(name, info)} | {_range(info)} | {text} |"


def _default(name: str, info: FieldInfo) -> str:
    if isinstance(info.default_factory, type) and issubclass(info.default_factory, BaseModel):
        return "off"
    if name == "rules" and info.default_factory:
        return "see below"
    return "required" if info.is_required() else _value(info.get_default(call_default_factory=True))


def _range(info: FieldInfo) -> str:
    bounds = {
        key: _value(getattr(part, key))
        for part in info.metadata
        for key in ("ge", "le", "gt", "lt", "max_length")
        if getattr(part, key, None) is not None
    }
    words = {"ge": "from", "le": "to", "gt": "above", "lt": "below", "max_length": "at most"}
    return " ".join(f"{words[key]} {value}" for key, value in bounds.items())


def _value(value: Any) -> str:
    match value:
        case timedelta():
            return duration(value)
        case Enum():
            return f"`{value.value}`"
        case int() | float() | None:
            return str(value)
        case list() if not value:
            return "none"
        case tuple():
            return ", ".join(f"`{item}`" for item in value)
        case _:
            return f"`{value}`" if value else "none"


def _rule(rule: Rule) -> str:
    return (
        f"`{rule.name}`: {_met(rule)}, scope {rule.scope}, all-clear after "
        f"{duration(rule.quiet_for)} of quiet, {rule.severity}"
    )


def _met(rule: Rule) -> str:
    within = f"within {duration(rule.within)}"
    match rule.kind:
        case RuleKind.GHOSTS:
            return f"{rule.crashes} ghost run or more"
        case RuleKind.CONSECUTIVE:
            return f"{crashes_of(rule.crashes)} in a row {within}"
        case RuleKind.OUTAGE:
            return f"at least {crashes_of(rule.crashes)} that tell of one outage {within}"
        case _:
            return f"at least {crashes_of(rule.crashes)} {within}"


if __name__ == "__main__":
    TARGET.write_text(settings_page())
