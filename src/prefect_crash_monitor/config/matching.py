"""Which crashes a silence or a rule means: a pattern by field, all of which must match."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Literal, TypeVar

from prefect_crash_monitor.model.crash import Crash, Diagnosis

MatchedField = Literal["deployment", "flow", "work_pool", "work_queue", "tag", "cause"]
Name = TypeVar("Name", bound=str)

FIELDS: Mapping[str, Callable[[Crash, Diagnosis | None], Iterable[str]]] = {
    "deployment": lambda crash, _: [crash.deployment],
    "flow": lambda crash, _: [crash.flow],
    "work_pool": lambda crash, _: [crash.work_pool],
    "work_queue": lambda crash, _: [crash.work_queue],
    "tag": lambda crash, _: crash.tags,
    "cause": lambda _, diagnosis: [diagnosis.cause] if diagnosis else [],
}
"""What can be matched on."""


def matches(matcher: Mapping[Name, str], crash: Crash, diagnosis: Diagnosis | None) -> bool:
    """Whether a crash is among those meant; by an empty matcher all are.

    Patterns are `*`, `?` and `[…]` as in a shell, case-sensitive.
    """
    return all(
        any(fnmatchcase(value, pattern) for value in FIELDS[field](crash, diagnosis))
        for field, pattern in matcher.items()
    )
