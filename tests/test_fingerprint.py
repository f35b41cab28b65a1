"""Fingerprints: what varies is taken out, what an error is known by stays, and v1 stays v1."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_crash_monitor.explain.fingerprint import TABLE, fingerprint, normalise
from prefect_crash_monitor.redaction.redact import redact

SIGKILL = (
    "Process exited with status code: -9. Process exited due to a SIGKILL signal. Typically "
    "caused by the operating system terminating the process for exceeding memory limits, or by "
    "manual cancellation."
)

NORMALISED = [
    # What stays.
    (
        "exit code",
        "Process exited with status code: 137. Killed",
        "Process exited with status code: 137. Killed",
    ),
    ("negative exit code", SIGKILL, SIGKILL),
    (
        "exit code, other words",
        "Command exited with exit code 2",
        "Command exited with exit code 2",
    ),
    ("returned code", "step returned code 128:", "step returned code 128:"),
    ("signal", "killed by signal 11 (core dumped)", "killed by signal 11 (core dumped)"),
    ("errno", "[Errno 111] Connect call failed", "[Errno 111] Connect call failed"),
    (
        "http status",
        "Server error '500 Internal Server Error'",
        "Server error '500 Internal Server Error'",
    ),
    ("http status alone", "HTTP 503 from upstream", "HTTP 503 from upstream"),
    ("http status in code", "status_code=404", "status_code=404"),
    ("oracle", "ORA-01017: invalid username", "ORA-01017: invalid username"),
    ("sql state", "SQLSTATE[08006] connection failure", "SQLSTATE[08006] connection failure"),
    ("mysql", "ERROR 1045 denied", "ERROR 1045 denied"),
    ("column", "KeyError: 'customer'", "KeyError: 'customer'"),
    (
        "columns",
        "KeyError: \"['customer'] not in index\"",
        "KeyError: \"['customer'] not in index\"",
    ),
    ("module", "No module named 'pandas.io.sql'", "No module named 'pandas.io.sql'"),
    (
        "exception class",
        "prefect.exceptions.CrashedRun: gone",
        "prefect.exceptions.CrashedRun: gone",
    ),
    (
        "image",
        'pulling image "registry.example/team/nope:latest"',
        'pulling image "registry.example/team/nope:latest"',
    ),
    ("namespace", 'namespaces "nope" not found', 'namespaces "nope" not found'),
    ("container", "Container 'prefect-job' was killed", "Container 'prefect-job' was killed"),
    ("words and slashes", "read and/or write, N/A", "read and/or write, N/A"),
    ("versions in names", "python3.11 on arm64", "python3.11 on arm64"),
    # Ids and names.
    ("uuid", "run a634239a-5ca3-4d63-8b06-b498fb3aeede gone", "run <uuid> gone"),
    (
        "uuid repr",
        "flow run UUID('a634239a-5ca3-4d63-8b06-b498fb3aeede')",
        "flow run UUID('<uuid>')",
    ),
    (
        "uuid in a resource",
        "prefect.flow-run.a634239a-5ca3-4d63-8b06-b498fb3aeede",
        "prefect.flow-run.<uuid>",
    ),
    ("flow run name", "Flow run 'magnificent-elk' submitted", "Flow run <name> submitted"),
    (
        "worker name",
        "Worker 'w1' submitting flow run 'big-cat'",
        "Worker <name> submitting flow run <name>",
    ),
    ("deployment name", "Deployment 'etl/daily' is paused", "Deployment <name> is paused"),
    ("pod, quoted", "in pod 'exit1-before-start-4mzxc-l7vz7':", "in pod <name>:"),
    ("pod, bare", "Created pod: oom-running-tlkt6-pt852", "Created pod: <name>"),
    ("job, bare", "Job oom-running-tlkt6 failed", "Job <name> failed"),
    ("forbidden", 'pods "x-y" is forbidden', "pods <name> is forbidden"),
    ("git sha", "commit 3f786850e387550fdab836ed7e6dc881de23001b", "commit <hex>"),
    ("short sha", "at 3f78685", "at <hex>"),
    ("digest", "image@sha256:" + "ab12" * 16, "image@sha256:<hex>"),
    ("memory address", "<Future at 0x7f3a5c0d8e50 pending>", "<Future at <address> pending>"),
    ("number in a name", "table customer_12345 and node-17", "table customer_<n> and node-<n>"),
    # Times and amounts.
    ("iso time", "at 2026-11-24T12:00:00.123456+00:00", "at <time>"),
    ("log time", "2026-11-24 12:00:00,123 died", "<time> died"),
    ("date", "load_2026-11-24.csv is empty", "load_<time>.csv is empty"),
    ("compact time", "20261124T120000Z", "<time>"),
    ("syslog", "Nov 24 12:00:00 host", "<time> host"),
    ("clock", "since 12:00:01", "since <time>"),
    ("duration", "timed out after 30.5 seconds", "timed out after <duration>"),
    ("short duration", "took 250ms", "took <duration>"),
    ("size", "Unable to allocate 7.45 GiB for an array", "Unable to allocate <size> for an array"),
    ("kubernetes size", "limit is 256Mi", "limit is <size>"),
    ("percent", "disk 99.5% full", "disk <size> full"),
    (
        "count",
        "0/3 nodes are available: 3 Insufficient memory",
        "<n>/<n> nodes are available: <n> Insufficient memory",
    ),
    ("sub-exception", "TaskGroup (1 sub-exception)", "TaskGroup (<n> sub-exceptions)"),
    ("sub-exceptions", "TaskGroup (12 sub-exceptions)", "TaskGroup (<n> sub-exceptions)"),
    ("shape", "with shape (1000000, 1000)", "with shape (<n>, <n>)"),
    ("line", 'File "/opt/flows/x.py", line 43, in main', 'File "<path>", line <n>, in main'),
    ("float", "got -1.5e-7 as weight", "got <n> as weight"),
    # Places.
    ("url", "for url 'http://127.0.0.1:4777/api/task_runs/' -", "for url '<url>' -"),
    ("database", "postgresql+asyncpg://u:p@db/x failed", "<url> failed"),
    ("path", "No such file: '/data/2026/x.csv'", "No such file: '<path>'"),
    ("path with spaces", "No such file: '/my data/x y.csv'", "No such file: '<path>'"),
    ("path and line", "/opt/flows/x.py:43: error", "<path>:<n>: error"),
    ("home", "cd ~/flows && run", "cd <path> && run"),
    ("relative path", "flows/etl.py:etl is missing", "<path>:etl is missing"),
    ("windows path", "open C:\\flows\\etl.py failed", "open <path> failed"),
    ("address and port", "('127.0.0.1', 4200) or 10.0.0.7:5432", "('<host>', <n>) or <host>"),
    ("ipv6", "connect to [fe80::1]:4200", "connect to <host>"),
    ("host", "resolve db-3.prod.internal failed", "resolve <host> failed"),
    ("localhost", "connect localhost:4200 refused", "connect <host> refused"),
    ("host and port", "server at postgres:5432 refused", "server at <host> refused"),
    ("mail", "sent to bob@example.com", "sent to <email>"),
    # Secrets and layout.
    ("secret", "login with password=hunter2", "login with password=***"),
    ("lines", "first\n\tsecond   third", "first second third"),
]

KNOWN_WRONG = [  # (name, input, desired, actual)
    ("bare run name", "run magnificent-elk died", "run <name> died", "run magnificent-elk died"),
    ("plural", "1 file lost", "<n> files lost", "<n> file lost"),
    ("consonants", "use traefik-https now", "use traefik-https now", "use <name> now"),
    ("architecture", "on x86_64", "on x86_64", "on x86_<n>"),
    ("file name", "no 'report.csv' here", "no '<path>' here", "no 'report.csv' here"),
]

GOLDEN = [
    ("sigkill", SIGKILL, "v1-b2c6fc01bf"),
    (
        "exit-1",
        "Process exited with status code: 1. Process exited with a general error.",
        "v1-b652c4a0e3",
    ),
    ("user-exception", "Flow run encountered an exception: KeyError: 'customer'", "v1-8e6f950cc0"),
    ("unknown", "", "v1-aed8abedc3"),
    (
        "api",
        "ConnectError: 10.0.0.7:4200 after 30.5 seconds in /opt/x.py at 2026-11-24 12:00:00",
        "v1-f5b88393fa",
    ),
]
"""Must never change as long as the version is `v1`: open incidents are known by them."""

PADS = [("", ""), ("before ", ""), ("", " after"), ("(", ")")]


@pytest.mark.parametrize(("before", "after"), PADS, ids=["alone", "prefix", "suffix", "brackets"])
@pytest.mark.parametrize(
    ("text", "expected"), [row[1:] for row in NORMALISED], ids=[row[0] for row in NORMALISED]
)
def test_what_varies_is_taken_out(text, expected, before, after):
    """Ids, times, amounts and places go; what an error is known by stays, wherever it stands."""
    assert normalise(f"{before}{text}{after}") == f"{before}{expected}{after}"


@pytest.mark.parametrize(("text", "desired", "actual"), [row[1:] for row in KNOWN_WRONG])
def test_known_mistakes(text, desired, actual):
    """Mistakes we know of; one that is mended fails here until its row moves up."""
    assert normalise(text) == actual
    assert normalise(text) != desired


@pytest.mark.parametrize(("cause", "message", "expected"), GOLDEN)
def test_fingerprints_never_change(cause, message, expected):
    """Changing the table so that these change takes a new version."""
    assert fingerprint(cause, message) == expected


def test_every_row_of_the_table_is_used():
    """Each row finds something in some row of this test."""
    found = {
        variable.name
        for variable in TABLE
        for row in NORMALISED
        if re.search(variable.pattern, row[1])
    }

    assert found == {variable.name for variable in TABLE}


@given(
    st.uuids(),
    st.datetimes(min_value=datetime(2000, 1, 1)),
    st.integers(0, 10**9),
    st.from_regex(r"/[a-z]{1,9}/[a-z0-9_]{1,9}\.py", fullmatch=True),
    st.ip_addresses(v=4),
)
def test_two_runs_of_one_crash_share_a_fingerprint(run, when, number, path, host):
    """Whatever ids, times, numbers, paths and addresses are in the message."""

    def message(run, when, number, path, host):
        return (
            f"run {run} died {when.replace(tzinfo=UTC).isoformat()} in {path}:{number} "
            f"after {number} s with {number} rows from {host}:4200"
        )

    example = message(uuid.UUID(int=1), datetime(2026, 11, 24), 7, "/a/b.py", "10.0.0.1")

    assert fingerprint("x", message(run, when, number, path, host)) == fingerprint("x", example)


@given(st.integers(-64, 255), st.integers(-64, 255))
def test_exit_codes_tell_crashes_apart(one, other):
    """-9 and 1 are never the same crash."""
    messages = [f"Process exited with status code: {code}. It did." for code in (one, other)]

    assert (fingerprint("", messages[0]) == fingerprint("", messages[1])) == (one == other)


@given(st.text(), st.text())
def test_any_message_has_a_fingerprint(cause, message):
    """It never raises, and secrets are gone before it is made."""
    assert fingerprint(cause, message) == fingerprint(cause, redact(message))


def test_a_long_message_is_known_by_its_beginning():
    """Logs of 100 kB may hang on a message."""
    assert fingerprint("", "boom " * 2_000 + "a") == fingerprint("", "boom " * 2_000 + "b")
    assert len(normalise("boom " * 2_000)) <= 500


def test_cause_and_message_both_count():
    """The same words under another cause are another crash."""
    assert fingerprint("a", "x") != fingerprint("b", "x")
    assert fingerprint("a", "x") != fingerprint("a", "y")
