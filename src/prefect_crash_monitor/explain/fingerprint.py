"""Fingerprints: which crashes are the same crash again, told by cause and message.

What differs from run to run (ids, times, paths, addresses, amounts) is taken out of the message
by an ordered table. The deployment is no part of it: one missing image on 200 deployments is one
fingerprint. A fingerprint is part of an incident's identity, so a change to the table that
changes what comes out is a new `VERSION`, never an edit.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache

from prefect_crash_monitor.redaction.redact import redact

VERSION = "v1"

READ, KEPT = 4_000, 500
"""Characters looked at, and characters left: what tells crashes apart stands at the beginning."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One row: a part of messages that varies, and what stands for it; None where it stays.

    A row that stays shields what it finds from the rows below.
    """

    name: str
    pattern: str
    placeholder: str | None


START, END = r"(?<![0-9A-Za-z])", r"(?![0-9A-Za-z])"
"""A boundary that an underscore does not hide: `load_2026-11-24.csv`."""

MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}"
KINDS = (
    *("flow run", "Flow run", "task run", "Task run", "subflow", "worker", "Worker", "pod", "Pod"),
    *("pods", "job", "jobs.batch", "node", "nodes", "deployment", "Deployment"),
)
NAMED = "|".join(rf"(?<=\b{re.escape(kind)} .)" for kind in KINDS)
"""What is named right before a quote that has just been read."""

POD_LETTER = "[bcdfghjklmnpqrstvwxz2456789]"
"""What Kubernetes makes random names of: no vowels, so that no words come out."""

TABLE: tuple[Variable, ...] = (
    # What an error is known by stays, also where it is a number.
    Variable(
        "exit_code",
        r"(?i:(?:exit(?:ed)?|status|return|error|errno|signal|http|code)(?: with)?"
        r"(?:[ _-]?(?:status|code|number))?(?:/[\d.]{1,4})?[ :=\[(#]{1,3})-?\d{1,5}(?!\.?\d)",
        None,
    ),
    Variable("http_status", r"(?<![\w.-])[1-5]\d\d(?= [A-Z][a-z]{2})", None),
    Variable("error_number", r"(?<![\w-])[A-Z]{2,8}-\d{3,6}(?![\w-])", None),  # ORA-01017
    Variable("sql_state", r"SQLSTATE\W{0,2}\w{5}", None),
    # Whatever names one thing.
    Variable("url", r"[A-Za-z][\w+.-]{1,20}://[^\s\"'<>]++", "<url>"),
    Variable("email", START + r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}", "<email>"),
    Variable(
        "uuid", START + r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}" + END, "<uuid>"
    ),
    Variable("quoted_name", rf"""["'](?:{NAMED})[^"'\n]{{1,200}}["']""", "<name>"),
    Variable(
        "pod_name",
        rf"(?<![\w.-])[a-z](?:[a-z0-9]{{0,40}}-){{1,12}}?{POD_LETTER}{{5}}"
        rf"(?:-{POD_LETTER}{{5}})?(?![\w-])|-[0-9a-f]{{8,10}}-{POD_LETTER}{{5}}(?![\w-])",
        "<name>",
    ),
    Variable("address", r"0x[0-9a-fA-F]{4,}", "<address>"),
    # Times before numbers, which they are made of.
    Variable(
        "time",
        START + r"(?:\d{4}-\d\d-\d\d(?:[T ]\d\d[:-]?\d\d(?:[:-]?\d\d(?:[.,]\d{1,9})?)?"
        r"(?: ?(?:Z|UTC|GMT|[+-]\d\d[:-]?\d\d))?)?"
        r"|\d{8}T\d{4,6}Z?|\d{1,2}/\d{1,2}/\d{4}|\d{1,2}:\d\d:\d\d(?:[.,]\d{1,9})?"
        rf"|(?:\d{{1,2}} )?{MONTH} \d{{1,4}}(?:,? \d{{4}})?(?: \d\d:\d\d(?::\d\d)?)?(?: \d{{4}})?)"
        + END,
        "<time>",
    ),
    Variable(
        "duration",
        r"(?<![\w.])\d{1,12}(?:\.\d{1,9})? ?"
        r"(?:ns|us|µs|ms|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)(?![\w/])",
        "<duration>",
    ),
    Variable(
        "size",
        r"(?<![\w.])\d{1,20}(?:\.\d{1,9})? ?(?:[kKMGTP]i?(?:B|b)?|[bB]ytes?|B|%)(?![\w])",
        "<size>",
    ),
    # Places.
    Variable(
        "quoted_path", r"""(?<=["'])(?:~?/|\.{1,2}/|[A-Za-z]:\\)[^"'\n]{1,500}+(?=["'])""", "<path>"
    ),
    Variable("path", r"(?<![\w/.>-])(?:~|\.{1,2})?/[^\s\"'<>:,;()\[\]|]++", "<path>"),
    Variable("windows_path", r"(?<!\w)[A-Za-z]:\\[^\s\"'<>:,;()\[\]|]++", "<path>"),
    Variable(
        "relative_path",
        r"(?<![\w/.-])(?:[\w.-]{1,100}+/){1,20}[\w-]{1,100}\.[a-z]{1,5}(?!\w)",
        "<path>",
    ),
    Variable("ip", r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?::\d{1,5})?(?![\w.]\d)", "<host>"),
    Variable(
        "ipv6",
        r"(?<![\w:])\[?(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{1,4}\]?(?::\d{1,5})?(?![\w:])",
        "<host>",
    ),
    Variable(
        "host",
        r"(?<![\w.-])(?:localhost|(?:[A-Za-z0-9-]{1,63}\.){1,8}"
        r"(?:com|net|org|io|dev|cloud|local|internal|svc|lan))(?![\w.-])(?::\d{1,5})?",
        "<host>",
    ),
    Variable(
        "host_and_port",
        r"(?<![\w.-])(?:[A-Za-z0-9-]{1,63}\.){0,8}[a-z][a-z0-9-]{1,62}:\d{4,5}(?!\w)",
        "<host>",
    ),
    # Ids and amounts of all other kinds.
    Variable(
        "hex",
        START + r"(?=[0-9a-fA-F]{0,15}\d)(?=\d{0,15}[a-fA-F])(?:[0-9a-f]{7,}|[0-9A-F]{7,})" + END,
        "<hex>",
    ),
    Variable("count", r"(?<![\w.])\d{1,9} sub-exceptions?", "<n> sub-exceptions"),
    Variable(
        "number",
        r"(?<![\w.])[-+]?\d+(?:[.,_]\d+)*(?:[eE][-+]?\d{1,4})?(?!\w)|(?<=[_-])\d+|\d{5,}",
        "<n>",
    ),
)

PATTERN = re.compile("|".join(rf"(?P<{row.name}>{row.pattern})" for row in TABLE))
PLACEHOLDERS = {row.name: row.placeholder for row in TABLE}


def fingerprint(cause: str, message: str) -> str:
    """What crashes of one cause and one kind of message share: `v1-` and 10 hex digits."""
    text = f"{cause}\x1f{normalise(message)}"
    return f"{VERSION}-{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:10]}"


def normalise(message: str) -> str:
    """The message without secrets and without what varies from run to run, on one line."""
    return _normalised(message[:READ])


@lru_cache(maxsize=1_000)
def _normalised(message: str) -> str:
    """Remembered, since thousands of crashes have the same message."""
    line = " ".join(redact(message).split())
    kept, length, end = [], 0, 0
    for match in PATTERN.finditer(line):
        kept += [line[end : match.start()], _placeholder(match)]
        length, end = length + len(kept[-2]) + len(kept[-1]), match.end()
        if length >= KEPT:  # what comes after is not kept, so not looked at
            break
    return "".join([*kept, line[end:]])[:KEPT].rstrip()


def _placeholder(match: re.Match[str]) -> str:
    placeholder = PLACEHOLDERS[match.lastgroup or ""]
    return match[0] if placeholder is None else placeholder
