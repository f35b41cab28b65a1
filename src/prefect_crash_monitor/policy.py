"""The policy as users import it: `from prefect_crash_monitor.policy import Policy, Rule`."""

from prefect_crash_monitor.config.policy import Policy, Rule, Scope, Severity

__all__ = ["Policy", "Rule", "Scope", "Severity"]
