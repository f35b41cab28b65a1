"""Regular expressions of rules, fingerprints and texts take time with the length of a text alone.

Each pattern is fed with long runs of its own words, half met: what makes a pattern try again and
again. Ratios within one run, of this process's time.
"""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import re
import time
from collections.abc import Iterator, Mapping
from itertools import pairwise
from types import FunctionType, ModuleType

from prefect_crash_monitor import explain
from prefect_crash_monitor.explain import fingerprint
from prefect_crash_monitor.text import sanitize as render_text

GROWTH, LEAST = 8, 0.004
WORD = re.compile(r"[A-Za-z0-9_]{2,}|[:/\\'\"(){}\[\]=.,-]")


def modules() -> list[ModuleType]:
    """Those whose patterns are looked for in messages and logs of any length."""
    names = [
        m.name
        for m in pkgutil.walk_packages(explain.__path__, f"{explain.__name__}.")
        if ".rules" in m.name or ".clues" in m.name
    ]
    return [fingerprint, render_text, *map(importlib.import_module, names)]


def patterns() -> dict[str, re.Pattern[str]]:
    """All compiled patterns that these modules hold, also in the closures of their rows."""
    seen: set[int] = set()
    found: dict[str, re.Pattern[str]] = {}
    for module in modules():
        for value in vars(module).values():
            found |= {pattern.pattern: pattern for pattern in within(value, seen)}
    return found


def within(value: object, seen: set[int]) -> Iterator[re.Pattern[str]]:
    """The patterns in a value: rows, mappings, and what a function closes over."""
    if isinstance(value, re.Pattern):
        yield value
    if id(value) in seen:
        return
    seen.add(id(value))
    for inner in parts(value):
        yield from within(inner, seen)


def parts(value: object) -> list[object]:
    """What a value is made of."""
    if isinstance(value, Mapping):
        return [*value.keys(), *value.values()]
    if isinstance(value, tuple | list | set | frozenset):
        return list(value)
    if isinstance(value, FunctionType):
        return [cell.cell_contents for cell in value.__closure__ or ()]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, field.name) for field in dataclasses.fields(value)]
    return []


def units(pattern: str) -> list[str]:
    """What of its own to repeat: single words and pairs of them."""
    words = list(dict.fromkeys(WORD.findall(re.sub(r"\\[a-zA-Z]", " ", pattern))))[:12]
    pairs = [a + between + b for a, b in pairwise(words) for between in " ,"]
    return [*words, *(f"{word} " for word in words), *pairs, "a", "A1", " ", "\n", "/a", "0 "]


def test_every_pattern_takes_time_with_the_length_alone():
    """Four times the text takes at most eight times as long, whatever it repeats."""
    slow = {}
    for source, pattern in patterns().items():
        for unit in units(source)[:16]:
            short, long = (unit * (size // len(unit)) for size in (2_500, 10_000))
            ratios = (
                seconds(pattern, long) / max(seconds(pattern, short), LEAST / GROWTH)
                for _ in range(4)  # what else runs may disturb one look
            )
            if seconds(pattern, long) > LEAST and all(ratio > GROWTH for ratio in ratios):
                slow[source] = unit

    assert slow == {}


def seconds(pattern: re.Pattern[str], text: str) -> float:
    """The least time of three to find all that it finds."""
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        for _found in pattern.finditer(text):
            pass
        best = min(best, time.process_time() - start)
    return best


def test_the_patterns_of_the_rules_are_among_them():
    """Those in the rows' closures, too: else the test above would prove little."""
    found = patterns()

    assert len(found) > 100
    assert any("status code" in source for source in found)
