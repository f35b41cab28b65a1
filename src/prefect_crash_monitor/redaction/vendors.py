"""What vendors' tokens look like, and where vendors' commands and statements take passwords.

The tokens are those of gitleaks (`data/vendor_tokens.json`), and some more.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from prefect_crash_monitor.redaction.judged_row import Judge, Place
from prefect_crash_monitor.redaction.text import Looked
from prefect_crash_monitor.redaction.values import STARS, is_mixed, is_password, is_secretive


@dataclass(frozen=True, slots=True)
class Vendor:
    """One vendor's token; compiled when a text first has one of its words."""

    name: str
    source: str
    hints: tuple[str, ...]

    def apply(self, looked: Looked) -> str:
        """The text without this vendor's tokens."""
        runs = looked.runs()
        if not any(hint in runs for hint in self.hints):
            return looked.text
        return _compiled(self.source).sub(STARS, looked.text)


@cache
def _compiled(source: str) -> re.Pattern[str]:
    return re.compile(source)


VENDORS_OF_OURS = (
    ("prefect", r"pn[ub]_[A-Za-z0-9]{8,}", "pnu_ pnb_"),
    # With the secret key where it stands right behind.
    (
        "aws",
        r"A(?:KIA|SIA)[A-Z0-9]{16,}(?:[\s:,/|\"']{1,5}[A-Za-z0-9+/]{40}(?![A-Za-z0-9+/]))?",
        "akia asia",
    ),
    ("github", r"gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,}", "gh github_pat_"),
    ("gitlab", r"gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent)-[\w.-]{16,}", "gl"),
    ("slack", r"xox[a-z]-[A-Za-z0-9-]{8,}|xapp-[A-Za-z0-9-]{8,}", "xox xapp-"),
    ("google", r"AIza[\w-]{30,}|ya29\.[\w-]{20,}|GOCSPX-[\w-]{20,}", "aiza ya29. gocspx-"),
    ("stripe webhook", r"whsec_[A-Za-z0-9+/=]{16,}", "whsec_"),
    # `task-run-...` has `sk-` in it.
    ("model provider", r"(?<![A-Za-z0-9])sk-[\w-]{20,}|hf_[A-Za-z0-9]{20,}", "sk- hf_"),
    ("npm, pypi", r"npm_[A-Za-z0-9]{30,}|pypi-[\w-]{40,}", "npm_ pypi-"),
    ("docker", r"dckr_(?:pat|oat)_[\w-]{20,}", "dckr_"),
    ("vault", r"hv[sb]\.[\w-]{20,}", "hvs. hvb."),
    ("databricks", r"dapi[0-9a-f]{32}", "dapi"),
    ("sendgrid", r"SG\.[\w-]{16,40}\.[\w-]{16,}", "sg."),
    ("age", r"AGE-SECRET-KEY-1[A-Z0-9]{40,}", "age-secret-key"),
    ("new relic", r"NR(?:AK|II|RA|BR)-[A-Za-z0-9-]{20,}", "nrak- nrii- nrra- nrbr-"),
    ("langsmith", r"lsv2_(?:pt|sk)_[0-9a-f_]{30,}|ls__[0-9a-f]{30,}", "lsv2_ ls__"),
    ("mailgun", r"(?<![a-z])key-[0-9a-f]{32}", "key-"),
    ("mailchimp", r"[0-9a-f]{32}-us\d{1,2}\b", "-us"),
    ("sentry", r"sntry[su]_[\w+/=-]{20,}", "sntry"),
    ("digitalocean", r"do[opr]_v1_[0-9a-f]{32,}", "_v1_"),
    ("sonarqube, nuget", r"sq[upa]_[0-9a-f]{40}|\boy2[a-z0-9]{43}\b", "squ_ sqp_ sqa_ oy2"),
    ("figma", r"figd_[\w-]{30,}", "figd_"),
    ("supabase", r"sb[ps]_[0-9a-f]{30,}|sb_secret_[\w-]{20,}", "sbp_ sbs_ sb_secret_"),
    ("xai, groq", r"(?:xai|gsk)[-_][A-Za-z0-9]{40,}", "xai gsk"),
    ("posthog", r"ph[xc]_[A-Za-z0-9]{30,}", "phx_ phc_"),
    ("stripe", r"[srp]k_(?:live|test|prod)_\w{10,}", "k_live_ k_test_ k_prod_"),
    ("square", r"sq0(?:atp|csp|idp)-[\w-]{20,}", "sq0"),
    ("telegram", r"\d{8,10}:A[A-Za-z0-9_-]{32,}", ":a"),
    ("atlassian", r"AT(?:ATT3|CTT3|BB)[\w=.-]{20,}", "atatt3 atctt3 atbb"),
    ("doppler", r"dp\.(?:pt|st|ct|sa|scim|audit)\.[\w.]{30,}", "dp."),
    ("netlify, terraform", r"nfp_\w{30,}|tfp_\w{30,}", "nfp_ tfp_"),
    ("shopify", r"shp(?:at|ca|pa|ss)_[0-9a-f]{20,}", "shp"),
    ("notion", r"(?:ntn|secret)_[A-Za-z0-9]{40,}", "ntn_ secret_"),
    ("artifactory", r"AKCp[A-Za-z0-9]{30,}|cmVmdGtuO[A-Za-z0-9]{30,}", "akcp cmvmdgtuo"),
    ("twilio", r"SK[0-9a-f]{32}\b", "sk"),
    ("twilio account", r"AC[0-9a-f]{32}(?:[:/]|[\"'], ?[\"'])[0-9a-f]{32}\b", "ac"),
    ("asana", r"[0-2]/\d{10,20}(?:/\d{10,20})?:[0-9a-f]{32}\b", "0/ 1/ 2/"),
    ("airtable", r"pat[A-Za-z0-9]{14}\.[0-9a-f]{64}", "pat"),
    ("deepl", r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}:fx\b", ":fx"),
    ("postmark, azure devops", r"\bAzCa[A-Za-z0-9+/]{30,}", "azca"),
)
"""Tokens of vendors that gitleaks knows only with a name in front, not at all, or in one length."""


@cache
def vendors() -> tuple[Vendor, ...]:
    """The vendors' tokens, ours first."""
    listed = files("prefect_crash_monitor").joinpath("data", "vendor_tokens.json").read_text()
    return (
        *(Vendor(name, source, tuple(hints.split())) for name, source, hints in VENDORS_OF_OURS),
        *(
            Vendor(row["name"], row["pattern"], tuple(row["hints"]))
            for row in json.loads(listed)["rules"]
        ),
    )


def _command(name: str, pattern: str, judge: Judge, hints: str, unless: str = "") -> Place:
    never = re.compile(unless) if unless else None
    return Place(name, re.compile(pattern), judge, tuple(hints.split("|")), unless=never)


SPACE = r"""(?:["']?[ \t]{0,2},[ \t]{0,2}["']?|[ \t]{1,3}["']?)"""
"""Between the words of a command, in a shell or in a list."""

NO_PORT = r"(?!\d{1,5}(?:[\s\"',:]|$)|\w{1,30}=[^=])"

WORD = r"""[^\s"',=/\\-][^\s"',]"""

COMMANDS = (
    _command(
        "password behind a user's option",
        r"-u(?:ser(?:name)?)?" + SPACE + r"[^\s\"',]{1,80}[^\n|;]{0,100}?[\s\"']-(?:pw|pass|p)"
        r"(?:" + SPACE + r"|(?=[\"']?\S{6}))[\"']?" + NO_PORT + r"(?P<secret>" + WORD + r"{4,})",
        is_password,
        "-u",
        r"(?:(?:mysql|mariadb)\w*[ \t\"',-][^|;]*|sudo )$",  # there, `-p` alone only asks
    ),
    _command(
        "password option",
        r"\b(?:sshpass|sqlcmd|osql|isql|tsql|bcp|redis-cli|mongosh?|mongo(?:dump|restore)"
        r"|docker login|podman login|helm registry|az login|smbclient|7z|beeline|rabbitmqadmin"
        r"|cqlsh|plink|twine|ldap\w{3,8}|vsql|(?:un)?zip|kinit)\b[^\n|;]{0,200}?[\s\"']-(?:pw|p|a|w)"
        + SPACE
        + NO_PORT
        + r"(?P<secret>"
        + WORD
        + r"{4,})",
        is_password,
        " -p|'-p|\"-p|-a |-w |-a'|-w'|-a\"|-w\"",
    ),
    _command(
        "password glued to its option",
        r"\b(?:mysql\w*|mariadb(?:-dump)?|sshpass|7za?|rar|sqlcmd|bcp|redis-cli)\b[^\n|;]{0,200}?"
        r"[\s\"']-(?:p|a)=?[\"']?" + NO_PORT + r"(?P<secret>" + WORD + r"{4,})",
        is_password,
        " -p|'-p|\"-p| -a|'-a|\"-a",
    ),
    _command(
        "login of a database",
        r"(?:\b(?:(?:exp|imp)dp|sqlplus|sqlldr|rman) [a-z]\w{0,30}/| user \S{1,60} using "
        r"|\.logon \S{1,80}?,|<<< ?[\"']?|hello \d auth \S{1,60} )(?P<secret>" + WORD + r"{4,80})",
        is_secretive,
        "expdp|impdp|sqlplus|sqlldr|rman | using |.logon|<<<|hello",
    ),
    _command(
        "option that names a password",
        r"-(?<![^\s\"']-)-?[a-z0-9-]{0,40}?(?:pass(?:word|wd|phrase|code|in|out)?|pwd?|secret|token)"
        + SPACE
        + r"(?:<<<[ ])?(?P<secret>"
        + WORD
        + r"{4,})",
        is_secretive,
        "pass|pw|secret|token",
    ),
    _command(
        "option behind a slash",
        r"(?<=[\s\"'])/(?:p|pass|password|pwd|rp|pw)[: ](?P<secret>(?![\w.]{1,40}=)"
        + WORD
        + r"{4,})",
        is_secretive,
        " /p|'/p|\"/p| /rp",
    ),
    _command(
        "key of openssl",
        r"\bopenssl\b[^\n|;]{0,200}?[ \t\"']-k" + SPACE + r"(?P<secret>" + WORD + r"{4,})",
        is_secretive,
        "openssl",
    ),
    _command(
        "password behind a user",
        r"(?:\bnet1?(?:\.exe)? (?:use (?:(?:[a-z]:|\*) )?\\{2,4}\S{1,80}(?: /user:\S{1,60})?"
        r"|user [^\s/]{1,60})|\b(?:change_password|add_user|htpasswd -[a-z]{1,4} \S{1,80}"
        r"|http-basic\.\S{1,60}) \S{1,60}) (?P<secret>" + WORD + r"{4,})",
        is_secretive,
        "net|http-basic|change_password|add_user|htpasswd",
    ),
    _command(
        "user and password of a command",
        r"(?:[ \t\"']|^)(?:-u|--user|--proxy-user|-a|--(?:src-|dest-)?creds)(?:"
        + SPACE
        + r"|[ =]{0,3}[\"']?)"
        r"[^\s:%,\"'/]{1,60}[:%,](?P<secret>[^\s\"'@]{4,})",
        is_secretive,
        "-u|-user| -a|'-a|\"-a|-creds",
    ),
    _command(
        "echo into a prompt",
        r"echo[ \t]{1,3}(?:-n[ \t])?[\"']?(?P<secret>[^\s\"'|]{5,80})[\"']?[ \t]{0,3}\|[^\n|]{0,80}"
        r"(?:password-stdin|sudo -s|passwd|base64|kinit|gpg|openssl)",
        is_secretive,
        "echo",
    ),
    _command(
        "login of a command",
        r"(?:vault login|auth)[ \t](?:[a-z]{1,30}[ \t])?[\"']?(?P<secret>[^\s\"']{8,}+)",
        is_mixed,
        "vault login|auth|auth\t",
    ),
    _command(
        "password of Redis",
        r"(?:requirepass|masterauth)[ \t][\"']?(?P<secret>[^\s\"']{5,}+)",
        is_secretive,
        "requirepass|masterauth",
    ),
    _command(
        "login of a mailbox",
        r"\blogin[ ]\"?[^\s\"']{1,80}\"?[ ]\"?(?P<secret>[^\s\"]{5,80})",
        is_secretive,
        "login",
    ),
    _command(
        "statement without quotes",
        r"identified by (?P<secret>" + WORD + r"{5,})",
        is_secretive,
        "identified by",
    ),
    _command(
        "statement",
        r"(?:identified (?:with [\w'\"]{1,60} )?(?:by|as)(?: password)?[ ]?"
        r"(?:[\"'][^\"'\n]{0,100}[\"'] replace )?|set password[^=\n]{0,80}= ?(?:password\()?"
        r"|secret |securestring |password ?(?:= ?)?\(?n?"
        r"|(?:en|de)crypt\w{0,10}\([^()\n]{0,100}?, ?)"
        r"[\"'](?P<secret>[^\"'\n]{4,100})[\"'](?! (?:not|is|does|was|has|could|in|of|from) )",
        is_secretive,
        "identified|password|secret|crypt|securestring",
    ),
)
"""Where commands and statements take passwords. Text is searched in small letters."""
