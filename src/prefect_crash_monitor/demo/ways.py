"""The ways in which the demo's flow runs crash; what explains them is left to the monitor."""

from __future__ import annotations

from collections.abc import Mapping

MISSING_FILE = "missing file"
RETRIED = "exited then retried"
HEALTHY = "healthy"

WAYS: Mapping[str, str] = {
    RETRIED: "calls sys.exit; is retried, and completes",
    "killed": "gets a SIGKILL, as when memory runs out",
    "exit code": "calls os._exit(3), as a library that gives up",
    MISSING_FILE: "is deployed with an entrypoint that is not there",
    "terminated": "gets a SIGTERM, as when a container is stopped",
    "segmentation fault": "reads address 0, as a broken native library",
}
"""What happens to a run, by the name of its deployment; no two have one cause.

The retried one begins first, so that its second attempt keeps nobody waiting.
"""
