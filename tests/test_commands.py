"""Commands as a person mistypes them: exit 2 before anything is read or changed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.world import World, unique
from typer.testing import CliRunner

from prefect_crash_monitor.cli.app import app

pytestmark = pytest.mark.server

SOON = "2096-01-01T00:00:00+00:00"

WITH_A_POLICY = (
    ["run"],
    ["backfill", "--since", "2026-01-01T00:00:00Z"],
    ["register"],
    ["register", "--remove"],
    ["incidents"],
    ["silence", "add", "--flow", "etl", "--until", SOON, "--reason", "works"],
    ["silence", "list"],
    ["silence", "remove", "abc"],
)
"""Each command that takes `--policy`."""


@pytest.mark.parametrize("arguments", WITH_A_POLICY, ids=" ".join)
def test_a_mistyped_policy_is_bad_usage(world: World, arguments: list[str]):
    """ "No open incidents" of a policy that does not exist used to look healthy."""
    name = unique("mistyped")

    result = CliRunner().invoke(app, [*arguments, "--policy", name, "--json"])

    assert result.exit_code == 2, result.output
    assert f"There is no block crash-policy/{name}" in result.stderr
    assert result.stdout == ""
    assert not stored_for(world, name)


def stored_for(world: World, name: str) -> list[Any]:
    """What is stored for a monitor of this name: a ledger, silences."""
    artifacts = world.post("/artifacts/filter", {"limit": 200, "sort": "CREATED_DESC"})
    return [a for a in artifacts if name in json.dumps([a["type"], a["key"], a["description"]])]
