"""What the documentation says is held against the code."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import typer.main
from docs.settings import settings_page

from prefect_crash_monitor.cli.app import app
from prefect_crash_monitor.config.policy import Policy

PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", *["docs/settings.md", "docs/counting.md"]]
PAGES += ["docs/actions.md"]
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def code_blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.fixture(params=PAGES)
def page(request, repository) -> str:
    """The text of one page."""
    return (repository / request.param).read_text()


def test_the_settings_page_is_made_of_the_fields(repository):
    """Run `python docs/settings.py` after changing a field."""
    assert (repository / "docs" / "settings.md").read_text() == settings_page()


def test_the_example_of_the_settings_page_is_a_valid_policy(repository):
    """The block shown can be made as shown."""
    (example,) = code_blocks((repository / "docs" / "settings.md").read_text(), "python")
    names: dict[str, object] = {}
    code = example.replace('.save("default", overwrite=True)', "").replace(
        "CrashPolicy(", "policy = CrashPolicy("
    )

    exec(code.replace("import policy = CrashPolicy", "import CrashPolicy"), names)

    assert isinstance(names["policy"], Policy)


def test_every_command_mentioned_exists(page):
    """`crash-monitor X --option` in a page is a command with that option."""
    for name, rest in re.findall(r"`crash-monitor ([a-z]+)([^`]*)`", page):
        known = {option for parameter in COMMANDS[name].params for option in parameter.opts}

        assert set(re.findall(r"--[a-z-]+", rest)) <= known


def test_every_make_target_mentioned_exists(page, repository):
    """`make X` in a page is a target."""
    targets = set(re.findall(r"^([a-z]+):", (repository / "Makefile").read_text(), re.MULTILINE))

    assert set(re.findall(r"\bmake ([a-z]+)(?=[`\s])", page)) <= targets | {"sure"}


def test_every_link_within_the_repository_leads_somewhere(page, repository):
    """Relative links and pictures exist."""
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page)

    assert [link for link in links if not (repository / link).exists()] == []


def test_every_command_is_in_the_readme(repository):
    """A new command is documented."""
    text = (repository / "README.md").read_text()

    assert [name for name in COMMANDS if f"crash-monitor {name}" not in text] == []


def test_help_works_without_a_server():
    """The first thing a user types."""
    done = subprocess.run(
        [sys.executable, "-m", "prefect_crash_monitor", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "count" in done.stdout
