"""A server too old to be asked for crashes is named; any other version is no trouble."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.trouble import Answer, fake_proxy
from typer.testing import CliRunner

from prefect_crash_monitor.cli.app import app
from prefect_crash_monitor.prefect_api.read_server_version import gaps_of


@pytest.mark.parametrize("version", ["3.0.11", "3.1.0", "3.1.6", "3.1.6+12.g1a2b3c", "2.20.27"])
def test_before_the_oldest_exact_version_the_view_is_partial(version):
    """The gap names the server's version, the one to upgrade to, and what is missing."""
    (gap,) = gaps_of(version)

    assert f"Prefect {version.partition('+')[0]}:" in gap
    assert "Upgrade the server to 3.1.7 or later" in gap


@pytest.mark.parametrize(
    "version", ["3.1.7", "3.1.15", "3.4.25", "3.8.8", "3.9.1", "3.10.0.dev2", "4.0.0", "", "cloud"]
)
def test_newer_and_unknown_versions_hide_nothing(version):
    """Two digits are more than one; what is no version is taken as current."""
    assert gaps_of(version) == ()


@pytest.fixture
def count_at():
    """`crash-monitor count` through an API, of a minute an hour ago: nothing in it is late."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    def count(url):
        until = datetime.now(UTC) - timedelta(hours=1)
        span = ("--since", (until - timedelta(minutes=1)).isoformat(), "--until", until.isoformat())
        with temporary_settings({PREFECT_API_URL: url}):
            return CliRunner().invoke(app, ["count", *span, "--json"])

    return count


@pytest.mark.server
def test_count_on_an_old_server_is_not_complete(api_url, count_at):
    """`complete` is false and stderr says why; stdout stays one JSON document, the exit code 0."""
    with fake_proxy(api_url) as proxy:
        proxy.trouble("/admin/version", always=Answer(body=b'"3.0.11"'))
        result = count_at(proxy.url)

    assert result.exit_code == 0
    assert json.loads(result.stdout)["complete"] is False
    assert "partial view: the server runs Prefect 3.0.11" in result.stderr
    assert "3.1.7" in result.stderr


@pytest.mark.server
def test_a_version_that_cannot_be_read_is_no_trouble(api_url, count_at):
    """Prefect's own check reads it first; ours meets a page of a proxy, and the count stands."""
    with fake_proxy(api_url) as proxy:
        first = Answer(body=b'"3.8.8"')
        proxy.trouble("/admin/version", first, always=Answer(404, b"<html>no such page</html>"))
        result = count_at(proxy.url)

    assert result.exit_code == 0
    assert json.loads(result.stdout)["complete"] is True


NO_TAGS = b"""{"exception_message": "Invalid request received.", "exception_detail":
[{"type": "extra_forbidden", "loc": ["body", "automations", "tags"]}]}"""
"""What Prefect 3.4.0 answered."""


@pytest.mark.server
@pytest.mark.parametrize("version", ["3.4.0", "3.9.1"])
def test_a_server_without_tags_of_automations_is_named(api_url, version):
    """`register` says which version it takes, and what works without; another 422 stays itself."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with fake_proxy(api_url) as versioned, fake_proxy(versioned.url) as proxy:
        versioned.trouble("/admin/version", always=Answer(body=f'"{version}"'.encode()))
        proxy.trouble("/automations/filter", always=Answer(422, NO_TAGS))
        with temporary_settings({PREFECT_API_URL: proxy.url}):
            result = CliRunner().invoke(app, ["register"])

    assert result.exit_code == 3
    is_old = version == "3.4.0"
    assert ("Upgrade the server to 3.4.7 or later" in result.stderr) is is_old
    assert ("extra_forbidden" in result.stderr) is not is_old
