"""The benchmark: it runs, its counts are the truth, and it leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.slow
@pytest.mark.server
def test_bench_agrees_with_the_truth(repository):
    """Every row of a small benchmark says that the count equals the truth."""
    command = [sys.executable, "-m", "bench", "count", "--runs", "500"]

    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("│")]
    assert len(rows) == 6
    assert all(row.rstrip("│ ").endswith("yes") for row in rows)
