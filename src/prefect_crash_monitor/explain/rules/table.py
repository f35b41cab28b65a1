"""All rules, ready to be asked: by the type of a run's state, the lowest precedence first."""

from __future__ import annotations

from collections.abc import Mapping

from prefect_crash_monitor.explain.rules import failed as rules_failed
from prefect_crash_monitor.explain.rules import kubernetes as rules_kubernetes
from prefect_crash_monitor.explain.rules import loading as rules_loading
from prefect_crash_monitor.explain.rules import process as rules_process
from prefect_crash_monitor.explain.rules import signatures as rules_signatures
from prefect_crash_monitor.explain.rules import waiting as rules_waiting
from prefect_crash_monitor.explain.rules.cause_rule import Rule, Scope

RULES: tuple[Rule, ...] = tuple(
    sorted(
        (
            *rules_signatures.RULES,
            *rules_kubernetes.RULES,
            *rules_process.RULES,
            *rules_loading.RULES,
            *rules_failed.RULES,
            *rules_waiting.RULES,
        ),
        key=lambda rule: rule.precedence,
    )
)

BY_SCOPE: Mapping[str, tuple[Rule, ...]] = {
    scope.value: tuple(rule for rule in RULES if rule.scope is scope) for scope in Scope
}
