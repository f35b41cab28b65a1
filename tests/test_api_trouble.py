"""Trouble with the API: a clear message, exit code 3, never a low number; nothing is lost.

A fake proxy stands before the real server and makes the trouble.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.trouble import HANG, Answer, FakeProxy, fake_proxy
from tests.support.world import CRASHED, RUNNING, unique
from typer.testing import CliRunner, Result

from prefect_crash_monitor.cli.app import app
from prefect_crash_monitor.prefect_api import client as api

pytestmark = pytest.mark.server
LOGIN_PAGE = Answer(200, b"<html><body>Please log in</body></html>", "text/html")
EVENTS, RUNS, COUNT, TOKEN = (
    "/events/filter",
    "/flow_runs/filter",
    "/flow_runs/count",
    "/csrf-token",
)


@pytest.fixture
def proxy(api_url) -> Iterator[FakeProxy]:
    """The server behind a proxy, to which the active profile points."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with fake_proxy(api_url) as proxy, temporary_settings({PREFECT_API_URL: proxy.url}):
        yield proxy


@pytest.fixture(scope="module")
def span(api_url) -> Iterator[tuple[str, str]]:
    """A minute in which one run of a flow crashed, settled."""
    from tests.support.world import World

    world = World(api_url)
    start = datetime.now(UTC)
    world.run(RUNNING, CRASHED, flow=unique("trouble"))
    end = datetime.now(UTC)
    yield start.isoformat(), end.isoformat()
    world.close()


@pytest.fixture
def settled(span, world, wait_until) -> tuple[str, str]:
    """The same, once its event has been written."""
    wait_until(lambda: world.crash_events(*span) == 1)
    return span


def count(span: tuple[str, str]) -> Result:
    """`crash-monitor count` of a span."""
    return CliRunner().invoke(app, ["count", "--since", span[0], "--until", span[1], "--json"])


def assert_fails(result: Result, *words: str) -> None:
    """Exit code 3, one plain line on stderr with these words, nothing on stdout."""
    assert result.exit_code == 3, result.output
    assert result.stdout == ""
    message = result.stderr.splitlines()[-1]
    assert message.startswith("crash-monitor: ")
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in message


@pytest.mark.parametrize("path", [EVENTS, RUNS, TOKEN])
@pytest.mark.parametrize("status", [401, 403])
def test_refused(proxy, settled, path, status):
    """A wrong key is told at once, with where to look."""
    proxy.trouble(path, always=Answer(status, b'{"detail": "no"}'))

    assert_fails(count(settled), str(status), "PREFECT_API_KEY", "prefect config view")


@pytest.mark.parametrize("path", [EVENTS, RUNS, TOKEN])
@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_failing_for_good(proxy, settled, path, status):
    """After a few tries the failure is told, and that nothing is lost."""
    proxy.trouble(path, always=Answer(status, b'{"detail": "busy"}'))

    assert_fails(count(settled), str(status), "Nothing is lost")


@pytest.mark.parametrize("path", [EVENTS, RUNS])
@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_failing_for_a_moment(proxy, settled, path, status):
    """A passing failure changes no number."""
    proxy.trouble(path, Answer(status), Answer(status))

    result = count(settled)

    assert result.exit_code == 0
    assert json.loads(result.stdout)["crashed"] == 1


@pytest.mark.parametrize("path", [EVENTS, RUNS, TOKEN])
def test_a_page_of_a_proxy(proxy, settled, path):
    """A login page instead of an answer is no quiet time."""
    proxy.trouble(path, always=LOGIN_PAGE)

    assert_fails(count(settled), "PREFECT_API_URL")


@pytest.mark.parametrize("path", [EVENTS, RUNS])
@pytest.mark.parametrize("body", [b"null", b"{}", b"[1]", b'"x"', b"3", b'[{"id": 1}]', b'{"eve'])
def test_an_answer_of_another_shape(proxy, settled, path, body):
    """JSON that is not what the API documents is no quiet time either."""
    proxy.trouble(path, always=Answer(200, body))

    assert_fails(count(settled))


@pytest.mark.parametrize(
    "body",
    [
        b'{"events": []}',
        b'{"total": 0}',
        b'{"events": null, "total": 0}',
        b'{"events": [{"id": "x"}], "total": 1}',
        b'{"events": [{"id": "x", "occurred": "yesterday", "resource": {}}], "total": 1}',
        b'{"events": [], "total": "many"}',
    ],
)
def test_half_a_page_of_events(proxy, settled, body):
    """An event or a page without its fields is an error, not a crash less."""
    proxy.trouble(EVENTS, always=Answer(200, body))

    assert_fails(count(settled), "events")


@pytest.mark.parametrize("body", [b"null", b"{}", b'"many"', b"[]"])
def test_half_a_number(proxy, span, body):
    """A number of flow runs that is none is an error."""
    proxy.trouble(COUNT, always=Answer(200, body))
    quiet = ("2020-01-01T00:00:00+00:00", "2020-01-01T00:05:00+00:00")

    assert_fails(count(quiet), "flow runs")


def test_fewer_events_than_promised(proxy, settled):
    """A total that is never reached makes the count partial, and says so."""
    proxy.trouble(EVENTS, always=Answer(200, b'{"events": [], "total": 7, "next_page": null}'))

    answer = json.loads(count(settled).stdout)

    assert not answer["complete"]
    assert any("7 crash events" in gap for gap in answer["gaps"])


@pytest.fixture
def impatient(monkeypatch):
    """No second tries and a short wait: how long they take is not what is tested here."""
    monkeypatch.setattr(api, "MAX_RETRIES", 0)
    monkeypatch.setattr(api, "REQUEST_TIMEOUT_SECONDS", 2.0)


@pytest.mark.parametrize("path", [EVENTS, RUNS, TOKEN])
def test_an_answer_cut_off(proxy, settled, impatient, path):
    """A connection that breaks within an answer is told as such."""
    proxy.trouble(path, always=Answer(200, b'{"events": [', cut=True))

    assert_fails(count(settled), "Is the server up")


@pytest.mark.parametrize("path", [EVENTS, RUNS, TOKEN])
def test_no_answer_in_time(proxy, settled, impatient, path):
    """A hanging server does not hang us."""
    proxy.trouble(path, always=HANG)

    assert_fails(count(settled), "Is the server up")


def test_nobody_there(settled, impatient):
    """A server that is down; a password in its address stays unsaid."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: "http://someone:pa55word@127.0.0.1:9/api"}):
        result = count(settled)

    assert_fails(result, "127.0.0.1:9", "Is the server up")
    assert "pa55word" not in result.output


@pytest.mark.parametrize("url", ["http://127.0.0.1:9:9/api", "ftp://127.0.0.1/api"])
def test_an_address_that_is_none(settled, impatient, url):
    """An address that no client can use is told as such."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: url}):
        assert_fails(count(settled), "PREFECT_API_URL")


def test_no_address_and_no_temporary_server(monkeypatch):
    """Without a URL Prefect starts a server of its own; on a busy machine that takes too long."""

    def late(**_: object) -> None:
        raise RuntimeError("Timed out while attempting to connect to ephemeral Prefect API server.")

    monkeypatch.setattr(api, "get_client", late)
    now = datetime.now(UTC)

    result = count(((now - timedelta(hours=1)).isoformat(), now.isoformat()))

    assert_fails(result, "PREFECT_API_URL", "Timed out")


def test_a_server_without_api_under_that_path(proxy, settled):
    """The web server's 404 for everything means that the address is wrong."""
    proxy.trouble(EVENTS, always=Answer(404, b"not found"))

    assert_fails(count(settled), "PREFECT_API_URL")


def test_the_address_of_the_ui(api_url, settled):
    """The server's own address, without /api, is an easy mistake."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: api_url.removesuffix("/api")}):
        assert_fails(count(settled), "PREFECT_API_URL")


@pytest.mark.parametrize(
    ("command", "path"),
    [
        ("run", "/artifacts/filter"),
        ("register", "/automations/filter"),
        ("incidents", "/artifacts/filter"),
        ("silence list", "/artifacts/filter"),
    ],
)
def test_a_server_without_the_lists_that_a_command_asks_for(proxy, command, path):
    """Prefect Cloud's address without the workspace answers 404 to everything."""
    proxy.trouble(path, always=Answer(404, b"not found"))

    assert_fails(CliRunner().invoke(app, [*command.split(), "--json"]), "PREFECT_API_URL")


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00"])
def test_a_time_that_utc_does_not_have(time):
    """An offset can lead out of the years that there are."""
    result = CliRunner().invoke(app, ["count", "--since", time, "--until", time])

    assert (result.exit_code, result.stdout) == (2, "")
    assert "years 1 to 9999" in result.stderr
