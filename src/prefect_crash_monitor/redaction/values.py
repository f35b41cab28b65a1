"""Judges a value by its shape: whether it looks random, as generated secrets do, or says nothing.

A place tells where a secret may stand; the value tells whether one stands there. Generated secrets
of letters in both cases and digits change from one kind of sign to another at almost every second
sign; words, `CamelCase` names, versions and file names hardly ever do.
"""

from __future__ import annotations

import re
from itertools import pairwise

STARS, LONGEST = "***", 300
"""What stands for a secret; and characters of a value that are judged."""

TOKENS = re.compile(
    r"[a-z2-7]{52}"  # of Azure DevOps
    r"|(?:pat(?:-[a-z]{2}\d)?|sdk|mob|api|rel|hrku|key|tok|token|secret)-"
    r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
    r"|[0-9a-f]{32}-[0-9a-f]{8}-[0-9a-f]{8}|11[0-9a-f]{32}"  # of Mailgun, of Jenkins
)
"""Whole runs of signs that are tokens, though no part of them looks random."""

WITHOUT_CAPITALS = 32
"""The least length of small letters and digits, beyond those of hex, that are believed random."""

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
LONG_PIECE = re.compile(r"[A-Za-z0-9]{16,}+")
ADDRESS = re.compile(r"(?i)[a-z][a-z0-9+.-]{1,20}://[^\s@]*")
WORDS = re.compile(r"[A-Za-z]+(?:[ _-][A-Za-z]+)*")
HOST = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,}(?::\d+)?")
NOTHING = re.compile(
    r"(?i)(?:none|null|nil|true|false|yes|no|on|off|undefined|empty|unset|missing|required|redacted"
    r"|hidden|masked|filtered|removed|omitted|scrubbed|pass|\*+|x{3,}|\.{3}|<[^<>]*>?|\$\{?[\w.:-]*\}?|\$\([^)]*\)?|\{\{?[^{}]*\}?\}?"
    r"|%\(?\w*\)?s?|![\w-]+|[a-z_][\w.]*\(.*\)?|str|bytes|bool|int|secretstr"
    r"|(?:optional|union|literal|list|dict)\[.*|(?:[a-z_]+\.)+[a-z_]+|arn:.*|\([a-z_., ]*\)"
    r"|(?:[a-z]+_)*(?:password|passwd|pwd|token|secret|credentials?|creds|api_?key|key|auth)"
    r"|bearer|basic|string|securestring|enc\[[^\]]*\]?|change_?me|placeholder|your[_-][\w-]*|pw"
    r"|passphrase|[\w-]*\.{3}[\w-]*)"
)
BEFORE_NOTHING = re.compile(
    r"(?i)(?:[bruf]{1,2}(?=[\"']))?[\"']*(?:(?:bearer|basic|token|apikey) )?"
)
"""Signs of a string in source, and the scheme of a header, in front of what may say nothing."""
WORD_OF_A_MESSAGE = (
    "is|are|was|be|not|no|must|may|should|cannot|field|required|valid|invalid|blank|empty|null"
    "|too|shorter|longer|minimum|maximum|length|data|least|most|expired|missing|provided|contain|contains|has|have|does|do|ensure|exceed"
)
MESSAGE = re.compile(
    rf"(?i)\W{{0,4}}(?=(?:[a-z]+\W{{1,4}}){{0,8}}(?:{WORD_OF_A_MESSAGE})\b)[a-z]+"
    r"(?:[ ,.:;()'\"-]{1,6}(?:[a-z]+|\d{1,4}))+\W{0,4}"
)
"""What is wrong with a value, as those say it who validate: "This field is required."."""
METAVAR = re.compile(
    r"(?:[A-Z]+_)*(?:TEXT|STRING|VALUE|KEY|TOKEN|PASSWORD|PASSWD|SECRET|CREDENTIALS?)(?:_[A-Z]+)*"
)
PATH = re.compile(r"~?/(?:[\w.-]+/)+[\w.-]+")


def is_random(value: str) -> bool:
    """Whether some run of letters and digits in it was generated, whatever stands around it."""
    return any(_changes_enough(piece) for piece in LONG_PIECE.findall(value))


def is_generated(value: str) -> bool:
    """As `is_random`, where a name says that it is a key: there, digits in hex are one, too."""
    if is_random(value) or is_mixed(value) or HEX.search(value.replace("-", "")):
        return True
    return _is_cased(value) or any(_is_jumbled(piece, SHORTEST) for piece in PIECE.findall(value))


def is_token(value: str) -> bool:
    """As `is_random`, and what has the shape of a whole token."""
    pieces = LONG_PIECE.findall(value)
    return (
        any(_changes_enough(piece) or _is_jumbled(piece, WITHOUT_CAPITALS) for piece in pieces)
        or TOKENS.fullmatch(value.lower()) is not None
    )


def is_password(value: str) -> bool:
    """As `is_secretive`, and long letters in both cases."""
    return is_secretive(value) or (len(value) >= SHORTEST and is_random(value)) or _is_cased(value)


def _is_cased(value: str) -> bool:
    """Whether it is of letters in both cases, as no words are written."""
    value = value.rstrip("=")
    rises = sum(a.islower() and b.isupper() for a, b in pairwise(value)) / max(len(value), 1)
    return (
        len(value) >= SHORTEST and value.isalpha() and (rises >= 0.2 or bool(CASES.search(value)))
    )


CASES = re.compile(r"[a-z][A-Z]+[a-z]+[A-Z]{2,}[a-z]|[A-Z]{2}[a-z]+[A-Z]{2}")


def _is_jumbled(piece: str, shortest: int) -> bool:
    """Whether it is of small letters and digits, changes between them often, and is no hex."""
    if len(piece) < shortest or not piece.isalnum() or piece != piece.lower():
        return False
    digits = [sign.isdigit() for sign in piece]
    changes = sum(a != b for a, b in pairwise(digits)) / len(piece)
    return changes >= CHANGES and sum("f" < sign <= "z" for sign in piece) >= 3


def is_mixed(value: str) -> bool:
    """Whether it is long, of letters in both cases and digits, where a name or a command asks."""
    has = {_kind(sign) for sign in value if sign.isalnum()}
    return len(value) >= 12 and has == {"lower", "upper", "digit"}


def is_secretive(value: str) -> bool:
    """Whether it is no plain word, where a name says that it is a password: `hunter2`, `p@ss`."""
    value = value.strip("\"'`.,;:()[]{}")
    if _is_cased(value):
        return True
    if len(value) < 5 or any(kind.fullmatch(value) for kind in (NOTHING, WORDS, HOST, ADDRESS)):
        return False
    if not any(sign.isalpha() for sign in value):
        return False
    return any(sign.isdigit() for sign in value) or MARKED.fullmatch(value[:100]) is not None


MARKED = re.compile(r"(?=.*[a-z])(?=.*[A-Z])[A-Za-z].*[!#%^*&].*[A-Za-z]")
"""As people make passwords of words that must have a special sign."""


def says_nothing(value: str) -> bool:
    """Whether it stands for a value that is not there: a placeholder, a call, a path, `YES`."""
    if value.startswith(('f"', "f'")) and "{" in value:  # a line of source
        return not is_secretive(TEMPLATE.sub("", value[1:]))
    value = value[BEFORE_NOTHING.match(value).end() :]  # type: ignore[union-attr]
    whole = value.strip("\"'` ")
    value = whole.strip("[]()")
    if not any(sign.isalnum() for sign in value) or MESSAGE.fullmatch(whole):
        return True
    if METAVAR.fullmatch(value) or NOTHING.fullmatch(value) or NOTHING.fullmatch(whole):
        return True
    return PATH.fullmatch(value) is not None and not is_random(value)


TEMPLATE = re.compile(r"\{[^{}]*\}")
SENTENCE = re.compile(r",? [a-z'\"(]")
ADVICE = re.compile(
    r"(?i)(?:must|this|should|cannot|can|is|may|field|not|has|was|were|the|an|too|and|or|value|please"
    r"|can't|isn't|doesn't|authentication|incorrect|wrong|expired|changed|updated|user)"
)
CODE = re.compile(r"[A-Za-z_][\w.]*")
KEYWORDS = re.compile(r"await|raise|return|yield|not|lambda|if|else|new|continue|break|pass")
ABSENT = re.compile(
    r"(?i)(?:missing|unknown|required|undefined|unset|unresolved|no such) (?:\w+ )?$"
)


VERSION_OF, RELEASE = re.compile(r"[=~]=$"), re.compile(r"\d+(?:\.\d+)+\w*")
"""A requirement, `azure-keyvault-secrets==4.9.0`."""

OF_AN_ARN = re.compile(r"\d{4}:$")


def value_of_name(found: re.Match[str]) -> str:
    """Takes out the value behind a secret's name, unless it is none or the next word of a sentence.

    "Unexpected token: got NAME" tells no secret; what follows a password is believed to be one.
    """
    name, value, end = found[1], found[0][len(found[1]) :], found.end()
    after = found.string[end : end + 3]
    before = found.string[max(found.start() - 30, 0) : found.start()]
    if says_nothing(value) or before.lower().endswith("unexpected "):
        return found[0]
    if (VERSION_OF.search(name) and RELEASE.fullmatch(value)) or OF_AN_ARN.search(before):
        return found[0]
    if value.isalpha() and not is_random(value) and re.search(r"(?i)id\W*$", name):
        return found[0]
    if KEYWORDS.fullmatch(value) and after[:1] in {" ", "\n", ""}:
        return found[0]
    if ABSENT.search(before) and CODE.fullmatch(value) and not is_secretive(value):
        return found[0]
    if after[:1] in {"(", "["} and CODE.fullmatch(value):
        return found[0]
    is_password = re.search(r"(?i)pass|pwd", name)
    if is_password and (value.isdigit() and len(value) < 4):
        return found[0]  # of tests: pass=10 fail=2
    in_words = value.replace("'", "").isalpha() and not is_random(value) and SENTENCE.match(after)
    if in_words and (not is_password or ADVICE.fullmatch(value)):
        return found[0]
    return found.expand(r"\1\2\3***\3")


def value_of_option(found: re.Match[str]) -> str:
    """Takes out what follows an option, unless it only names what should: `--token TOKEN`."""
    value = found[0][len(found[1]) :]
    if re.search(r"(?i)secret[_-]id[ \t=]", found[1]) and not is_generated(value):
        return found[0]  # a vault's is random; a secrets manager's is a name
    return found[0] if says_nothing(value) else f"{found[1]}***"


PLACEHOLDERS = re.compile(r"(?i)(?:(?:%s|\?|[:$@]\w+|%\(\w+\)s|default|null)(?:,\s*|$))+")


def row_of_sql(found: re.Match[str]) -> str:
    """Takes out the values of a row that has a secret, unless they are placeholders."""
    return found[0] if PLACEHOLDERS.fullmatch(found[2]) else f"{found[1]}(***)"


def value_in_quotes(found: re.Match[str]) -> str:
    """Takes out what stands in quotes right behind a name."""
    value = found[0][len(found[1]) :]
    return found[0] if says_nothing(value) else found.expand(r"\1\2\3***\3")


def value_of_url(found: re.Match[str]) -> str:
    """Takes out the password of a URL, unless it is a template or a mask: `{password}`, `****`."""
    value = found[0][len(found[1]) :].rstrip("@")
    return found[0] if says_nothing(value) else f"{found[1]}***@"


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
