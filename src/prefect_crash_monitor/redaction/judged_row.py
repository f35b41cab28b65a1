"""A row of `redact` that asks what stands at a place before it takes it out. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from prefect_crash_monitor.redaction.text import Looked
from prefect_crash_monitor.redaction.values import CODE, LONGEST, STARS, says_nothing

Judge = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Place:
    """One row: where a secret may stand (group `secret`), and whether what stands there is one.

    The pattern is for the text in small letters, which is searched several times faster.
    """

    name: str
    pattern: re.Pattern[str]
    judge: Judge
    hints: tuple[str, ...] = ()
    named: bool = False
    """Whether each match begins with a name, as `STEMS` has them."""
    behind: re.Pattern[str] | None = None
    """What must stand in front of it."""
    unless: re.Pattern[str] | None = None
    """What must not stand in front of it."""

    def apply(self, looked: Looked) -> str:
        """The text without the secrets of this place."""
        text, lowered = looked.text, looked.lowered
        if self.hints and not any(hint in lowered for hint in self.hints):
            return text
        parts, end = [], 0
        for found in looked.named(self.pattern) if self.named else self.pattern.finditer(lowered):
            start, stop = found.span("secret")
            if start < end or not self._holds_one(text[start:stop], looked, found):
                continue
            parts += [text[end:start], STARS]
            end = stop
        return "".join([*parts, text[end:]]) if parts else text

    def _holds_one(self, value: str, looked: Looked, found: re.Match[str]) -> bool:
        if STARS in value or says_nothing(value[:LONGEST]) or not self.judge(value[:LONGEST]):
            return False
        if looked.text[found.end("secret") : found.end("secret") + 1] in {
            "(",
            "[",
        } and CODE.fullmatch(value):
            return False  # a call, in a line of source
        before = looked.lowered[max(found.start() - 40, 0) : found.start()]
        if self.unless is not None and self.unless.search(before):
            return False
        return self.behind is None or self.behind.search(before) is not None


def always(_value: str) -> bool:
    """Judges nothing: what stands there is a secret."""
    return True


def place(name: str, pattern: str, judge: Judge, hints: str = "", behind: str = "") -> Place:
    """A row; `hints` are words without which it finds nothing, `behind` must stand in front."""
    before = re.compile(behind) if behind else None
    return Place(name, re.compile(pattern), judge, tuple(hints.split()), behind=before)


def named(name: str, pattern: str, judge: Judge, unless: str = "") -> Place:
    """A row of which each match begins with a name that means a secret; not behind `unless`."""
    never = re.compile(unless) if unless else None
    return Place(name, re.compile(pattern), judge, named=True, unless=never)


BETWEEN = (
    r"""(?:["'\\\])]{0,4}[ \t]{0,3}(?:=>|->|:=|[=:,|]|%3d|(?<=[a-z0-9])[ \t]\(|\t)"""
    r"""[ \t]{0,3}\(?b?["'\\]{0,4})"""
)
"""What stands between a name and its value: in code, JSON, YAML, tables, tuples, prose."""

END = r"""[^\s"'`,;&|<>()\[\]{}\\]"""

UUID = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"

IS = r"""["'\\]{0,4}[ \t]{0,2}[:=][ \t]{0,2}b?["'\\]{0,4}"""
NEXT = r"""["'\\]{0,4}+(?:[,;]\s{0,20}+|\s{1,20}+)["'\\]{0,4}+"""
OTHERS = rf"(?:{NEXT}\w{{1,30}}+{IS}[\w:./ -]{{0,60}}+){{0,3}}?"
"""The members of an object that has a name and a value, in any notation, and what is between."""
