"""Rows for `redact`: secrets in commands, lists of arguments, calls and sessions."""

from __future__ import annotations

from prefect_crash_monitor.secret_place import NEXT, Place, always, place
from prefect_crash_monitor.secret_values import is_mixed, is_secretive

IN_COMMANDS: tuple[Place, ...] = (
    place(
        "echo into a prompt",
        r"echo[ \t]{1,3}(?:-n[ \t])?[\"']?(?P<secret>[^\s\"'|]{5,80})[\"']?[ \t]{0,3}\|[^\n|]{0,80}"
        r"(?:password-stdin|sudo -S|passwd|kinit|login|cryptsetup|gpg|openssl)",
        is_secretive,
        "echo",
    ),
    place(
        "password option",
        r"\b(?:docker|podman|mysql|mysqldump|mongosh?|mongodump|redis-cli|sshpass|sqlcmd|bcp|psql"
        r"|ldapsearch|helm|az|smbclient|kinit|zip|unzip|7z|rclone|vault|snowsql|beeline|mc|curl"
        r"|ansible|rabbitmqctl|cqlsh|clickhouse-client|mysqladmin|hdbsql|psexec)\b[^\n|;]{0,200}?"
        r"[\s\"'\[,]-(?:p|P|a|w|pw)(?:" + NEXT + r"|=[\"']?|(?=[^\s,]{6})[\"']?)"
        r"(?P<secret>[^\s\"'=/,-][^\s\"']{4,}+)",
        is_secretive,
        "docker podman service-principal mysql mongo redis sshpass sqlcmd bcp ldap cqlsh click zip "
        "7z beeline hdbsql psexec",
    ),
    place(
        "password after a user in words",
        r"\b(?:(?:change_password|add_user|net user)[ ]\S{1,60}"
        r"|htpasswd[ ]-\w{1,4}[ ]\S{1,80}[ ]\S{1,60}|login[ ][\w.+-]{1,60}@[\w.-]{1,60}"
        r"|[\w.-]{0,20}passw(?:or)?d[ ]for[ ]\S{1,80}[ ]?[=:])"
        r"[ ]{1,2}[\"']?(?P<secret>[^\s\"'/]{4,80})",
        is_secretive,
        "_password add_user net htpasswd login passw",
    ),
    place(
        "option that ends in password",
        r"(?<![\w-])-(?:[a-z]{0,10}(?:storepass|keypass|passphrase|passw(?:or)?d)|pass)"
        + NEXT
        + r"(?P<secret>[^\s\"'-][^\s\"']{3,}+)",
        is_secretive,
        "-pass pass",
    ),
    place(
        "key of openssl",
        r"\bopenssl\b[^\n|;]{0,120}?[ ]-k[ ](?P<secret>[^\s\"'-][^\s\"']{3,}+)",
        is_secretive,
        "openssl",
    ),
    place(
        "setting of redis",
        r"\b(?:requirepass|masterauth)[ \t]{1,3}[\"']?(?P<secret>[^\s\"']{4,}+)",
        is_secretive,
        "requirepass masterauth",
    ),
    place(
        "password that replaces another",
        r"\*\*\*[\"']?[ ]replace[ ][\"']?(?P<secret>[^\s\"';]{4,}+)",
        always,
        "replace",
    ),
    place(
        "password option after a user",
        r"(?<![\w-])(?:-u|-U|--user(?:name)?|-l)(?:"
        + NEXT
        + r"|=|(?=\w))[^\s\"',]{1,60}[^\n|;]{0,120}?"
        r"[\s\"'\[,]-(?:p|P|w|pw)(?:" + NEXT + r"|=|(?=[^\s\"',]{6}))"
        r"(?![a-z_]\w*=)(?P<secret>[^\s\"'=/,-][^\s\"']{4,}+)",
        is_secretive,
        "-u -l",
    ),
    place(
        "password option of Windows",
        r"(?<!\S)/(?:p|pw|pwd|pass|password|rp|de(?:crypt)?)(?::|[ \t])[\"']?(?![a-z_]\w*=)"
        r"(?P<secret>[^\s\"'/]{5,}+)",
        is_secretive,
        "/p /rp /de",
    ),
    place(
        "password of a network drive",
        r"(?:\\\\[^\s\"']{3,80}[\"']?[ \t]{1,3}(?=[^\s\"']{5,80}[ \t]{1,3}/user:)"
        r"|/user:\S{1,80}[ \t]{1,3})(?P<secret>[^\s\"'/][^\s\"']{4,80})",
        is_secretive,
        "/user:",
    ),
    place(
        "login of a package index",
        r"http-basic\.\S{1,60}[ \t]{1,3}\S{1,80}[ \t]{1,3}[\"']?(?P<secret>[^\s\"']{4,})",
        is_secretive,
        "http-basic",
    ),
    place(
        "user and password by a colon",
        r"(?<![a-z])(?:login|user:pass(?:word)?|credentials?|creds)[\"']?[ ]?[=:][ ]?[\"']?"
        r"[\w.@-]{1,60}:(?P<secret>[^\s\"',;/]{4,}+)",
        is_secretive,
        "login user:pass cred",
    ),
    place(
        "value of a secret block",
        r"secret[a-z]{0,20}[\"']?(?:\(|\.)value[ ]?=[ ]?[\"']?(?P<secret>[^\s\"')]{4,}+)",
        is_secretive,
        "value",
    ),
    place(
        "call with a secret",
        r"(?:passw(?:or)?d|secret(?:str|bytes)?|token|pgp_sym_[a-z]{2,12}\([^()\n]{1,60},[ ]?"
        r"|aes_[a-z]{2,3}crypt\([^()\n]{1,60},[ ]?)\(?[ ]?(?:n|b)?\\?[\"']"
        r"(?P<secret>[^\"'\n\\]{5,200})\\?[\"']",
        is_secretive,
        "passw secret token pgp_sym aes_",
    ),
    place(
        "quoted login",
        r"\blogin[ ]\\{0,2}[\"'][^\s\"'\\]{1,80}\\{0,2}[\"'][ ]\\{0,2}[\"']"
        r"(?P<secret>[^\s\"'\\]{4,})",
        always,
        "login",
    ),
    place(
        "user and password of a command",
        r"(?:[ \t\"']|^)(?:-u|--user|--proxy-user|-U)(?:" + NEXT + r"|[ =]{0,3}[\"']?)"
        r"[^\s:%,\"'/]{1,60}[:%,]"
        r"(?P<secret>[^\s\"'@]{4,})",
        is_secretive,
        "-u -user",
    ),
    place(
        "credentials as arguments",
        r"(?:auth|login|connect|bind(?:_s)?|credentials?|password_authenticator)\("
        r"[^()\n]{0,80}?[\"'][^\"'\n]{1,80}[\"'],[ ]?b?[\"'](?P<secret>[^\"'\n]{4,80})[\"']",
        is_secretive,
        "auth( login( connect( bind credential authenticator(",
    ),
    place(
        "base64 of a login",
        r"\bauth[ \t]{1,3}(?:plain|login|xoauth2|basic)[ \t]{1,3}(?P<secret>[a-z0-9+/=]{8,})",
        always,
        "auth",
    ),
    place(
        "login of a command",
        r"\b(?:vault login|AUTH)[ \t](?:[a-z]{1,30}[ \t])?[\"']?(?P<secret>[^\s\"']{8,}+)",
        is_mixed,
        "vault auth",
    ),
)
