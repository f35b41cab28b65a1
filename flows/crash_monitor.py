"""Count the flow runs that crashed since the last cycle, and tell what crosses a threshold.

Requires: nothing saved; with a `crash-policy` block its thresholds and its receiver are used.
"""

from datetime import UTC, datetime
from typing import Any

from prefect import flow, get_run_logger
from prefect.runtime import deployment, flow_run
from prefect.settings import PREFECT_UI_URL

from prefect_crash_monitor.api import open_api
from prefect_crash_monitor.cycle import run_cycle
from prefect_crash_monitor.own_runs import Place
from prefect_crash_monitor.settings import load_settings


# Async: a sync flow waits a second at its end for the heartbeat thread (Prefect 3.8). The timeout
# is below the interval, so that a hanging cycle never holds the deployment's slot for the next.
@flow(name="crash-monitor", timeout_seconds=240)
async def crash_monitor(
    policy: str = "default", overrides: dict[str, Any] | None = None
) -> dict[str, Any]:
    """One monitoring cycle: observe, count, judge, tell.

    Args:
        policy: Name of the `crash-policy` block; `default` works without a saved block, too.
        overrides: Fields of the policy to replace for this run, as `{"grace": "PT1M"}`.
    """
    place = Place(
        ui_url=PREFECT_UI_URL.value() or "",
        flow_run_id=flow_run.id,
        deployment_id=deployment.id,
    )
    async with open_api() as api:
        settings = await load_settings(api, policy, overrides)
        result = await run_cycle(api, settings, place, datetime.now(UTC))
        get_run_logger().info(
            "%s crashed in %s - %s, %s incidents open, %s requests",
            result.record.crashed,
            result.record.window.start,
            result.record.window.end,
            len(result.judgement.open),
            api.requests,
        )
    return result.to_json()


if __name__ == "__main__":
    import asyncio

    asyncio.run(crash_monitor())
