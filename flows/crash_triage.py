"""Look closely at one crashed flow run: why, what changed, what else crashed, which workers live.

Started once per incident by the automation `Crash monitor: triage`; by hand:
    prefect deployment run crash-triage/crash-triage -p flow_run_id=<id>

Requires: nothing saved; with a `crash-policy` block its `reports_kept` is used.
"""

from typing import Any

from prefect import flow

from prefect_crash_monitor import deployed


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
    return await deployed.triage(flow_run_id, incident, policy)


if __name__ == "__main__":
    import asyncio
    import sys

    asyncio.run(crash_triage(sys.argv[1]))
