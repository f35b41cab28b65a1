"""More rows for `redact`, each of which asks what stands at a place before it takes it out.

The last ones take out values that look random, wherever they stand, and what is left of a token.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from prefect_crash_monitor.redaction.calls import IN_CALLS
from prefect_crash_monitor.redaction.judged_row import (
    BETWEEN,
    END,
    IS,
    NEXT,
    OTHERS,
    UUID,
    Place,
    always,
    named,
    place,
)
from prefect_crash_monitor.redaction.patterns import CONFIDENTIAL
from prefect_crash_monitor.redaction.text import Looked
from prefect_crash_monitor.redaction.values import (
    PIECE,
    STARS,
    is_generated,
    is_password,
    is_random,
    is_secretive,
    is_token,
)
from prefect_crash_monitor.redaction.vendors import COMMANDS, Vendor, vendors


@dataclass(frozen=True, slots=True)
class Random:
    """Values that look random, without any word that says so."""

    name: str = "random value"

    def apply(self, looked: Looked) -> str:
        """The text without them: the whole value, but of a path only the part that is random."""
        return LONG.sub(_without_random, looked.text)


LONG = re.compile(r"[A-Za-z0-9+/_=~-]{14,}+")
"""What a value of base64, or of signs that URLs may have, is written with."""


OF_AN_ID = re.compile(
    r"(?i)(?:(?:request|host|trace|span|correlation|event|operation|activity|invocation|query|job|run"
    r"|task|message|execution|build|deployment|version)[ _-]?id(?:-2)?|x-amz-id-2|etag|digest"
    r"|checksum|integrity|sha\d{1,3}|ssh-(?:rsa|dss|ed25519)"
    r"|(?:page|pagination|next|continuation|sync|after)[ _-]?token"
    r"|cursor)[\"']?[ \t]{0,2}[:=-]?[ \t]{0,2}[\"']?$"
)
"""In front of what is random, but only names something."""


def _without_random(found: re.Match[str]) -> str:
    value = found[0]
    start = found.start()
    name, is_pair, rest = value.rstrip("=").rpartition("=")
    if is_pair and rest and not is_token(name):
        if not is_token(rest) or OF_AN_ID.search(found.string[max(start - 40, 0) : start] + name):
            return value
        return f"{name}={STARS}"
    if not is_token(value) or OF_AN_ID.search(found.string[max(start - 40, 0) : start]):
        return value
    before = found.string[start - 1 : start]
    if "/" in value and (value.startswith("/") or before in {".", ":", "~", "@"}):
        return PIECE.sub(lambda piece: STARS if is_random(piece[0]) else piece[0], value)
    return STARS if is_random(value) or "/" not in value else value


NAME_OF_NONE = (
    r"(?:cache|partition|sort|primary|public|idempotency|dedup\w*|block|row|group|foreign|unique"
    r"|build|storage|object|hash|shard|bucket|file|surrogate|natural|business|host|route|index"
    r"|translation|issue|event|page|pagination|next|continuation|sync|resume|after|lock|queue|task|run|job|image"
    r"|cursor|s3|redis|map|join|order|composite)[ ._-]?$"
    r"|(?:^|[^a-z0-9_.-])(?<!api )(?<!access )(?<!auth )(?<!license )(?<!secret )(?<!ing )$"
)
"""In front of a key that opens nothing; and nothing at all."""

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
        r"(?:" + BETWEEN + r"|(?<=code) |[ \t]is[ \t:]{1,2})(?P<secret>\d{4,10})\b",
        always,
        "otp mfa 2fa one-time one_time onetime verification",
    ),
    place(
        "recovery code",
        r"\b(?:recovery|backup|device|user|activation)[ _-]?codes?" + BETWEEN + r"(?P<secret>"
        r"[a-z0-9]{4,}(?:-[a-z0-9]{4,}){1,5})",
        is_secretive,
        "code",
    ),
    named(
        "foreign or short name",
        r"(?<![a-z])(?:pw|pwd|kennwort|passwort|contrase[nñ]a|mot_?de_?passe|senha|passin|passout"
        r"|passcode)" + BETWEEN + r"(?P<secret>" + END + r"{4,})",
        is_secretive,
    ),
    named(
        "password in words",
        r"(?:\b|(?<=\\n))(?:password|passwd|passphrase|pass)(?:[ ]for[ ][\w.@'-]{1,60}:)?"
        r"[ \t]{1,3}(?:is[ \t]|\()?[\"'`]?(?P<secret>" + END + r"{6,})",
        is_secretive,
    ),
    named(
        "name that ends in pass",
        r"(?<!com)(?<!by)(?<!tres)(?<!sur)(?<!over)(?<!under)(?<!im)pass(?![a-z])"
        + BETWEEN
        + r"(?P<secret>"
        + END
        + r"{5,2000}+)",
        is_secretive,
    ),
    named(
        "login in base64",
        r"(?<![a-z])auth" + BETWEEN + r"(?P<secret>[a-z0-9+/]{16,}+={0,2})",
        is_password,
    ),
    place(
        "password file of PostgreSQL",
        r":(?:\d{2,5}|\*):[\w*-]{1,60}:[\w*-]{1,60}:(?P<secret>[^\s:]{4,}+)",
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
        r"(?:secret|seed|token)[ \t:=]{1,3}(?P<secret>[a-z2-7]{16,}+)\b",
        str.isupper,
        "secret seed token",
    ),
    place(
        "name and value",
        rf"(?:name|key|variable|field|option|header|parameter|setting|path|id){IS}[\w./-]{{0,60}}?"
        + CONFIDENTIAL
        + rf"{OTHERS}{NEXT}[\w-]{{0,20}}value{IS}(?P<secret>[^\s\"',;}}\]\\]{{3,2000}}+)",
        is_secretive,
        "value",
    ),
    named(
        "name, then value",
        CONFIDENTIAL + BETWEEN + r"(?P<secret>" + END + r"{5,2000}+)",
        is_secretive,
    ),
    named(
        "value in the next line",
        CONFIDENTIAL + r"[\"']?[ \t]{0,3}[:=][ \t]{0,3}(?:[|>][+-]?|\\)?[ \t]{0,3}\r?\n[ \t]{1,20}"
        r"(?P<secret>[^\s:]{4,}+)(?![ \t]*:)",
        is_secretive,
    ),
    named(
        "hex value of a key",
        r"(?:key|secret|token|salt|pepper)(?:auth)?(?: for [\w.-]{1,60})?(?:"
        + BETWEEN
        + r"|:?[ \t]{1,3}[\"'])(?P<secret>[\w+/~.%-]{16,2000}+={0,3})",
        is_generated,
        NAME_OF_NONE,
    ),
    named(
        "key in words",
        rf"key:?[ \t]{{1,2}}[\"']?(?P<secret>{UUID}|[0-9a-f]{{32,64}}\b)",
        always,
        NAME_OF_NONE,
    ),
    named(
        "hex value of a secret",
        r"(?:secret|token|salt|pepper)" + BETWEEN + r"(?P<secret>[\w+/-]{16,2000}+={0,3})",
        is_generated,
        r"(?:page|pagination|next|continuation|sync|resume|after)[ _-]?$",
    ),
    named(
        "token in words",
        r"(?:token|secret|(?:(?<=api)|(?<=(?:api|uth|ess|nse)[ _-]))key)(?: provided)?(?:"
        + BETWEEN
        + r"|:?[ \t]{1,2}[\"']?)(?P<secret>[\w-]{20,200}+)",
        is_generated,
        r"(?:page|pagination|next|continuation|sync|resume|after)[ _-]?$",
    ),
    named(
        "secret in source",
        CONFIDENTIAL + BETWEEN + r"(?:secret\w{0,10}|str|bytes|repr)\(b?[\"']"
        r"(?P<secret>[^\"'\n]{4,200})[\"']",
        is_secretive,
    ),
    place(
        "hex value of a session",
        r"(?:s(?:ess(?:ion)?(?:[ ._-]?id)?|(?<![a-z]s)id)|ticket|csrf(?:[ ._-]?token)?|xsrf"
        r"|app_?id)" + BETWEEN + r"(?P<secret>[0-9a-f]{20,}+)",
        is_generated,
        "sess sid ticket csrf xsrf app_id appid",
    ),
    place(
        "value and name",
        rf"value{IS}(?P<secret>[^\s\"',;}}\]\\]{{3,200}}+){OTHERS}{NEXT}[\w-]{{0,20}}"
        rf"(?:name|key|variable|field){IS}[\w./-]{{0,60}}?" + CONFIDENTIAL + r"[\"']",
        is_secretive,
        "value",
    ),
    named(
        "xml",
        CONFIDENTIAL
        + r"(?:[\"']?[ \t]{1,3}value=[\"']|[\"'][^<>\n]{0,60}>(?:<value>)?|</name>\s{0,20}<value>)"
        r"(?P<secret>[^\"'<>\n]{1,200})[\"'<]",
        always,
    ),
    named(
        "input that was refused",
        CONFIDENTIAL + r"(?:\r?\n[ ]{1,8}[^\n]{0,200}?input_value=|[\"'][\])][^\n{}]{0,200}?"
        r"[\"']input[\"']: ?)[\"'](?P<secret>[^\"'\n]{1,200})[\"']",
        is_secretive,
    ),
    place(
        "credentials as arguments",
        r"(?:auth|login|connect|bind(?:_s)?|credentials?|password_authenticator)"
        r"(?:\(|[\"']?[ ]?[:=][ ]?[(\[]|[ ](?=')|\[)"
        r"[^()\n]{0,80}?[\"'][^\"'\n]{1,80}[\"'],[ ]?b?[\"'](?P<secret>[^\"'\n]{4,80})[\"']",
        is_secretive,
        "auth login connect( bind credential",
    ),
    place(
        "user and password before a host",
        r"[:/](?P<secret>[^\s:/@\"'<>]{5,80})@(?=/{0,2}[a-z0-9])",
        is_secretive,
        "@",
        behind=r"(?:^|[:/\s\"'])[a-z][\w.+-]{0,39}$",
    ),
    named(
        "base64 of a login",
        r"(?<![a-z])auth[ \t]{1,3}(?:plain|login|xoauth2|basic)[ \t]{1,3}"
        r"(?P<secret>[a-z0-9+/=]{8,})",
        always,
    ),
    place(
        "ping address",
        r"(?:hc-ping\.com|healthchecks\.io/ping|cronitor\.link/p|uptime\.betterstack\.com/api/v1"
        r"/heartbeat|events\.pagerduty\.com/x-ere|hooks\.zapier\.com|maker\.ifttt\.com/use"
        r"|webhook\.site|hook\.\w+\.make\.com)/(?P<secret>[^\s\"'<>]{6,})",
        always,
        "ping cronitor betterstack pagerduty zapier ifttt webhook.site make.com",
    ),
)

REST = place(
    "rest of a token",
    r"\*\*\*(?:[.:~|/]|[\"'],[ ]?[\"'])(?P<secret>[\w.~+/=-]{16,}+)",
    is_generated,
    "***",
)


def rows() -> tuple[Place | Vendor | Random, ...]:
    """The rows in the order in which they are applied."""
    return (*vendors(), *COMMANDS, *IN_CALLS, *PLACES, Random(), REST)
