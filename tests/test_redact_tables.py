"""Redaction measured: tables of made-up secrets in real places, and of harmless lines like them.

The tables are kept in base64, so that no scanner of repositories takes them for leaks:
`python -m base64 -d tests/cases/secrets-1.json.b64`.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prefect_crash_monitor.explain.fingerprint import fingerprint
from prefect_crash_monitor.redaction.places import rows
from prefect_crash_monitor.redaction.redact import RULES, redact
from prefect_crash_monitor.redaction.values import is_random, is_secretive, says_nothing
from prefect_crash_monitor.redaction.vendors import Vendor

TABLES = sorted((Path(__file__).parent / "cases").glob("secrets-*.json.b64"))

SURVIVE, CHANGE, GROWTH = 0.03, 0.05, 8
"""At most this share of secrets survives, and of harmless lines changes; and at most so many times
as long for four times the text."""


def table(path: Path) -> dict[str, Any]:
    """A table: `secrets`, each with the text it stands in, and `benign` lines."""
    found: dict[str, Any] = json.loads(base64.b64decode(path.read_bytes()))
    return found


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.name)
def test_few_secrets_survive_and_few_harmless_lines_change(path, capsys):
    """Prints the share of secrets that survive, that of harmless lines that change, and growth."""
    rows_ = table(path)
    survivors = [
        row["text"]
        for row in rows_["secrets"]
        if any(secret in redact(row["text"]) for secret in row["secrets"])
    ]
    changed = [line for line in rows_["benign"] if redact(line) != line]
    whole = "\n".join(row["text"] for row in rows_["secrets"])
    growth = seconds(redact, whole[:4_000] * 4) / seconds(redact, whole[:4_000])
    survive, change = len(survivors) / len(rows_["secrets"]), len(changed) / len(rows_["benign"])
    with capsys.disabled():
        print(f"\n{path.name}: {survive:.1%} survive, {change:.1%} change, growth {growth:.1f}")

    assert survive <= SURVIVE, survivors
    assert change <= CHANGE, changed
    assert growth < GROWTH


VENDORS = [row for row in rows() if isinstance(row, Vendor)]


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)
def test_every_vendors_token_is_taken_out(vendor):
    """Each of the vendors' patterns, by tokens that are made from it."""

    @settings(max_examples=5, suppress_health_check=list(HealthCheck))
    @given(st.from_regex(re.compile(vendor.source, re.ASCII), fullmatch=True))
    def taken_out(token: str) -> None:
        assert token not in redact(f"{vendor.name} says {token} was rejected")

    taken_out()


UNITS = ["\\", "a", "a.", "A1b", "key ", "password=", "pass ", "(", '"', "\n ", ":", "/", "@"]
UNITS += ["-p ", "docker ", "auth(", "eyJ", "-> ", "%3D", '\\"', "a:", "0x", "_v1_", "glpat-"]
UNITS += ["[", "{", "token=[", "{a: ", "key=", "value=", "name=password value=", "token=a,b=", "a@"]
UNITS += [":5432:a:a:", "mysql -p ", "identified by '", "crypt(a,", "***.", "password for a: "]


@pytest.mark.parametrize("unit", UNITS)
def test_time_grows_with_the_length_alone(unit):
    """A long run of anything, behind a name and in front of a quote, for four times the length.

    `password=` and 40,000 backslashes used to take seconds. A ratio within one run, of the time
    of this process.
    """
    for before, after in product(("", "password=", "token: ", "curl -u ", "auth("), ("", '"', "@")):
        short, long = (before + unit * (size // len(unit)) + after for size in (8_000, 32_000))
        assert grows_alike(redact, short, long), (before, after)


@pytest.mark.parametrize("unit", UNITS)
def test_fingerprints_take_time_with_the_length_alone(unit):
    """The same for what tells one kind of crash from another."""
    short, long = (unit * (size // len(unit)) for size in (8_000, 32_000))

    def of(text: str) -> object:
        return fingerprint("unknown", text)

    assert grows_alike(of, short, long)


def grows_alike(of: Callable[[str], object], short: str, long: str) -> bool:
    """Whether four times the text takes as long as it may; what else runs may disturb one look."""
    return any(seconds(of, long) < GROWTH * max(seconds(of, short), 0.002) for _ in range(4))


def seconds(of: Callable[[str], object], text: str) -> float:
    """The least time of three."""
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        of(text)
        best = min(best, time.process_time() - start)
    return best


@pytest.mark.parametrize(
    ("value", "random"),
    [
        ("gK9vecCnqF2SUoOo", True),
        ("es2Kqu8kHdETuppdabKrqLoH2F5qJrjdrzuMAs35", True),
        ("AwaitingConcurrencySlot", False),
        ("Numpy2Float64Array", False),
        ("963721e0a1b2c3d4e5f60718293a4b5c6d7e8f90", False),
        ("7f0b2c1e-9a3d-4c5b-8e6f-0123456789ab", False),
        ("0x7Fa1B2c3D4e5F6", False),
    ],
)
def test_what_looks_random(value, random):
    """Generated secrets do; names, hashes, ids and addresses do not."""
    assert is_random(value) is random


@pytest.mark.parametrize("value", ["YES", "None", "getpass()", "${PASSWORD}", "<redacted>", "***"])
def test_what_says_nothing_stays(value):
    """A placeholder behind `password=` tells what is wrong, and no secret."""
    assert says_nothing(value)
    assert redact(f"password={value}") == f"password={value}"
    assert not is_secretive(value)


def test_every_row_has_a_name_of_its_own():
    """Names are how a failing row is found."""
    names = [row.name for row in (*RULES, *rows())]

    assert len(set(names)) >= len(names) - len(VENDORS)
