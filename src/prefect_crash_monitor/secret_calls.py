"""Rows for `redact`: secrets in calls, logins and lists of two."""

from __future__ import annotations

from prefect_crash_monitor.secret_place import Place, always, named, place
from prefect_crash_monitor.secret_values import is_secretive

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
    place(
        "user and password by a colon",
        r"(?<![a-z])(?:login|user:pass(?:word)?|credentials?|creds)[\"']?[ ]?[=:][ ]?[\"']?"
        r"[\w.@-]{1,60}:(?P<secret>[^\s\"',;/]{4,200})",
        is_secretive,
        "login user:pass cred",
    ),
)
