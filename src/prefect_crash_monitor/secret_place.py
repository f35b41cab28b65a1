"""A row for `redact` that asks what stands at a place before it takes it out. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from prefect_crash_monitor.secret_values import STARS, says_nothing

Judge = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Place:
    """One row: where a secret may stand (group `secret`), and whether what stands there is one."""

    name: str
    pattern: re.Pattern[str]
    judge: Judge
    hints: tuple[str, ...] = ()

    def apply(self, text: str, lowered: str) -> str:
        """The text without the secrets of this place."""
        if self.hints and not any(hint in lowered for hint in self.hints):
            return text
        return self.pattern.sub(self._judged, text)

    def _judged(self, found: re.Match[str]) -> str:
        value = found["secret"]
        if STARS in value or says_nothing(value) or not self.judge(value):
            return found[0]
        start, end = found.span("secret")
        whole = found.string
        return whole[found.start() : start] + STARS + whole[end : found.end()]


def always(_value: str) -> bool:
    """Judges nothing: what stands there is a secret."""
    return True


def place(name: str, pattern: str, judge: Judge, hints: str = "") -> Place:
    """A row, in upper or lower case; `hints` are words without which it finds nothing."""
    return Place(name, re.compile(pattern, re.IGNORECASE), judge, tuple(hints.split()))


BETWEEN = (
    r"""(?:["'\\\])]{0,4}[ \t]{0,3}(?:=>|->|:=|[=:,|]|%3D|(?<=[a-z0-9])[ \t]\(|\t)"""
    r"""[ \t]{0,3}\(?b?["'\\]{0,4})"""
)
"""What stands between a name and its value: in code, JSON, YAML, tables, tuples, prose."""

END = r"""[^\s"'`,;&|<>()\[\]{}\\]"""

NEXT = r"(?:[ \t]{1,3}[\"']?|[\"'],[ ]?[\"']|,[ ])"
"""Between two arguments: in a command, or in a list of them."""
