"""A text as the rows of `redact` look at it: where names begin, and its long runs. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

STEMS = re.compile(
    r"p(?=ass|w|rivate|epper)|s(?=ecret|igning|sh[_-]?key|alt|enha)|t(?=oken)|r(?=efresh[_-]?tok)"
    r"|a(?=uth|pi[_-]?(?:key|tok)|ccess[_-]?(?:key|tok)|ccount[_-]?key)|e(?=ncryption)|m(?=aster|ot_?de)"
    r"|c(?=redential|ookie|lient-key|ontrase|onn(?:ection)?[_-]?str)|d(?=sn|ockerconfig)|w(?=ebhook[_-]?url)"
    r"|j(?=wt)|k(?=ey|ennwort)"
)
"""How the names begin that mean a secret, in small letters; and those that end in `key`, `salt`."""


TRIED = 10
"""Times the length of a text that what turns out to be no secret may be looked at again."""

RUNS = re.compile(r"[a-z0-9_.:=/+~-]{12,}+")


class Looked:
    """A text, and what many rows ask of it, found once."""

    __slots__ = ("_runs", "_stems", "lowered", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        lowered = text.lower()
        if len(lowered) != len(text):  # by letters whose small form is two
            lowered = "".join(sign.lower() if len(sign.lower()) == 1 else sign for sign in text)
        self.lowered = lowered
        self._stems: list[int] | None = None
        self._runs: str | None = None

    def runs(self) -> str:
        """The long runs of signs that tokens are written with, but for names of source files."""
        if self._runs is None:
            runs = RUNS.findall(self.lowered)
            self._runs = " ".join(run for run in runs if not run.endswith(".py"))
        return self._runs

    def stems(self) -> list[int]:
        """Where a name begins that may mean a secret."""
        if self._stems is None:
            self._stems = [found.start() for found in STEMS.finditer(self.lowered)]
        return self._stems

    def named(self, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
        """Matches of a pattern that begins with a name, in the text in small letters."""
        for start in self.stems():
            if (found := pattern.match(self.lowered, start)) is not None:
                yield found

    def without(self, named: re.Pattern[str], judge: Callable[[re.Match[str]], str]) -> str:
        """The text with what the judge makes of each match of a pattern that begins with a name.

        Twenty times faster than to search for such a pattern.
        """
        parts, end, tried_until, tried = [], 0, 0, 0
        for start in self.stems():
            found = named.match(self.text, start) if start >= max(end, tried_until) else None
            if found is None:
                continue
            if (left := judge(found)) != found[0]:
                parts += [self.text[end:start], left]
                end = found.end()
            # Names within what is no secret are tried, too, until that has cost enough.
            elif (tried := tried + len(found[0])) > TRIED * len(self.text):
                tried_until = found.end()
        return "".join([*parts, self.text[end:]]) if parts else self.text
