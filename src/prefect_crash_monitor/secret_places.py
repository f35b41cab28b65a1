"""More rows for `redact`: names, documents, headers; and what looks random, anywhere."""

from __future__ import annotations

import re
from dataclasses import dataclass

from prefect_crash_monitor.secret_commands import IN_COMMANDS
from prefect_crash_monitor.secret_patterns import CONFIDENTIAL, NAMES
from prefect_crash_monitor.secret_place import BETWEEN, END, Place, always, place
from prefect_crash_monitor.secret_values import (
    PIECE,
    STARS,
    is_generated,
    is_random,
    is_secretive,
)
from prefect_crash_monitor.secret_vendors import UUID, Vendor, vendors


@dataclass(frozen=True, slots=True)
class Random:
    """Values that look random, without any word that says so."""

    name: str = "random value"

    def apply(self, text: str, _lowered: str) -> str:
        """The text without them: the whole value, but of a path only the part that is random."""
        return LONG.sub(_without_random, text)


LONG = re.compile(r"[A-Za-z0-9+/_=~-]{14,}+")
"""What a value of base64, or of signs that URLs may have, is written with."""


OF_AN_ID = re.compile(
    r"(?i)(?:(?:request|host|trace|span|correlation|event|operation|activity|invocation|query"
    r"|job|run"
    r"|task|message|execution|build|deployment|version)[ _-]?id(?:-2)?|x-amz-id-2|etag|digest"
    r"|checksum|integrity|sha\d{1,3}|ssh-(?:rsa|dss|ed25519))[\"']?[ \t]{0,2}[:=-]?[ \t]{0,2}[\"'"
    r"]?$"
)
"""In front of what is random, but only names something."""


def _without_random(found: re.Match[str]) -> str:
    value = found[0]
    start = found.start()
    if not is_random(value) or OF_AN_ID.search(found.string[max(start - 40, 0) : start]):
        return value
    before = found.string[start - 1 : start]
    if "/" in value and (value.startswith("/") or before in {".", ":", "~", "@"}):
        return PIECE.sub(lambda piece: STARS if is_random(piece[0]) else piece[0], value)
    return STARS


PLACES: tuple[Place, ...] = (
    place(
        "authorization, any scheme",
        r"(?:authorization|x-auth)[\"'\\]{0,4}[ \t]{0,4}[:=,][ \t]{0,4}b?[\"'\\]{0,4}"
        r"(?:(?:[a-z][\w-]{1,40}|\*\*\*)[ \t]{1,4})?(?P<secret>[^\s\"',\\]{8,}+)",
        is_secretive,
        "authorization x-auth",
    ),
    place(
        "digest response",
        r"\b(?:response|cnonce|signature)=[\"']?(?P<secret>[0-9a-f]{32,64})\b",
        always,
        "response= cnonce= signature=",
    ),
    place(
        "one-time code",
        r"\b(?:otp|totp|mfa|2fa|one[ _-]?time|verification)(?:[ _-]?(?:code|password|pin))?"
        r"(?:" + BETWEEN + r"|[ \t]is[ \t:]{1,2})(?P<secret>\d{4,10})\b",
        always,
        "otp mfa 2fa one verification",
    ),
    place(
        "foreign or short name",
        r"(?<![a-z])(?:pw|pwd|kennwort|passwort|contrase[nñ]a|mot_?de_?passe|senha|passin|passout"
        r"|storepass|keypass|passcode)" + BETWEEN + r"(?P<secret>" + END + r"{4,})",
        is_secretive,
        "pw kennwort passwort contrase mot senha pass",
    ),
    place(
        "password in words",
        r"(?:\b|\\[nrt])(?:password|passwd|passphrase|pass|identified"
        r"(?:[ ]with[ ]\w{1,40})?[ ]by)[ \t]{1,3}"
        r"(?:is[ \t]|\()?"
        r"[\"'`]?(?P<secret>" + END + r"{6,})",
        is_secretive,
        "pass identified",
    ),
    place(
        "name that ends in pass",
        r"(?<!com)(?<!by)(?<!tres)(?<!sur)pass(?![a-z])" + BETWEEN + r""
        r"(?P<secret>" + END + r"{5,}+)",
        is_secretive,
        "pass",
    ),
    place(
        "login in base64",
        r"(?<![a-z])auth" + BETWEEN + r"(?P<secret>[a-z0-9+/]{16,}+={0,2})",
        is_secretive,
        "auth",
    ),
    place(
        "password file of PostgreSQL",
        r"(?<!\S)[\w.*-]{1,80}:(?:\d{2,5}|\*):[\w*-]{1,60}:[\w*-]{1,60}:(?P<secret>[^\s:]{4,}+)",
        is_secretive,
        ":",
    ),
    place(
        "licence",
        r"(?:licen[cs]e|serial|product|activation)[ _-]?(?:key|number|code)"
        + BETWEEN
        + r"(?P<secret>[a-z0-9-]{8,}+)",
        is_secretive,
        "license licence serial product activation",
    ),
    place(
        "seed in base32",
        r"\b(?:secret|seed|token)[ \t:=]{1,3}(?P<secret>[a-z2-7]{16,}+)\b",
        str.isupper,
        "secret seed token",
    ),
    place(
        "name, then value",
        r"(?<!\d:)" + CONFIDENTIAL + BETWEEN + r"(?P<secret>" + END + r"{5,}+)",
        is_secretive,
        NAMES,
    ),
    place(
        "value in the next line",
        CONFIDENTIAL + r"[\"']?[ \t]{0,3}[:=][ \t]{0,3}(?:[|>][+-]?|\\)?[ \t]{0,3}\r?\n[ \t]{1,20}"
        r"(?P<secret>[^\s:]{4,}+)(?![ \t]*:)",
        is_secretive,
        NAMES,
    ),
    place(
        "hex value of a key",
        r"(?:appending|api|access|auth|secret|application|app|subscription|functions?|account"
        r"|routing|integration|service|license|licence|fernet|encryption|signing|shared|master"
        r"|admin|client"
        r"|openai|consumer|x|deploy|write|read|ingest|webhook)[ ._-]?(?:[a-z]{1,20}[ ._-]?){0,2}"
        r"(?:key|secret|token)(?: for [\w.-]{1,60})?(?:"
        + BETWEEN
        + r"|:?[ \t]{1,3}(?:[\"']|(?=[0-9a-f]{32}|[0-9a-f]{8}-)))(?P<secret>[\w+/=~.:%-]{16,}+)",
        is_generated,
        "key secret token",
    ),
    place(
        "id that is a token",
        r"(?<![a-z])(?:token|secret|[a-z]{0,20}[ _-]?key|pat)[ \t]{1,3}(?P<secret>" + UUID + ")",
        always,
        "token secret key pat",
    ),
    place(
        "hex value of a session",
        r"(?:sess(?:ion)?(?:[ ._-]?id)?|(?<![a-z])sid|ticket|csrf(?:[ ._-]?token)?|xsrf"
        r"|app_?id)" + BETWEEN + r"(?P<secret>[0-9a-f]{20,}+)",
        is_generated,
        "sess sid ticket csrf xsrf app",
    ),
    place(
        "name in one field, value in another",
        r"(?:name|key|path|id|variable|field|setting|property"
        r"|option)[\"']?[ \t]{0,3}[:=][ \t]{0,3}[\"']?[\w./ -]{0,60}"
        + CONFIDENTIAL
        + r"[\"']?[ \t]{0,3}(?:[,;]|\r?\n|[ \t])[^\n=]{0,60}?[a-z]{0,20}value[\"']?[ \t]{0,3}[:=]"
        r"[ \t]{0,3}[\"']?(?P<secret>[^\s\"',}\]]{4,}+)",
        is_secretive,
        "value",
    ),
    place(
        "token of a package registry",
        r"(?<![a-z])_(?:auth(?:token)?|password)[ \t]{0,3}=[ \t]{0,3}[\"']?"
        r"(?P<secret>[\w+/=.-]{12,}+)",
        always,
        "_auth _password",
    ),
    place(
        "login as a list",
        r"(?:basic|http)?[_-]?(?:auth|credentials?)[\"']?[ ]?[:=][ ]?[\[(][^\[\]()\n,]{1,60},[ ]?"
        r"[\"']?"
        r"(?P<secret>[^\s\"',\])]{4,})",
        is_secretive,
        "auth credential",
    ),
    place(
        "value in one field, name in another",
        r"value[\"'][ ]?:[ ]?[\"'](?P<secret>[^\s\"']{4,200})[\"'],[ ]?[\"'](?:name"
        r"|key)[\"'][ ]?:[ ]?"
        r"[\"'][\w./-]{0,60}" + CONFIDENTIAL + r"[\"']",
        is_secretive,
        "value",
    ),
    place(
        "input of a located field",
        CONFIDENTIAL
        + r"[\"'][\])][^\n]{0,120}?[\"']input[\"'][ ]?:[ ]?[\"'](?P<secret>[^\"'\n]{1,200})",
        always,
        "input",
    ),
    place(
        "recovery code",
        r"(?:recovery|backup)[ _-]?codes?" + BETWEEN + r"(?P<secret>[a-z0-9]{4,6}-[a-z0-9]{4,6})\b",
        always,
        "recovery backup",
    ),
    place(
        "input of a validation",
        CONFIDENTIAL + r"[ \t]{0,3}\r?\n[^\n]{1,200}?input_value=[\"'](?P<secret>[^\"'\n]{1,200})",
        always,
        "input_value",
    ),
    place(
        "key or salt",
        r"(?<![\w.-])(?![\w.-]{0,40}(?:cache|idempot|partition|primary|foreign|sort|dedup|object"
        r"|row|group"
        r"|public|host|surrogate|unique|lookup|index|storage|fingerprint|merge|join|hash_?key|s3"
        r"|event"
        r"|natural|business|series|shard|dist)[\w-]{0,12})"
        r"[\w.-]{0,40}?(?:key(?:[_-]?id)?|salt|pepper|seed)[\"'\]]{0,2}[ \t]{0,3}[:=][ \t]{0,3}b?"
        r"[\"']?"
        r"(?P<secret>(?:0x)?[\w+/-]{20,}+={0,2})",
        is_generated,
        "key salt pepper seed",
    ),
    place(
        "user and password before a host",
        r"(?:(?<=[:/\s\"'])|^)[a-z][\w.+-]{0,60}[:/](?P<secret>[^\s:/@\"'<>]{5,80})@"
        r"(?=/{0,2}[a-z0-9])",
        is_secretive,
        "@",
    ),
    place(
        "xml attribute",
        CONFIDENTIAL + r"[\"']?(?:[ \t]{1,3}value=[\"']|>(?=[^<>\n]{1,200}</))"
        r"(?P<secret>[^\"'<>\n]{1,200})",
        always,
        "value= </",
    ),
    place(
        "ping address",
        r"(?:hc-ping\.com|healthchecks\.io/ping|cronitor\.link/p|uptime\.betterstack\.com/api/v1"
        r"/heartbeat|events\.pagerduty\.com/x-ere|hooks\.zapier\.com|maker\.ifttt\.com/use"
        r"|webhook\.site|hook\.\w+\.make\.com)/(?P<secret>[^\s\"'<>]{6,})",
        always,
        "ping cronitor betterstack pagerduty zapier ifttt webhook make.com",
    ),
)

REST: tuple[Place, ...] = (
    place(
        "rest of a token in parts",
        r"\*\*\*(?:[:.]|[\"'],[ ]?b?[\"'])(?P<secret>[\w+/=-]{20,}+)",
        is_generated,
        "",
    ),
)


def rows() -> tuple[Place | Vendor | Random, ...]:
    """The rows in the order in which they are applied."""
    return (*vendors(), *PLACES, *IN_COMMANDS, Random(), *REST)
