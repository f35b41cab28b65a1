"""More rows for `redact`, each of which asks what stands at a place before it takes it out.

The last one takes out values that look random, wherever they stand.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from prefect_crash_monitor.secret_patterns import CONFIDENTIAL, NAMES, STARS
from prefect_crash_monitor.secret_values import (
    PIECE,
    is_generated,
    is_mixed,
    is_random,
    is_secretive,
    says_nothing,
)
from prefect_crash_monitor.secret_vendors import Vendor, vendors

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
    r"(?i)(?:(?:request|host|trace|span|correlation|event|operation|activity|invocation|query|job|run"
    r"|task|message|execution|build|deployment|version)[ _-]?id(?:-2)?|x-amz-id-2|etag|digest"
    r"|checksum|integrity|sha\d{1,3})[\"']?[ \t]{0,2}[:=-]?[ \t]{0,2}[\"']?$"
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


def _always(_value: str) -> bool:
    return True


def _place(name: str, pattern: str, judge: Judge, hints: str = "") -> Place:
    return Place(name, re.compile(pattern, re.IGNORECASE), judge, tuple(hints.split()))


BETWEEN = (
    r"""(?:["'\\\])]{0,4}[ \t]{0,3}(?:=>|->|:=|[=:,|]|%3D|(?<=[a-z0-9])[ \t]\(|\t)"""
    r"""[ \t]{0,3}\(?b?["'\\]{0,4})"""
)
"""What stands between a name and its value: in code, JSON, YAML, tables, tuples, prose."""

END = r"""[^\s"'`,;&|<>()\[\]{}\\]"""

PLACES: tuple[Place, ...] = (
    _place(
        "authorization, any scheme",
        r"(?:authorization|x-auth)[\"'\\]{0,4}[ \t]{0,4}[:=,][ \t]{0,4}b?[\"'\\]{0,4}"
        r"(?:(?:[a-z][\w-]{1,40}|\*\*\*)[ \t]{1,4})?(?P<secret>[^\s\"',\\]{8,}+)",
        is_secretive,
        "authorization x-auth",
    ),
    _place(
        "digest response",
        r"\b(?:response|cnonce|signature)=[\"']?(?P<secret>[0-9a-f]{32,64})\b",
        _always,
        "response= cnonce= signature=",
    ),
    _place(
        "one-time code",
        r"\b(?:otp|totp|mfa|2fa|one[ _-]?time|verification)(?:[ _-]?(?:code|password|pin))?"
        + BETWEEN
        + r"(?P<secret>\d{4,10})\b",
        _always,
        "otp mfa 2fa one verification",
    ),
    _place(
        "foreign or short name",
        r"(?<![a-z])(?:pw|pwd|kennwort|passwort|contrase[nñ]a|mot_?de_?passe|senha|passin|passout"
        r"|storepass|keypass|passcode)" + BETWEEN + r"(?P<secret>" + END + r"{4,})",
        is_secretive,
        "pw kennwort passwort contrase mot senha pass",
    ),
    _place(
        "password in words",
        r"\b(?:password|passwd|passphrase|pass|identified[ ]by)[ \t]{1,3}(?:is[ \t]|\()?"
        r"[\"'`]?(?P<secret>" + END + r"{6,})",
        is_secretive,
        "pass identified",
    ),
    _place(
        "name that ends in pass",
        r"[a-z0-9_.-]{0,40}pass(?![a-z])" + BETWEEN + r"(?P<secret>" + END + r"{5,}+)",
        is_secretive,
        "pass",
    ),
    _place(
        "login in base64",
        r"(?<![a-z])auth" + BETWEEN + r"(?P<secret>[a-z0-9+/]{16,}+={0,2})",
        is_secretive,
        "auth",
    ),
    _place(
        "password file of PostgreSQL",
        r"(?<!\S)[\w.*-]{1,80}:(?:\d{2,5}|\*):[\w*-]{1,60}:[\w*-]{1,60}:(?P<secret>[^\s:]{4,}+)",
        is_secretive,
        ":",
    ),
    _place(
        "licence",
        r"(?:licen[cs]e|serial|product|activation)[ _-]?(?:key|number|code)"
        + BETWEEN
        + r"(?P<secret>[a-z0-9-]{8,}+)",
        is_secretive,
        "license licence serial product activation",
    ),
    _place(
        "seed in base32",
        r"\b(?:secret|seed|token)[ \t:=]{1,3}(?P<secret>[a-z2-7]{16,}+)\b",
        str.isupper,
        "secret seed token",
    ),
    _place(
        "echo into a prompt",
        r"echo[ \t]{1,3}(?:-n[ \t])?[\"']?(?P<secret>[^\s\"'|]{5,80})[\"']?[ \t]{0,3}\|[^\n|]{0,80}"
        r"(?:password-stdin|sudo -S|passwd)",
        is_secretive,
        "echo",
    ),
    _place(
        "name, then value",
        r"[\w.-]{0,40}" + CONFIDENTIAL + BETWEEN + r"(?P<secret>" + END + r"{5,}+)",
        is_secretive,
        NAMES,
    ),
    _place(
        "value in the next line",
        CONFIDENTIAL + r"[\"']?[ \t]{0,3}[:=][ \t]{0,3}(?:[|>][+-]?|\\)?[ \t]{0,3}\r?\n[ \t]{1,20}"
        r"(?P<secret>[^\s:]{4,}+)(?![ \t]*:)",
        is_secretive,
        NAMES,
    ),
    _place(
        "hex value of a key",
        r"(?:appending|api|access|auth|secret|application|app|subscription|functions?|account"
        r"|routing|integration|service|license|licence|fernet|encryption|signing|shared|master|admin|client"
        r"|openai|consumer|x|deploy|write|read|ingest|webhook)[ ._-]?(?:[a-z]{1,20}[ ._-]?){0,2}"
        r"(?:key|secret|token)(?: for [\w.-]{1,60})?(?:"
        + BETWEEN
        + r"|:?[ \t]{1,3}[\"'])(?P<secret>[\w+/=~.:%-]{16,}+)",
        is_generated,
        "key secret token",
    ),
    _place(
        "hex value of a session",
        r"(?:sess(?:ion)?(?:[ ._-]?id)?|(?<![a-z])sid|ticket|csrf(?:[ ._-]?token)?|xsrf"
        r"|app_?id)" + BETWEEN + r"(?P<secret>[0-9a-f]{20,}+)",
        is_generated,
        "sess sid ticket csrf xsrf app",
    ),
    _place(
        "password option",
        r"\b(?:docker|podman|mysql|mysqldump|mongosh?|mongodump|redis-cli|sshpass|sqlcmd|bcp|psql"
        r"|ldapsearch|helm|az|smbclient|kinit|zip|unzip|7z|rclone|vault|snowsql|beeline|mc|curl"
        r"|ansible|rabbitmqctl|cqlsh|clickhouse-client)\b[^\n|;]{0,200}?[ \t]"
        r"-(?:p|P|a|w|pw)(?:[ \t]{1,3}|=|(?=\S{6}))[\"']?(?P<secret>[^\s\"'=/-][^\s\"']{4,})",
        is_secretive,
        "docker podman service-principal mysql mongo redis sshpass sqlcmd bcp ldap cqlsh click zip",
    ),
    _place(
        "user and password of a command",
        r"(?:[ \t]|^)(?:-u|--user|--proxy-user|-U)[ =]{0,3}[\"']?[^\s:%,\"'/]{1,60}[:%,]"
        r"(?P<secret>[^\s\"'@]{4,})",
        is_secretive,
        "-u -user",
    ),
    _place(
        "credentials as arguments",
        r"(?:auth|login|connect|bind(?:_s)?|credentials?|password_authenticator)\("
        r"[^()\n]{0,80}?[\"'][^\"'\n]{1,80}[\"'],[ ]?b?[\"'](?P<secret>[^\"'\n]{4,80})[\"']",
        is_secretive,
        "auth( login( connect( bind credential authenticator(",
    ),
    _place(
        "user and password before a host",
        r"(?<=[:/\s])[a-z][\w.+-]{0,60}[:/](?P<secret>[^\s:/@\"'<>]{5,80})@(?=/{0,2}[a-z0-9])",
        is_secretive,
        "@",
    ),
    _place(
        "xml attribute",
        CONFIDENTIAL + r"[\"'][ \t]{1,3}value=[\"'](?P<secret>[^\"'\n]{1,200})[\"']",
        _always,
        "value=",
    ),
    _place(
        "base64 of a login",
        r"\bauth[ \t]{1,3}(?:plain|login|xoauth2|basic)[ \t]{1,3}(?P<secret>[a-z0-9+/=]{8,})",
        _always,
        "auth",
    ),
    _place(
        "login of a command",
        r"\b(?:vault login|AUTH)[ \t](?:[a-z]{1,30}[ \t])?[\"']?(?P<secret>[^\s\"']{8,}+)",
        is_mixed,
        "vault auth",
    ),
    _place(
        "ping address",
        r"(?:hc-ping\.com|healthchecks\.io/ping|cronitor\.link/p|uptime\.betterstack\.com/api/v1"
        r"/heartbeat|events\.pagerduty\.com/x-ere|hooks\.zapier\.com|maker\.ifttt\.com/use"
        r"|webhook\.site|hook\.\w+\.make\.com)/(?P<secret>[^\s\"'<>]{6,})",
        _always,
        "ping cronitor betterstack pagerduty zapier ifttt webhook make.com",
    ),
)


def rows() -> tuple[Place | Vendor | Random, ...]:
    """The rows in the order in which they are applied."""
    return (*vendors(), *PLACES, Random())
