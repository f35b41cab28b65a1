"""Makes text of strangers harmless: names, tags and messages may hold anything.

Prefect's UI renders markdown with sanitised HTML, mermaid and images, so a deployment called
`![x](https://evil)` would load a picture for everyone who reads the report.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

from prefect_crash_monitor.redaction.redact import redact

MARKDOWN_SPECIAL = re.compile(
    r"""
      [\\`*\[\]~$@<>&|]           # markup, links, images, mentions, HTML, cells
    | (?<![^\W_])_ | _(?![^\W_])   # emphasis; an underscore within a word is none
    | (?<=:)/(?=/)                 # bare URLs, which become links by themselves
    | (?<=www)\.
    | ^[-+=\#]                     # blocks: lists, headings, rules
    | (?<=\d)[.)](?=\s|$)
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""Escaped before what makes markup, and nowhere else: Prefect's classic UI shows the backslashes
of a link's text."""

CHAT_SPECIAL = re.compile(
    r"""
      <(?=\S)                                  # Slack's <!channel> and <url|text>, HTML in email
    | (?<=\])(?=\()                            # [text](url), ![picture](url)
    | @(?=(?:all|channel|everyone|here)\b)     # mentions of Mattermost, Discord, Teams
    """,
    re.VERBOSE | re.IGNORECASE,
)
IN_CHAT = {"<": "‹", "": " ", "@": "＠"}
"""Look-alikes: what is sent goes to any kind of block, and there is no escape that all know."""

UNUSUAL = re.compile(r"[^ -~]")
"""What may be invisible: all but ASCII's letters, digits and signs."""

CUT_BEFORE_REDACTING = 20_000
"""A message may be 100 kB; more of it than this is never shown."""


def one_line(text: str, limit: int) -> str:
    """The text without secrets, control and invisible characters, on one line, shortened."""
    visible = UNUSUAL.sub(_visible, redact(text[:CUT_BEFORE_REDACTING]))
    return shorten(" ".join(visible.split()), limit)


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters, an ellipsis standing for the rest."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def markdown(text: str, limit: int = 120) -> str:
    """The text as inert markdown, also inside a table."""
    return MARKDOWN_SPECIAL.sub(_escape, one_line(text, limit))


def chat(text: str, limit: int) -> str:
    """The text as one line that no chat or mail program takes for more than text."""
    return shorten(CHAT_SPECIAL.sub(lambda match: IN_CHAT[match[0]], one_line(text, limit)), limit)


def code(command: str) -> str:
    """A command as inline code; the fence is longer than any run of backticks in it."""
    line = one_line(command, 500)
    fence = "`" * (max((len(run) for run in re.findall("`+", line)), default=0) + 1)
    return f"{fence}{line}{fence}" if fence == "`" else f"{fence} {line} {fence}"


def link(text: str, url: str) -> str:
    """A markdown link where there is a URL of ours to go to."""
    label = markdown(text) or "—"
    return f"[{label}]({url})" if url else label


def _visible(match: re.Match[str]) -> str:
    """Control and format characters (line breaks, escape codes, right-to-left marks) as a space.

    The joiner inside emoji stays, so that they stay whole.
    """
    char = match[0]
    category = unicodedata.category(char)
    if category in {"Cc", "Cs", "Zl", "Zp"}:
        return " "
    return "" if category == "Cf" and char != "\u200d" else char


def _escape(match: re.Match[str]) -> str:
    """HTML's own characters as entities, all others with a backslash."""
    char = match[0]
    return {"<": "&lt;", ">": "&gt;", "&": "&amp;", "|": "&#124;"}.get(char, f"\\{char}")


def run_url(ui_url: str, run_id: str) -> str:
    """A flow run in the UI; quoted, as ids come from events, which anyone may send."""
    return f"{ui_url}/runs/flow-run/{quote(run_id)}" if ui_url and run_id else ""
