"""`make bench`: what the monitor costs, and whether what it says is true.

Three parts, each with a truth to compare with: counting on a large server, explaining a storm of
messages, and a flood of crashes on a real server. Exits 1 where an answer is wrong. Nothing is left
behind.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping

from rich.console import Console

from bench.counting import bench_counting
from bench.explaining import bench_explaining
from bench.flood import bench_flood

Part = Callable[[argparse.Namespace, Console], int]
PARTS: Mapping[str, Part] = {
    "count": lambda asked, console: bench_counting(asked.runs, console),
    "explain": lambda asked, console: bench_explaining(asked.messages, console),
    "flood": lambda asked, console: bench_flood(asked.crashes, asked.kinds, console),
}


def main() -> int:
    """Runs the parts asked for, all where none is; 1 where any of them is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--runs", type=int, default=10_000, help="flow runs to count among")
    parser.add_argument("--messages", type=int, default=10_000, help="messages to explain")
    parser.add_argument("--crashes", type=int, default=10_000, help="crashes in the flood")
    parser.add_argument("--kinds", type=int, help="kinds of message in the flood; else hundreds")
    asked = parser.parse_args()
    if unknown := set(asked.parts) - PARTS.keys():
        parser.error(f"no part is called {', '.join(sorted(unknown))}")
    console = Console(width=120)
    wrong = [part for part in asked.parts or PARTS if _timed(part, asked, console)]
    if wrong:
        console.print(f"WRONG, see above: {', '.join(wrong)}", markup=False)
    return 1 if wrong else 0


def _timed(name: str, asked: argparse.Namespace, console: Console) -> int:
    begun = time.monotonic()
    wrong = PARTS[name](asked, console)
    console.print(f"Part {name}: {time.monotonic() - begun:.0f} s\n", markup=False)
    return wrong


if __name__ == "__main__":
    sys.exit(main())
