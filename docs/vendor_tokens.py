"""Refreshes the vendors' token shapes from gitleaks' rules, which Zachary Rice and others maintain.

    python docs/vendor_tokens.py gitleaks.toml --source COMMIT --date DATE

Takes `config/gitleaks.toml` of github.com/gitleaks/gitleaks (MIT licence), and of its rules those
that know a token by its own shape. Rules that need a name in front are left out: `redact` has its
own for names, and a rule that looks for any 40 letters would take commits for secrets.
"""

from __future__ import annotations

import argparse
import json
import re
import tomllib
from pathlib import Path
from typing import Any

TABLE = Path(__file__).parents[1] / "src" / "prefect_crash_monitor" / "data" / "vendor_tokens.json"

IN_CONTEXT = r"[\w.-]{0,50}?"
"""Begins the rules that need a name in front."""

LEFT_OUT = {
    "airtable-personnal-access-token": "ours needs no vendor's name in the text",
    "azure-ad-client-secret": "three free characters before its mark: slow without a keyword",
    "curl-auth-header": "by place",
    "curl-auth-user": "by place",
    "facebook-access-token": "any long number with a bar",
    "freemius-secret-key": "by name",
    "jwt": "ours reads those that were cut off",
    "jwt-base64": "base64 of a JWT is judged as a random value",
    "kubernetes-secret-yaml": "by place",
    "maxmind-license-key": "six free characters before its mark",
    "nuget-config-password": "by place",
    "private-key": "ours reads those that were cut off",
    "sidekiq-sensitive-url": "by place",
    "slack-webhook-url": "by place",
    "microsoft-teams-webhook": "by place",
    "sourcegraph-access-token": "any 40 hex digits",
}

END = re.compile(r"""\(\?:(?:\[[^\]]*\\s;\]\|\\\\\[nr\]\|\$(?:\|\\b)?|\[\^[^\]]*\]\|\\z)\)$""")
"""What must follow a token in gitleaks; here it may be followed by anything."""


def python_of(pattern: str) -> str:
    """A pattern of Go's, as Python writes it."""
    pattern = pattern.replace("xoxe.xox", r"xoxe\.xox")  # they forgot the backslash
    pattern = END.sub("", pattern.replace("[[:alnum:]]", "[A-Za-z0-9]")).replace(r"\z", r"\Z")
    while (at := pattern.find("(?i)", 1)) > 0:
        end = _end_of_group(pattern, at + 4)
        pattern = f"{pattern[:at]}(?i:{pattern[at + 4 : end]}){pattern[end:]}"
    return pattern


def _end_of_group(pattern: str, at: int) -> int:
    depth, in_class = 0, False
    while at < len(pattern):
        sign = pattern[at]
        if sign == "\\":
            at += 1
        elif in_class:
            in_class = sign != "]"
        elif sign == "[":
            in_class = True
        elif sign == "(":
            depth += 1
        elif sign == ")" and not depth:
            return at
        elif sign == ")":
            depth -= 1
        at += 1
    return at


def table_of(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of the table: name, pattern, and words without which the pattern finds nothing."""
    rows = []
    for rule in rules:
        pattern, keywords = rule.get("regex", ""), rule.get("keywords", [])
        if not pattern or not keywords or rule["id"] in LEFT_OUT:
            continue
        if pattern.removeprefix("(?i)").startswith(IN_CONTEXT):
            continue
        rows.append({"name": rule["id"], "pattern": python_of(pattern), "hints": sorted(keywords)})
    return rows


def main() -> None:
    """Writes the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("config", type=Path)
    arguments.add_argument("--source", required=True, help="the commit it was taken from")
    arguments.add_argument("--date", required=True, help="of that commit")
    given = arguments.parse_args()
    rows = table_of(tomllib.loads(given.config.read_text())["rules"])
    for row in rows:
        re.compile(row["pattern"])
    table = {
        "source": f"github.com/gitleaks/gitleaks, config/gitleaks.toml, commit {given.source}",
        "date": given.date,
        "licence": "MIT, Copyright (c) 2019 Zachary Rice",
        "rules": rows,
    }
    TABLE.write_text(json.dumps(table, indent=1) + "\n")
    print(f"{len(rows)} rules")


if __name__ == "__main__":
    main()
