"""Rows for `redact`: secrets in calls, logins and lists of two."""

from __future__ import annotations

from prefect_crash_monitor.redaction.judged_row import UUID, Place, always, named, place
from prefect_crash_monitor.redaction.patterns import CONFIDENTIAL
from prefect_crash_monitor.redaction.values import is_generated, is_secretive

IN_CALLS: tuple[Place, ...] = (
    named(
        "call with a secret",
        r"(?:passw(?:or)?d|secret[a-z]{0,20})[\"']?(?:\(|\.)(?:value[ ]?=[ ]?)?b?[\"']"
        r"(?P<secret>[^\"'\n\\]{4,200})[\"']",
        is_secretive,
    ),
    named(
        "value of a secret",
        r"secret[a-z]{0,20}\.value[ ]?=[ ]?[\"']?(?P<secret>[^\s\"')]{4,200})",
        is_secretive,
    ),
    named(
        "token of a package registry",
        r"(?<=_)(?<![a-z0-9]_)auth(?:token)?[ \t]{0,3}=[ \t]{0,3}[\"']?"
        r"(?P<secret>[\w+/=.-]{12,200})",
        always,
    ),
    named(
        "login as a list",
        r"auth[\"']?[ ]?[:=][ ]?[\[(][^\[\]()\n,]{1,60},[ ]?[\"']?(?P<secret>[^\s\"',\])]{4,200})",
        is_secretive,
    ),
    named(
        "value in a sentence",
        CONFIDENTIAL
        + r"[\"']?[ ](?:(?:has|with|got)[ ](?:[a-z]{1,12}[ ]){0,2}value|is|was)[ :]{1,2}[\"']"
        r"(?P<secret>[^\"'\n]{4,200})[\"']",
        is_secretive,
    ),
    named(
        "password in braces",
        r"(?:pwd|password)=\{(?P<secret>[^{}\s]{4,200})\}",
        always,
    ),
    named(
        "block of text in YAML",
        CONFIDENTIAL + r"[\"']?:[ ][|>][+-]?[ ]{0,2}\r?\n[ ]{1,20}(?P<secret>[^\s:]{4,200})(?!:)",
        always,
    ),
    named(
        "id that authenticates",
        rf"auth[ \t]{{1,2}}(?P<secret>{UUID})",
        always,
    ),
    place(
        "key of a call that logs in",
        r"(?:login|client|auth[a-z]{0,12}|configure|init|connect)\((?:[^()\n]{0,60},[ ]?)?key=[\"']"
        r"(?P<secret>[\w+/=-]{16,200})",
        is_generated,
        "key=",
    ),
    place(
        "what replaces a secret",
        r"\*\*\*[\"']?[ ]-?[=-]>[ ][\"'](?P<secret>[^\"'\n]{4,200})",
        always,
        "->",
    ),
    place(
        "user and password by a colon",
        r"(?<![a-z])(?:login|user:pass(?:word)?|credentials?|creds)[\"']?[ ]?[=:][ ]?[\"']?"
        r"[\w.@-]{1,60}:(?P<secret>[^\s\"',;/]{4,200})",
        is_secretive,
        "login user:pass cred",
    ),
)
