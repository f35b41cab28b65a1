"""Count the flow runs that crashed since the last cycle, and tell what crosses a threshold.

Requires: nothing saved; with a `crash-policy` block its thresholds and its receiver are used.
"""

from typing import Any

from prefect import flow

from prefect_crash_monitor import deployed


# Async: a sync flow waits a second at its end for the heartbeat thread (Prefect 3.8). The timeout
# is below the interval, so that a hanging cycle never holds the deployment's slot for the next.
@flow(name="crash-monitor", timeout_seconds=240)
async def crash_monitor(
    policy: str = "default", overrides: dict[str, Any] | None = None
) -> dict[str, Any]:
    """One monitoring cycle: observe, explain, count, judge, tell.

    Args:
        policy: Name of the `crash-policy` block; `default` works without a saved block, too.
        overrides: Fields of the policy to replace for this run, as `{"grace": "PT1M"}`.
    """
    return await deployed.monitor(policy, overrides)


if __name__ == "__main__":
    import asyncio

    asyncio.run(crash_monitor())
