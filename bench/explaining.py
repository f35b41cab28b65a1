"""What explaining a storm costs: on the path that a cycle takes, with what it reads at hand.

Run as `python -m bench.explaining` with an order as JSON on standard input, it explains so many
crashes in a process of its own, whose caches are cold, and prints a measurement as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.memory import peak_kib
from bench.messages import Told, kinds, logs_of, storm
from prefect_crash_monitor.explain.read_evidence import LOOKED_AT
from prefect_crash_monitor.explain.sampling import Read, exemplars, first_look, second_look
from prefect_crash_monitor.model.crash import Diagnosis

FEW = 1_000
MIX, ONE = "of every kind", "of one kind"


def bench_explaining(messages: int, console: Console) -> int:
    """Prints the table; 1 where a cause or a fingerprint is wrong."""
    few = min(FEW, messages)
    orders = [(MIX, few), (MIX, messages), (ONE, messages)]
    costs = [_measured(which, number) for which, number in orders]
    console.print(_table(orders, costs))
    ratio = costs[1]["processor_seconds"] / costs[0]["processor_seconds"]
    console.print(
        f"Processor time for {messages:,} to that for {few:,}: {ratio:.1f} "
        f"(linear: {messages / few:.0f}). Checked: causes and fingerprints."
    )
    wrong = [line for cost in costs for line in cost["wrong"]]
    for line in wrong:
        console.print(line, markup=False)
    return 1 if wrong else 0


def _table(orders: Sequence[tuple[str, int]], costs: Sequence[Mapping[str, Any]]) -> Table:
    made = Table(title=f"Explaining crashes; there are {len(kinds())} kinds of message")
    made.add_column("messages")
    for column in (
        "distinct",
        "s",
        "processor s",
        "a second",
        "looked at",
        "guessed (wrong)",
        "peak MB",
    ):
        made.add_column(column, justify="right")
    made.add_column("as in truth")
    for (which, number), cost in zip(orders, costs, strict=True):
        made.add_row(
            f"{number:,} {which}",
            f"{cost['distinct']:,}",
            f"{cost['seconds']:.2f}",
            f"{cost['processor_seconds']:.2f}",
            f"{number / cost['seconds']:,.0f}",
            str(cost["looked_at"]),
            f"{cost['guessed']:,} ({cost['guessed_wrong']})",
            f"{cost['peak_kib'] / 1024:.0f}",
            "no" if cost["wrong"] else "yes",
        )
    return made


def _measured(which: str, number: int) -> dict[str, Any]:
    """A measurement, made by a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.explaining"],
        cwd=Path(__file__).parent.parent,
        input=json.dumps({"which": which, "number": number}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"Explaining {number} messages failed:\n{done.stderr}")
    return dict(json.loads(done.stdout))


def explained(crashes: Sequence[Told]) -> tuple[dict[str, Diagnosis], int]:
    """The diagnoses by state id, and how many runs were looked at: `explain_crashes`, offline."""
    look = first_look([told.crash for told in crashes])
    chosen = {crash.state_id for crash in exemplars(look, LOOKED_AT)}
    read = {
        told.crash.state_id: Read(logs=logs_of(told))
        for told in crashes
        if told.crash.state_id in chosen
    }
    return second_look(look, read), len(chosen)


def differences(crashes: Sequence[Told], diagnoses: Mapping[str, Diagnosis]) -> list[str]:
    """Wrong causes, and kinds that are mixed up or torn apart; but for what was guessed."""
    wrong = []
    prints: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for told in crashes:
        why, kind = diagnoses[told.crash.state_id], told.kind
        if not why.looked_at:
            continue
        if why.cause != kind.cause:
            wrong.append(f"{told.crash.message[:100]!r} is {kind.cause}, explained as {why.cause}")
        prints[(kind.cause, kind.message, kind.repeated)].add(why.fingerprint)
    torn = [kind for kind, found in prints.items() if len(found) > 1]
    wrong += [f"{message[:100]!r} has several fingerprints" for _, message, _ in torn]
    distinct = {fingerprint for found in prints.values() for fingerprint in found}
    if len(distinct) != len(prints) and not torn:
        wrong.append(f"{len(prints)} kinds share {len(distinct)} fingerprints")
    return wrong


def measured(which: str, number: int) -> dict[str, Any]:
    """The costs of explaining so many."""
    crashes = storm(number)
    if which == ONE:
        killed = kinds()[0]
        crashes = [Told(replace(t.crash, message=killed.message), killed) for t in crashes]
    begun, processor = time.perf_counter(), time.process_time()
    diagnoses, looked_at = explained(crashes)
    seconds, processor_seconds = time.perf_counter() - begun, time.process_time() - processor
    guessed = [told for told in crashes if not diagnoses[told.crash.state_id].looked_at]
    return {
        "seconds": seconds,
        "processor_seconds": processor_seconds,
        "distinct": len({told.crash.message for told in crashes}),
        "looked_at": looked_at,
        "guessed": len(guessed),
        "guessed_wrong": sum(diagnoses[t.crash.state_id].cause != t.kind.cause for t in guessed),
        "wrong": differences(crashes, diagnoses)[:20],
        "peak_kib": peak_kib(),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measured(**json.load(sys.stdin))))
