"""Look closely at one crashed flow run: why, what changed, what else crashed, which workers live.

Started once per incident by the automation `Crash monitor: triage`; by hand:
    prefect deployment run crash-triage/crash-triage -p flow_run_id=<id>

Requires: nothing saved; with a `crash-policy` block its `reports_kept` is used.
"""

from datetime import UTC, datetime
from typing import Any

from prefect import flow, get_run_logger
from prefect.runtime import deployment, flow_run
from prefect.settings import PREFECT_UI_URL

from prefect_crash_monitor.api import open_api
from prefect_crash_monitor.own_runs import Place
from prefect_crash_monitor.settings import load_settings
from prefect_crash_monitor.triage.publish import run_triage


# Async: a sync flow waits a second at its end for the heartbeat thread (Prefect 3.8). The timeout
# is well below the age at which a run of ours that holds a slot counts as stranded.
@flow(name="crash-triage", timeout_seconds=240)
async def crash_triage(
    flow_run_id: str, incident: str = "", policy: str = "default"
) -> dict[str, Any]:
    """Explains one crashed run and its surroundings; writes the artifact `crash-triage-<run>`.

    Args:
        flow_run_id: The crashed flow run; its id, or its address in Prefect's UI.
        incident: The incident that it is a sample of, as `id.episode`; only shown.
        policy: Name of the `crash-policy` block; `default` works without a saved block, too.
    """
    place = Place(
        ui_url=PREFECT_UI_URL.value() or "",
        flow_run_id=flow_run.id,
        deployment_id=deployment.id,
    )
    async with open_api() as api:
        settings = await load_settings(api, policy)
        done = await run_triage(api, flow_run_id, incident, settings, place, datetime.now(UTC))
        get_run_logger().info("%s: %s, %s requests", done["artifact"], done["cause"], api.requests)
    return done


if __name__ == "__main__":
    import asyncio
    import sys

    asyncio.run(crash_triage(sys.argv[1]))
