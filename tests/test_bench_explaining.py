"""The benchmark of explaining: it runs, its causes are the truth, and a wrong one is said."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

from bench.explaining import differences, explained
from bench.messages import LONG, kinds, storm

STORM = storm(300)


def test_bench_agrees_with_the_truth(repository):
    """Every row of a small benchmark says so."""
    command = [sys.executable, "-m", "bench", "explain", "--messages", "400"]

    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" yes ") == 3


def test_wrong_causes_and_fingerprints_are_said():
    """One wrong cause, one kind torn apart, two kinds taken for one."""
    right, _ = explained(STORM)
    first, second = [t.crash.state_id for t in STORM if t.kind is kinds()[0]][:2]
    one = right[first].fingerprint

    def wrong(**change):
        return differences(STORM, {**right, second: replace(right[second], **change)})

    assert differences(STORM, right) == []
    assert "explained as user-exception" in wrong(cause="user-exception")[0]
    assert "several fingerprints" in wrong(fingerprint="v1-0000000000")[0]
    merged = {id_: replace(why, fingerprint=one) for id_, why in right.items()}
    assert "share 1 fingerprints" in differences(STORM, merged)[0]


def test_the_storm_is_a_realistic_mix():
    """A few hundred kinds, some constant, most varied, some as long as Prefect allows."""
    messages = [told.crash.message for told in storm(2_000)]

    assert 300 < len(kinds()) < 500
    assert 1_000 < len(set(messages)) < 1_800
    assert 20 < sum(len(message) == LONG for message in messages) < 120


def test_a_storm_can_be_of_few_kinds():
    """The most frequent ones."""
    assert len({told.kind.message for told in storm(500, of=3)}) == 3
