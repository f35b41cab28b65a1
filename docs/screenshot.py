"""Makes the pictures of the README: the demo's report in the Prefect UI, in a real browser.

Needs Chromium (Debian: `apt-get install chromium fonts-noto-color-emoji`); run by
`make screenshot`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx

from prefect_crash_monitor.demo import run_demo
from prefect_crash_monitor.publish.send_events import REPORT_KEY

TARGET = Path(__file__).parent / "crash-report.png"
SIZE = "1280,1500"
LOADING_MILLIS = 15_000
"""The UI is a single-page application: what it fetches must have arrived before the picture."""

QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


def main() -> int:
    """Plays the demo and photographs the report of the cycle that counted its crashes."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.stderr.write("Chromium is needed: apt-get install chromium fonts-noto-color-emoji\n")
        return 2
    return run_demo(as_json=False, look=lambda ui_url: photograph(chromium, ui_url))


def photograph(chromium: str, ui_url: str) -> None:
    """One picture of the report with the most to say."""
    url = f"{ui_url}/v2/artifacts/artifact/{fullest_report(ui_url)}"
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [
                chromium,
                *QUIET,
                f"--user-data-dir={profile}",
                f"--window-size={SIZE}",
                f"--virtual-time-budget={LOADING_MILLIS}",
                f"--screenshot={TARGET}",
                url,
            ],
            check=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )
    sys.stderr.write(f"{TARGET.name}: {TARGET.stat().st_size:,} bytes of {url}\n")


def fullest_report(ui_url: str) -> str:
    """The id of the longest version of the report."""
    body = {"artifacts": {"key": {"any_": [REPORT_KEY]}}, "sort": "CREATED_DESC"}
    versions = httpx.post(f"{ui_url}/api/artifacts/filter", json=body).raise_for_status().json()
    return str(max(versions, key=lambda version: len(version["data"]))["id"])


if __name__ == "__main__":
    sys.exit(main())
