"""Flow runs that really crash, each in its own way; copied into the demo's project."""

import ctypes
import os
import signal
import sys
from pathlib import Path

from prefect import flow
from prefect.runtime import flow_run


@flow(name="demo")
def victim(way: str) -> str:
    """Dies in the way asked for; a retried one lives on at its second attempt."""
    attempted = Path(f"{flow_run.id}.attempted")
    if way == "exited then retried" and attempted.exists():
        return "recovered"
    attempted.touch()
    sys.stdout.flush()
    match way:
        case "killed":  # as by the kernel, out of memory
            os.kill(os.getpid(), signal.SIGKILL)
        case "terminated":  # as by an orchestrator that stops the container
            os.kill(os.getpid(), signal.SIGTERM)
        case "segmentation fault":  # as by a broken extension module
            ctypes.string_at(0)
        case "exit code":  # as by a library that gives up
            os._exit(3)
        case "exited then retried":  # as by a script whose source is not ready yet
            sys.exit("the source is not ready")
    return "healthy"
