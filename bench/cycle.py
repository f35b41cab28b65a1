"""One monitoring cycle in a process of its own, as `crash-monitor run` does it, and what it costs.

Run as `python -m bench.cycle`; prints a measurement as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from datetime import UTC, datetime
from typing import Any

from bench.memory import peak_kib
from prefect_crash_monitor.config.read_policy import load_settings
from prefect_crash_monitor.cycle.run_cycle import run_cycle
from prefect_crash_monitor.model.own import Place
from prefect_crash_monitor.prefect_api.client import open_api


async def measured() -> dict[str, Any]:
    """The result of a cycle as of now, with its costs."""
    begun, processor = time.monotonic(), time.process_time()
    async with open_api() as api:
        settings = await load_settings(api)
        result = await run_cycle(api, settings, Place(), datetime.now(UTC))
        return {
            "result": result.to_json(),
            "requests": api.requests,
            "bytes": api.bytes_received,
            "begun": begun,
            "seconds": time.monotonic() - begun,
            "processor_seconds": time.process_time() - processor,
            "peak_kib": peak_kib(),
        }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(measured())) + "\n")
