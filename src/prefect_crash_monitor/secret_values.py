"""Judges a value by its shape: whether it looks random, as generated secrets do, or says nothing.

A place tells where a secret may stand; the value tells whether one stands there. Generated secrets
of letters in both cases and digits change from one kind of sign to another at almost every second
sign; words, `CamelCase` names, versions and file names hardly ever do.
"""

from __future__ import annotations

import re
from itertools import pairwise

SHORTEST = 16
"""Letters and digits in a row from which on they are judged by themselves. Below, a name such as
`S3Path2Url` is as mixed as a secret; above, the usual secrets of 16 signs would survive."""

CHANGES = 0.27
"""Changes between kinds of signs for each sign from which on a value is random. Random letters and
digits have 0.45, with a deviation of 0.1 at 16 signs; `CamelCase` names have below 0.2. Of 22,000
long names in a Python environment 32 are taken for random, most of them base64."""

WITHOUT_DIGITS, CHANGES_WITHOUT = 20, 0.35
"""The same for values without a digit, which chance makes rare in long secrets."""

HEX = re.compile(r"(?:[0-9a-f]{20,}|[0-9A-F]{20,})")
UUID = re.compile(r"(?i)[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
PIECE = re.compile(r"[A-Za-z0-9]+")
WORDS = re.compile(r"[A-Za-z]+(?:[ _-][A-Za-z]+)*")
HOST = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,}(?::\d+)?")
NOTHING = re.compile(
    r"(?i)(?:none|null|nil|true|false|yes|no|on|off|undefined|empty|unset|missing|required|redacted"
    r"|hidden|masked|\*+|x{3,}|\.{3}|<[^<>]*>?|\$\{?[\w.:-]*\}?|\$\([^)]*\)?|\{\{?[^{}]*\}?\}?"
    r"|%\(?\w*\)?s?|![\w-]+|[a-z_][\w.]*\(.*\)?|str|bytes|bool|int|secretstr"
    r"|(?:optional|union|literal|list|dict)\[.*|(?:[a-z_]+\.)+[a-z_]+"
    r"|password|passwd|pwd|token|secret|credentials?|api_?key|key)"
)
METAVAR = re.compile(r"(?:[A-Z]+_)*(?:KEY|TOKEN|PASSWORD|PASSWD|SECRET|CREDENTIALS?)(?:_[A-Z]+)*")
PATH = re.compile(r"~?/(?:[\w.-]+/)+[\w.-]+")


def is_random(value: str) -> bool:
    """Whether some run of letters and digits in it was generated, whatever stands around it."""
    return any(_changes_enough(piece) for piece in PIECE.findall(value))


def is_generated(value: str) -> bool:
    """As `is_random`, where a name says that it is a key: there, digits in hex are one, too."""
    return is_random(value) or is_mixed(value) or HEX.search(value.replace("-", "")) is not None


def is_mixed(value: str) -> bool:
    """Whether it is long, of letters in both cases and digits, where a name or a command asks."""
    has = {_kind(sign) for sign in value if sign.isalnum()}
    return len(value) >= 12 and has == {"lower", "upper", "digit"}


def is_secretive(value: str) -> bool:
    """Whether it is no plain word, where a name says that it is a password: `hunter2`, `p@ss`."""
    value = value.strip("\"'`.,;:()[]{}")
    if len(value) < 5 or any(kind.fullmatch(value) for kind in (NOTHING, WORDS, HOST)):
        return False
    return any(sign.isdigit() for sign in value) and any(sign.isalpha() for sign in value)


def says_nothing(value: str) -> bool:
    """Whether it stands for a value that is not there: a placeholder, a call, a path, `YES`."""
    whole = value.strip("\"'` ")
    value = whole.strip("[]()")
    if METAVAR.fullmatch(value) or NOTHING.fullmatch(value) or NOTHING.fullmatch(whole):
        return True
    return PATH.fullmatch(value) is not None and not is_random(value)


SENTENCE = re.compile(r",? [a-z'\"(]")
ADVICE = re.compile(
    r"(?i)(?:must|this|should|cannot|can|is|may|field|not|has|was|were|the|an|too|and|or|value|please)"
)
CODE = re.compile(r"[A-Za-z_][\w.]*")


def value_of_name(found: re.Match[str]) -> str:
    """Takes out the value behind a secret's name, unless it is none or the next word of a sentence.

    "Unexpected token: got NAME" tells no secret; what follows a password is believed to be one.
    """
    name, value, after = found[1], found[0][len(found[1]) :], found.string[found.end() :][:3]
    before = found.string[max(found.start() - 12, 0) : found.start()].lower()
    if says_nothing(value) or before.endswith("unexpected "):
        return found[0]
    if after[:1] in {"(", "["} and CODE.fullmatch(value):
        return found[0]
    is_password = re.search(r"(?i)pass|pwd", name)
    if is_password and (value.isdigit() and len(value) < 4):
        return found[0]  # of tests: pass=10 fail=2
    in_words = value.isalpha() and not is_random(value) and SENTENCE.match(after)
    if in_words and (not is_password or ADVICE.fullmatch(value)):
        return found[0]
    return found.expand(r"\1\2\3***\3")


def value_of_option(found: re.Match[str]) -> str:
    """Takes out what follows an option, unless it only names what should: `--token TOKEN`."""
    value = found[0][len(found[1]) :]
    return found[0] if says_nothing(value) else f"{found[1]}***"


def value_of_pair(found: re.Match[str]) -> str:
    """Takes out the second of two strings, unless both are plain words: `('token', 'expires')`."""
    value = found[0][len(found[1]) :].strip("b\"'")
    plain = value.isalpha() and value.islower() and len(value) < SHORTEST
    return found[0] if plain else found.expand(r"\1\2\3***\3")


def _changes_enough(piece: str) -> bool:
    if len(piece) < SHORTEST or piece.startswith(("0x", "0X")):
        return False
    kinds = [_kind(sign) for sign in piece]
    if not {"lower", "upper"} <= set(kinds):
        return False
    pairs = pairwise(kinds)
    # From an upper to a lower letter is how a word begins.
    changes = sum(a != b and (a, b) != ("upper", "lower") for a, b in pairs) / (len(piece) - 1)
    if "digit" in kinds:
        return changes >= CHANGES
    return len(piece) >= WITHOUT_DIGITS and changes >= CHANGES_WITHOUT


def _kind(sign: str) -> str:
    if sign.isdigit():
        return "digit"
    return "upper" if sign.isupper() else "lower"
