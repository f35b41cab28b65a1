"""The deployable project: prefect.yaml, flows/, blocks/ agree with Prefect and with each other."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import zipfile
from datetime import datetime, timedelta
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import pytest
import yaml

from prefect_crash_monitor.config.policy import Policy
from prefect_crash_monitor.config.write_project import write_project
from prefect_crash_monitor.errors import BadInput
from prefect_crash_monitor.model.own import OWN_FLOWS, OWN_TAG
from prefect_crash_monitor.remediate.free_own_slots import STRANDED_AFTER

ROOT = Path(__file__).parent.parent
PROJECT = yaml.safe_load((ROOT / "prefect.yaml").read_text())
DEPLOYMENTS: list[dict[str, Any]] = PROJECT["deployments"]
FOLDERS = {ROOT / "flows", ROOT / "blocks"}
FILES = sorted([*ROOT.glob("flows/*.py"), *ROOT.glob("blocks/*.py")])

each_deployment = pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda d: d["name"])
each_file = pytest.mark.parametrize("file", FILES, ids=lambda f: f"{f.parent.name}/{f.name}")


@each_deployment
def test_its_entrypoint_is_a_flow_of_its_name(deployment, monkeypatch):
    """Prefect's own loader finds it, from the project's directory as a worker does."""
    from prefect.flows import load_flow_from_entrypoint

    monkeypatch.chdir(ROOT)
    flow = load_flow_from_entrypoint(deployment["entrypoint"])

    stem = Path(deployment["entrypoint"].partition(":")[0]).stem
    assert deployment["entrypoint"] == f"flows/{stem}.py:{stem}"
    assert flow.name == stem.replace("_", "-") == deployment["name"]
    assert flow.name in OWN_FLOWS
    assert flow.isasync  # a sync flow waits a second at its end for the heartbeat thread


@each_deployment
def test_its_parameters_are_the_flows(deployment, monkeypatch):
    """A parameter that the flow lost would fail each run, not the deploy."""
    from prefect.flows import load_flow_from_entrypoint

    monkeypatch.chdir(ROOT)
    flow = load_flow_from_entrypoint(deployment["entrypoint"])

    properties = flow.parameters.properties
    assert set(deployment.get("parameters", {})) <= set(properties)
    assert all(value.get("description") for value in properties.values())


def test_every_flow_file_is_deployed():
    """A file that no deployment names would never run."""
    deployed = {deployment["entrypoint"].partition(":")[0] for deployment in DEPLOYMENTS}

    assert deployed == {f"flows/{file.name}" for file in ROOT.glob("flows/*.py")}


@each_file
def test_its_name_is_no_modules_name(file):
    """Prefect puts the file's folder first on the path: it would stand in for that module."""
    elsewhere = [place for place in sys.path if Path(place).resolve() not in FOLDERS]

    assert file.stem not in sys.stdlib_module_names
    assert PathFinder.find_spec(file.stem, elsewhere) is None


@each_file
def test_it_is_a_thin_shell(file):
    """No helper modules, nothing to import from the wheel's side; logic lives in the package."""
    assert not (file.parent / "__init__.py").exists()
    tree = ast.parse(file.read_text())
    imported = {
        node.module.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module
    }
    assert imported <= {"datetime", "typing", "prefect", "prefect_crash_monitor"}
    assert len(file.read_text().splitlines()) <= 100


@each_deployment
def test_prefect_knows_every_key(deployment):
    """Prefect ignores unknown keys of a deployment without a word."""
    from prefect.cli.deploy._models import (
        ConcurrencyLimitSpec,
        DeploymentConfig,
        RawScheduleConfig,
        WorkPoolConfig,
    )

    assert set(deployment) <= set(DeploymentConfig.model_fields)
    assert set(deployment["work_pool"]) <= set(WorkPoolConfig.model_fields)
    limit = deployment.get("concurrency_limit", {})
    assert set(limit) <= set(ConcurrencyLimitSpec.model_fields)
    for schedule in deployment.get("schedules", []):
        assert set(schedule) <= set(RawScheduleConfig.model_fields)


def test_prefect_knows_every_key_of_the_file():
    """Those at the top, too."""
    from prefect.cli.deploy._models import PrefectYamlModel

    assert set(PROJECT) <= set(PrefectYamlModel.model_fields)


@each_deployment
def test_its_runs_are_known_as_our_own(deployment):
    """By the own tag, together with the flow's name."""
    assert OWN_TAG in deployment["tags"]


@each_deployment
def test_an_operators_pause_survives_a_deploy(deployment):
    """`active: true` or `paused: false` would switch it on again; slugs keep schedule ids."""
    assert "paused" not in deployment
    assert all("active" not in schedule for schedule in deployment.get("schedules", []))
    assert all(schedule["slug"] for schedule in deployment.get("schedules", []))


def the_monitor() -> dict[str, Any]:
    """The deployment that counts."""
    return next(deployment for deployment in DEPLOYMENTS if deployment["name"] == "crash-monitor")


def test_the_schedule_is_the_policys_interval():
    """A cycle begins once the interval that just ended has settled."""
    (schedule,) = the_monitor()["schedules"]
    anchor = datetime.fromisoformat(schedule["anchor_date"])
    after = timedelta(seconds=anchor.timestamp() % schedule["interval"])

    assert timedelta(seconds=schedule["interval"]) == Policy().interval
    assert Policy().settle < after < Policy().interval / 2


def test_a_hanging_cycle_ends_before_the_next(monkeypatch):
    """Its timeout is below the interval, and a run is called stranded well after it only."""
    from prefect.flows import load_flow_from_entrypoint

    monkeypatch.chdir(ROOT)
    flow = load_flow_from_entrypoint(the_monitor()["entrypoint"])

    assert flow.timeout_seconds is not None
    assert flow.timeout_seconds < the_monitor()["schedules"][0]["interval"]
    assert STRANDED_AFTER.total_seconds() > 2 * flow.timeout_seconds


def test_a_leaked_slot_does_not_block_the_monitor():
    """Two slots, so that the next cycle can free a stranded one; no queue of late cycles."""
    limit = the_monitor()["concurrency_limit"]

    assert limit["limit"] >= 2
    assert limit["collision_strategy"] == "CANCEL_NEW"
    assert 60 <= limit["grace_period_seconds"] < the_monitor()["schedules"][0]["interval"]


def test_triages_are_few_at_a_time_and_end(monkeypatch):
    """No schedule; a third waits rather than being lost; none outlives what counts as stranded."""
    from prefect.flows import load_flow_from_entrypoint

    monkeypatch.chdir(ROOT)
    triage = next(deployment for deployment in DEPLOYMENTS if deployment["name"] == "crash-triage")
    flow = load_flow_from_entrypoint(triage["entrypoint"])

    assert "schedules" not in triage
    limit = triage["concurrency_limit"]
    assert (limit["limit"], limit["collision_strategy"]) == (2, "ENQUEUE")
    assert flow.timeout_seconds is not None
    assert STRANDED_AFTER.total_seconds() > 2 * flow.timeout_seconds


@each_file
def test_a_block_file_registers_its_block_only(file):
    """`prefect block register --file` registers each block class that the file imports."""
    if file.parent.name != "blocks":
        return
    from prefect.blocks.core import Block
    from prefect.utilities.importtools import load_script_as_module

    module = load_script_as_module(str(file))
    blocks = [v for v in vars(module).values() if isinstance(v, type) and issubclass(v, Block)]

    assert [block.get_block_type_slug().replace("-", "_") for block in blocks] == [file.stem]


def test_blocks_are_found_by_slug():
    """The entry point by which servers and workers find the class of a saved block."""
    from importlib.metadata import entry_points

    (ours,) = entry_points(group="prefect.collections", name="prefect_crash_monitor")
    module = ours.load()

    assert {name.lower() for name in module.__all__} == {
        file.stem.replace("_", "") for file in ROOT.glob("blocks/*.py")
    }


# `crash-monitor init`.


def test_init_writes_the_very_files(tmp_path):
    """The same bytes as in the checkout, all of them, nothing else."""
    written = write_project(tmp_path / "new" / "place")

    assert sorted(written) == sorted(file for file in tmp_path.rglob("*") if file.is_file())
    assert contents(tmp_path / "new" / "place") == contents(ROOT)


def contents(root: Path) -> dict[str, bytes]:
    """The project's files below a directory."""
    files = [root / "prefect.yaml", *root.glob("flows/*.py"), *root.glob("blocks/*.py")]
    return {str(file.relative_to(root)): file.read_bytes() for file in files}


def test_init_overwrites_nothing(tmp_path):
    """With one file in the way nothing at all is written; the message names it."""
    mine = tmp_path / "flows" / "crash_monitor.py"
    mine.parent.mkdir()
    mine.write_text("mine")

    with pytest.raises(BadInput, match=re.escape(str(mine))):
        write_project(tmp_path)

    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [mine]
    assert mine.read_text() == "mine"


def test_init_where_no_directory_can_be(tmp_path):
    """A file in the place of a directory is a clear message."""
    (tmp_path / "file").write_text("mine")
    (tmp_path / "flows").write_text("mine")

    for place in (tmp_path / "file", tmp_path / "file" / "below", tmp_path):
        with pytest.raises(BadInput, match=f"Cannot write to {re.escape(str(tmp_path))}"):
            write_project(place)
        assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "flows"]


def test_init_as_a_command(tmp_path):
    """JSON on stdout, exit 0; a second time exit 2 and a message."""
    first = command("init", str(tmp_path), "--json", cwd=tmp_path)
    second = command("init", "--json", cwd=tmp_path)

    assert first.returncode == 0, first.stderr
    assert sorted(json.loads(first.stdout)["written"]) == sorted(
        str(tmp_path / name) for name in contents(ROOT)
    )
    assert (second.returncode, second.stdout) == (2, "")
    assert "Not overwritten: " in second.stderr
    assert "Traceback" not in second.stderr


def command(
    *arguments: str, cwd: Path, path: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs our command; with `path` the package that lies there."""
    environment = {**os.environ, **({"PYTHONPATH": str(path)} if path else {})}
    return subprocess.run(
        [sys.executable, "-m", "prefect_crash_monitor", *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this checkout."""
    pytest.importorskip("hatchling")
    place = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(place)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (built,) = place.glob("*.whl")
    return built


def test_the_wheel_has_the_project_and_nothing_else(wheel):
    """No compiled leftovers, no tests; what init writes, and the type marker."""
    names = zipfile.ZipFile(wheel).namelist()

    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"prefect_crash_monitor"}
    assert not [name for name in names if name.endswith(".pyc")]
    assert "prefect_crash_monitor/py.typed" in names
    inside = "prefect_crash_monitor/project/"
    project = {n.removeprefix(inside) for n in names if n.startswith(inside)}
    assert project == set(contents(ROOT))


def test_init_from_the_wheel(wheel, tmp_path):
    """A person who has only the wheel gets the very same files."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")

    done = command("init", "project", "--json", cwd=tmp_path, path=tmp_path / "installed")

    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "project") == contents(ROOT)
