"""Judges a value by its shape: whether it looks random, as generated secrets do, or says nothing.

A place tells where a secret may stand; the value tells whether one stands there. Generated secrets
of letters in both cases and digits change from one kind of sign to another at almost every second
sign; words, `CamelCase` names, versions and file names hardly ever do.
"""

from __future__ import annotations

import re
from itertools import pairwise

STARS = "***"

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
    r"|(?:bearer|basic|token) \{[^{}]*\}|enc\[[^\]]*\]?|change_?me|placeholder|your[_-][\w-]*|dummy"
    r"|(?:bearer|basic|token|digest|apikey) ?"
    r"|raise|return|await|yield|lambda|assert"
    r"|password|passwd|pwd?|token|secret|credentials?|api_?key|key)"
)
METAVAR = re.compile(
    r"(?:[A-Z]+_)*(?:KEY|TOKEN|PASSWORD|PASSWD|SECRET|CREDENTIALS?)(?:_[A-Z]+)*"
    r"|TEXT|STR(?:ING)?|VALUE|FILE(?:NAME)?|PATH|NAME|INT(?:EGER)?"
)
PATH = re.compile(r"~?/(?:[\w.-]+/)+[\w.-]+")


def is_random(value: str) -> bool:
    """Whether some run of letters and digits in it was generated, whatever stands around it."""
    return any(
        _changes_enough(piece) or _is_base32(piece)
        for piece in PIECE.findall(value)
        if len(piece) >= SHORTEST
    )


BASE32, BASE32_LENGTH = re.compile(r"[a-z2-7]+"), 52
"""How Azure DevOps writes 260 random bits; nobody else writes in lower case at this length."""


def _is_base32(piece: str) -> bool:
    return len(piece) == BASE32_LENGTH and not piece.isalpha() and bool(BASE32.fullmatch(piece))


def is_generated(value: str) -> bool:
    """As `is_random`, where a name says that it is a key: there, digits in hex are one, too."""
    if is_random(value) or is_mixed(value) or HEX.search(value.replace("-", "")):
        return True
    return any(is_jumbled(piece) or _is_lower(piece) for piece in PIECE.findall(value))


LOWER, LOWER_CHANGES = 20, 0.25


def _is_lower(piece: str) -> bool:
    """Whether letters of one case and digits take turns at random: `4y46gg3sn48eaywfqiuf`."""
    if len(piece) < LOWER or not (piece.islower() or piece.isupper()) or piece.isalpha():
        return False
    changes = sum(a.isdigit() != b.isdigit() for a, b in pairwise(piece))
    return changes / (len(piece) - 1) >= LOWER_CHANGES


def is_mixed(value: str) -> bool:
    """Whether it is long, of letters in both cases and digits, where a name or a command asks."""
    has = {_kind(sign) for sign in value if sign.isalnum()}
    return len(value) >= 12 and has == {"lower", "upper", "digit"}


def is_secretive(value: str) -> bool:
    """Whether it is no plain word, where a name says that it is a password: `hunter2`, `p@ss`."""
    value = value.strip("\"'`.,;:()[]{}")
    if is_jumbled(value):
        return True
    if len(value) < 5 or any(kind.fullmatch(value) for kind in (NOTHING, WORDS, HOST)):
        return False
    if not any(sign.isalpha() for sign in value):
        return False
    if any(sign.isdigit() for sign in value):
        return True
    return len(value) <= LONGEST_PASSWORD and MARKED.fullmatch(value) is not None


LONGEST_PASSWORD = 128
MARKED = re.compile(r"(?=.*[a-z])(?=.*[A-Z])[A-Za-z].*[!#%^*&].*[A-Za-z]")
"""As people make passwords of words that must have a special sign."""

JUMBLED, JUMBLED_RISES, JUMBLED_LONG = 10, 0.25, 0.18
"""Letters, and rises from lower to upper case for each; fewer where capitals also stand together,
as in 16 letters at random. A name of short words, `makeDataFlowTaskRun`, has 0.22."""


def is_jumbled(value: str) -> bool:
    """Whether its letters are in both cases, in no order: `xHgRwFSUVb`, but not `CamelCase`."""
    if len(value) < JUMBLED or not value.isalpha():
        return False
    pairs = list(pairwise(value))
    rises = sum(a.islower() and b.isupper() for a, b in pairs) / len(pairs)
    together = sum(a.isupper() and b.isupper() for a, b in pairs)
    is_long = len(value) >= SHORTEST and together >= 2
    return rises >= (JUMBLED_LONG if is_long else JUMBLED_RISES)


STRING_PREFIX = re.compile(r"^[bruf]{1,2}(?=[\"'])")


def says_nothing(value: str) -> bool:
    """Whether it stands for a value that is not there: a placeholder, a call, a path, `YES`."""
    whole = STRING_PREFIX.sub("", value).strip("\"'` ")
    value = whole.strip("[]()")
    if METAVAR.fullmatch(value) or NOTHING.fullmatch(value) or NOTHING.fullmatch(whole):
        return True
    return PATH.fullmatch(value) is not None and not is_random(value)


SENTENCE = re.compile(r",? [a-z'\"(]")
ADVICE = re.compile(
    r"(?i)(?:must|this|should|cannot|can|is|may|field|not|has|was|were|the|an|too|and|or|value|please|user)"
)
CODE = re.compile(r"[A-Za-z_][\w.]*")
COMPLAINING = frozenset(
    {"is", "be", "not", "must", "may", "field", "required", "invalid", "value", "too", "should"}
    | {"cannot", "expected", "allowed", "missing", "blank", "match"}
)
COMPLAINT_PARTS = re.compile(r"[\"'\[\](),;]+ ?")
COMPLAINT_WORD = re.compile(r"[a-z0-9'.-]+")


def is_complaint(value: str) -> bool:
    """Whether a validation says it of a field, alone or in a list: `["This field is required."]`.

    Else it may be a passphrase of words.
    """
    parts = [part.lower().split() for part in COMPLAINT_PARTS.split(value) if part.strip()]
    return bool(parts) and all(
        len(words) > 1
        and not COMPLAINING.isdisjoint(word.strip(".") for word in words)
        and all(COMPLAINT_WORD.fullmatch(word) for word in words)
        for words in parts
    )


NAMES_ALONE = re.compile(r"[\[(][a-z_]+(?:\.[a-z_]+)*(?:, [a-z_]+(?:\.[a-z_]+)*)*[\])]?")
"""Variables of source: `(self.user, self.password)`; or one word of a prompt: `(current)`."""
LACKING = re.compile(r"(?:missing|required|unset|unknown)[ a-z]{0,3}$")
OF_AN_ARN = re.compile(r"\d{4}:$")


def value_of_name(found: re.Match[str]) -> str:
    """Takes out the value behind a secret's name, unless it is none or the next word of a sentence.

    "Unexpected token: got NAME" tells no secret; what follows a password is believed to be one.
    """
    name, value, after = found[1], found[0][len(found[1]) :], found.string[found.end() :][:3]
    before = found.string[max(found.start() - 12, 0) : found.start()].lower()
    if says_nothing(value) or before.endswith("unexpected ") or OF_AN_ARN.search(before):
        return found[0]
    bare = value.strip("\"'` ,;")
    if not any(sign.isalnum() for sign in bare) or name.strip(" =:\"'").lower().endswith(
        bare.lower()
    ):
        return found[0]
    if LACKING.search(before) and not any(sign.isdigit() for sign in bare):
        return found[0]
    if is_complaint(value) or NAMES_ALONE.fullmatch(value):
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


def password_of_url(found: re.Match[str]) -> str:
    """Takes out the password of a URL, unless it is a template or a mask: `://{user}:{password}@`."""
    return found[0] if says_nothing(found[2]) else f"{found[1]}***@"


def password_of_user(found: re.Match[str]) -> str:
    """Takes out the password behind `user:`, unless it is a variable: `-u $USER:$PASS`."""
    return (
        found[0]
        if says_nothing(found[2].rstrip("}") + "}" * ("{" in found[2]))
        else f"{found[1]}***"
    )


PLACEHOLDERS = re.compile(
    r"(?:(?:%s|\?|[:$@]\w+|%\(\w+\)s|default|null)(?:,\s*|$))+", re.IGNORECASE
)


def row_of_sql(found: re.Match[str]) -> str:
    """Takes out the values of a row that has a secret, unless they are placeholders."""
    return found[0] if PLACEHOLDERS.fullmatch(found[2]) else f"{found[1]}(***)"


def value_of_option(found: re.Match[str]) -> str:
    """Takes out what follows an option, unless it only names what should: `--token TOKEN`."""
    value = found[0][len(found[1]) :]
    if re.search(r"(?i)secret[_-]id[ \t=]", found[1]) and not is_generated(value):
        return found[0]  # a vault's is random; a secrets manager's is a name
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
