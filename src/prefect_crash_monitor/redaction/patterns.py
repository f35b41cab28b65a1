"""The table of what a secret looks like in text; `redact` applies it in this order.

Read a row as: what it finds, how that is written, what is put there. Three kinds of row: by the
secret's own shape (a vendor's prefix), by where it stands (URL, header), by the name in front.

No row looks at what comes before a token's prefix: a token glued to a word is still a token.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from prefect_crash_monitor.redaction.text import Looked
from prefect_crash_monitor.redaction.values import (
    STARS,
    row_of_sql,
    value_in_quotes,
    value_of_name,
    value_of_option,
    value_of_pair,
    value_of_url,
)

CONFIDENTIAL = (
    r"(?:pass?w(?:or|r)?d|passphrase|passcode|(?<![a-z])pwd(?!=[/~])"
    r"|(?<!imagepull)(?<!imagepull[_-])(?<!image[_-]pull[_-])(?<!\d{12}:)secret(?:[_.-]?(?:id|key))?"
    r"|(?<!serviceaccount)"
    + "".join(
        f"(?<!{of})(?<!{of}[_-])"
        for of in ("page", "pagination", "next", "continuation", "sync", "resume", "after")
    )
    + r"token(?!s)|(?:access|api|auth|refresh)[_-]?tokens"
    r"|private[_-]?key[_-]?id|(?:access|account|api|auth|encryption|master|private|signing|ssh)[_-]?key"
    r"|credential|authorization|auth[_-]?(?:string|header)|cookie|client-key-data"
    r"|connection[_-]?string|conn[_-]?str|(?<![a-z])dsn|webhook[_-]?url|jwt|dockerconfigjson"
    r"|(?<![a-z])(?:pass|auth)(?=\\*[\"'=]|$))"
    r"s?(?:[_-]?\d{1,3})?(?:[_-](?:value|string|text|plain|b64|base64|json|base))?"
)
"""The end of a name that means a secret; what comes before it (`DB_`, `client`) is not looked at.

`max_tokens` counts something, `PWD=/...` is a directory, Kubernetes' `imagePullSecrets` and
`serviceAccountToken` name something, and `pass` or `auth` alone must be a key, since "pass: 10,
fail: 2" is no secret.
"""

CONFIDENTIAL_ALONE = re.compile(CONFIDENTIAL + r"$", re.IGNORECASE)

KEY = (
    r"(" + CONFIDENTIAL + r"""["'\\\]]{0,4}+[ \t]{0,4}+"""  # closes `"key"` and `env["key"]`
    r"(?:=>|:=|={1,3}+|:(?!:|//)|%3[Dd])[ \t]{0,4}+"  # not `Token::new`, not `secret://`
    r"(?:(?:Optional\[)?(?:str|bytes|SecretStr)\]?(?: \| None)? ?= ?)?)"  # `password: str = `
    r"(?!\{\{ ?[\w.$ -]{1,100}\}\})"  # a template names a secret, it does not hold it
)

SCHEME = r"(?:basic|bearer|token|digest|apikey|negotiate|aws4-hmac-sha256)[ \t]{1,4}"

NO_SECRET = (
    r"(?!(?:none|null|nil|true|false|undefined|str|bytes|bool|int|SecretStr)"
    r"""(?:[,;)\]}"'|]{0,4}(?:\s|$)|\()|""" + SCHEME + r"\*\*\*)"
)
"""Words that say that there is no secret; types, in lines of source of a traceback; the scheme of
an authorization header whose secret is gone already."""

PROSE = (
    r"(?!-|(?:option|flag|argument|is|was|are|and|or|must|may|can|cannot|to|for|with|if)(?:\s|$))"
)
"""What follows an option that is only spoken of: "--token is required"."""

QUOTED = r"""([bruf]?)(\\*+["'])(?!\{\{ ?[\w.$ -]{1,100}\}\})(?:(?!\3)(?:\\.|[^\n\\]))++(?:\3)?"""
"""Up to the same quote, or to the end of the line where the text was cut off."""

BRACKETED = (
    r"(?:\[(?:[^\]]{1,4000}+\]|[^\n]*+)|\((?:[^)]{1,4000}+\)|[^\n]*+)"
    r"|\{(?:(?:[^{}]{1,4000}+|\{[^{}]{0,4000}+\}){1,50}+\}|[^\n]*+))"
)
"""Up to the same bracket, or to the end of the line where the text was cut off."""

BARE = (
    r"(?:[^\s\"'`,;&<>()\[\]{}\\]|\\(?![\"'])"
    r"|[,;&](?=[^\s\"'])(?![\w .-]{1,40}+[=:])"  # goes on, unless another `name=` follows
    r"|[\"'`<>()\[\]{}](?=[A-Za-z0-9]))++"
)
AND_ITS_OWN = r"(?:(?<=[:=])[ \t]{1,4}+" + BARE + r")?"
"""Where what looked like a value was itself a name: `token=api_key: ...`."""

VALUE = r"(?:" + QUOTED + r"|" + BRACKETED + r"|" + NO_SECRET + BARE + AND_ITS_OWN + r")"


@dataclass(frozen=True, slots=True)
class Named:
    """A row of which each match begins with a secret's name (`CONFIDENTIAL`)."""

    name: str
    pattern: re.Pattern[str]
    judge: Callable[[re.Match[str]], str]

    def apply(self, looked: Looked) -> str:
        """The text without what this row finds."""
        return looked.without(self.pattern, self.judge)


Replacement = str | Callable[[re.Match[str]], str]


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: what is found, and what stands there afterwards."""

    name: str
    pattern: re.Pattern[str]
    replacement: Replacement
    hints: tuple[str, ...] = ()
    """Lower-case words; text with none of them is not searched. Most has none: 20 times faster."""

    def apply(self, looked: Looked) -> str:
        """The text without what this row finds."""
        if self.hints and not any(hint in looked.lowered for hint in self.hints):
            return looked.text
        return self.pattern.sub(self.replacement, looked.text)


def _shape(name: str, pattern: str, put: Replacement = STARS, hints: str = "") -> Rule:
    return Rule(name, re.compile(pattern), put, tuple(hints.split()))


def _words(name: str, hints: str, pattern: str, put: Replacement) -> Rule:
    """A row that goes by words, in upper or lower case."""
    return Rule(name, re.compile(pattern, re.IGNORECASE), put, tuple(hints.split()))


NAMES = "pass pwd secret token key credential auth cookie conn dsn webhook jwt dockerconfigjson"
"""A hint for each alternative of `CONFIDENTIAL`."""

RULES: tuple[Rule | Named, ...] = (
    # First, since it spans lines: up to the next marker, or all that is left of a text that was cut
    # off. A bare mention of the marker is none.
    _shape(
        "private key",
        r"(-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)"
        r"(?=[\sA-Za-z0-9+/\\]|[\"'], ?[\"'][A-Za-z0-9+/=]{20})"
        r"(?:(?!-----(?:BEGIN|END))[\s\S])*+(?:-----END [A-Z0-9 ]{0,60}-----)?",
        r"\1***",
    ),
    # By where they stand in a header or a command.
    _words(
        "authorization header",
        "authorization",
        r"(authorization[\"'\\]{0,4}+[ \t]{0,4}+[:=][ \t]{0,4}+)"
        r"(" + SCHEME + r")(?![<{$%])"
        r"[^\s\"',\\]++",
        r"\1\2***",
    ),
    _words(
        "cookie header", "cookie:", r"((?<![a-z])(?:set-)?cookie:[ \t]{0,4}+)[^\n\"'*]++", r"\1***"
    ),
    _words(
        "header pair",
        "auth cookie key token",  # `(b"x-api-key", b"...")`, as HTTP libraries print headers
        r"(\(b?[\"'](?:(?:proxy-)?authorization|(?:set-)?cookie|x-api-key|[a-z-]{0,20}token)"
        r"[\"'], ?)" + QUOTED,
        value_of_pair,
    ),
    _words(
        "bearer",
        "bearer",
        r"(bearer[ \t]{1,4}+)(?:(?=[a-z._~+/=-]{0,40}\d)[\w.~+/=-]{8,}+|[\w.~+/=-]{20,}+)",
        r"\1***",
    ),
    # Base64 has digits, padding, or capitals inside; "Basic authentication" has not.
    _shape(
        "basic",
        r"([Bb]asic[ \t]{1,4}+)(?=[A-Za-z+/]{0,60}(?:\d|=|[a-z][A-Z]))[A-Za-z0-9+/=]{8,}+",
        r"\1***",
        hints="basic",
    ),
    _words(
        "command option",
        NAMES,
        r"(--(?:[a-z0-9]{1,20}-){0,3}" + CONFIDENTIAL + r"[ \t]{1,4}+)" + PROSE + r"[^\s\"'\]]++",
        value_of_option,
    ),
    _words(
        "quoted command option",
        NAMES,
        r"(--(?:[a-z0-9]{1,20}-){0,3}" + CONFIDENTIAL + r"[ \t]{1,4}+)" + QUOTED,
        r"\1\2\3***\3",
    ),
    _shape(
        "curl user",
        r"((?<!\S)(?:-u|--user)[ =]{1,4}(?!\d+:\d)[^\s:]{1,100}:)[^\s\"']++",
        value_of_option,
        hints="-u",
    ),
    # By the name in front.
    _words(
        "name and value",  # as Kubernetes writes an environment
        "value",
        r"([\"'](?:name|key)[\"']: ?[\"'][\w.-]{0,60}"
        + CONFIDENTIAL
        + r"[\"'], ?[\"']value[\"']: ?)"
        + QUOTED,
        r"\1\2\3***\3",
    ),
    Named("value", re.compile(KEY + VALUE, re.IGNORECASE), value_of_name),
    Named(
        "password in quotes",
        re.compile(r"(pass(?:word|phrase)[ \t]{1,4}+)" + QUOTED, re.IGNORECASE),
        value_in_quotes,
    ),
    _words(
        "row of SQL",
        "insert",
        r"(insert[ ]into[^()\n]{1,100}\([^()\n]{0,200}?"
        + CONFIDENTIAL
        + r"[^()\n]{0,200}\)\s{0,4}values\s{0,4})\(([^\n]{1,2000}?)\)",
        row_of_sql,
    ),
    _words("xml element", "</", r"(<[\w:.-]{0,40}" + CONFIDENTIAL + r">)[^<>\n]++(?=</)", r"\1***"),
    # By their own shape: `eyJ` is `{"` in base64: JWTs, and other JSON meant to be opaque.
    _shape("json web token", r"eyJ[\w-]{10,}+(?:\.[\w-]*+){0,4}"),
    # The body of a key, where the line that begins it is cut off.
    _shape(
        "key in base64",
        r"\bMII[A-Za-z0-9+/]{28,}+={0,2}(?:\s{1,4}[A-Za-z0-9+/]{40,}+={0,2}){0,60}",
        hints="mii",
    ),
    _shape("telegram bot", r"(bot\d{6,12}:)[\w-]{30,}+", r"\1***"),
    # By where they stand in a URL.
    _words(
        "webhook path",
        "hooks.slack discord office /hook hooks/ pagerduty",
        r"(hooks\.slack(?:-gov)?\.com/[a-z]{1,20}/|discord(?:app)?\.com/api/(?:v\d+/)?webhooks/"
        r"|webhook\.office\.com/|outlook\.office(?:365)?\.com/webhook/|://[^\s\"'<>/]{1,250}/hooks?/"
        r"|api\.prefect\.cloud/hooks/|events\.pagerduty\.com/integration/)[^\s\"'<>*]++",
        r"\1***",
    ),
    _words(
        "apprise url",
        "slack: discord: gram: teams: workflows: mmost pover: opsgenie: pagerduty: sendgrid: "
        "twilio: mailto rocket gchat: zulip: ntfy",
        r"((?<![a-z])(?:slack|discord|tgram|msteams|workflows|mmosts?|pover|opsgenie|pagerduty"
        r"|sendgrid|twilio|mailtos?|rockets?|gchat|zulip|ntfys?)://)[^\s\"'<>]++",
        r"\1***",
    ),
    # `://user:password@`, also with an `@`, `/` or `?` in the password, but not `://host:8080/a@b`.
    _shape(
        "url password",
        r"(://[^\s/?#\"'<>:@\[\]]*+:)(?!\d{1,5}(?:[/?#\s]|$))"
        r"(?:[^\s/?#\"'<>@]*+@|[^\s\"'<>@]{1,128}+@)(?:[^\s/?#\"'<>@]*+@)*+",
        value_of_url,
    ),
    _shape("url token", r"(://)[\w.~-]{20,}+@", r"\1***@"),
    _words(
        "signature",
        "sig x-amz x-goog",
        r"((?<![a-z0-9])(?:sig|signature|x-(?:amz|goog)-(?:signature|credential))=)"
        r"[^\s&\"'<>#*]{8,}+",
        r"\1***",
    ),
    _words(
        "query parameter",
        "code= key= auth=",
        r"([?&](?:amp;)?(?:code|key|auth)=)[^\s&\"'<>#*]{8,}+",
        r"\1***",
    ),
)
