"""The commands `explain` and `capture`: from files without a server, and from a real one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid

import pytest
from tests.support.world import CRASHED, RUNNING, unique
from typer.testing import CliRunner

from prefect_crash_monitor.cli.app import app

SECRET = "hunter2-a1B2c3D4"
KEYS = {
    *("flow_run_id", "flow_run_name", "verdict", "cause", "confidence", "severity", "title"),
    *("summary", "evidence", "remediation", "commands", "insights", "recovered"),
}
SIGKILL = "Process exited with status code: -9. Process exited due to a SIGKILL signal."


def crashed_bundle(name="brave-fox", message=SIGKILL, **more):
    """A bundle of a run that was killed."""
    run = str(uuid.uuid4())
    at = "2026-11-24T12:00:0{}+00:00"
    states = [
        {"type": "PENDING", "name": "Pending", "timestamp": at.format(0), "message": None},
        {"type": "RUNNING", "name": "Running", "timestamp": at.format(1), "message": None},
        {"type": "CRASHED", "name": "Crashed", "timestamp": at.format(2), "message": message},
    ]
    return {
        "captured_at": at.format(9),
        "flow_run": {
            "id": run,
            "name": name,
            "state_type": "CRASHED",
            "state_name": "Crashed",
            "run_count": 1,
        },
        "states": states,
        "logs": [],
        "events": [],
        **more,
    }


@pytest.fixture
def file(tmp_path):
    """Writes a bundle, or any text or bytes, to a file of its own."""

    def write(content, name="bundle.json"):
        path = tmp_path / name
        data = content if isinstance(content, str | bytes) else json.dumps(content)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return str(path)

    return write


def run(*arguments):
    """The command's outcome; anything raised that it does not handle is raised here."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def answer(*arguments):
    """What the command prints with `--json`, checked to be one line."""
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.endswith("\n")
    assert result.stdout.count("\n") == 1
    return json.loads(result.stdout)


def test_files_are_explained_without_prefect(file):
    """No server is asked, and Prefect is not even imported, which takes a second."""
    program = (
        "import sys; from prefect_crash_monitor.cli import app\n"
        "app(sys.argv[1:], standalone_mode=False)\n"
        "sys.exit('prefect' in sys.modules)"
    )
    command = [sys.executable, "-c", program, "explain", file(crashed_bundle()), "--json"]

    nowhere = os.environ | {"PREFECT_API_URL": "http://127.0.0.1:9/api"}
    done = subprocess.run(command, capture_output=True, text=True, env=nowhere)

    assert (done.returncode, done.stderr) == (0, "")
    assert [item["verdict"] for item in json.loads(done.stdout)] == ["crashed"]


def test_several_files_are_explained_in_their_order(file):
    """One list, with every key of the contract."""
    one, two = crashed_bundle("one"), crashed_bundle("two")

    explained = answer("explain", file(two, "2.json"), file(one, "1.json"))

    assert [item["flow_run_name"] for item in explained] == ["two", "one"]
    assert all(set(item) >= KEYS for item in explained)
    assert [item["flow_run_id"] for item in explained] == [b["flow_run"]["id"] for b in (two, one)]


@pytest.mark.parametrize("notes", [["one \x1b[2J line"], "text", 5, {"a": 1}, None, [None]])
def test_notes_in_a_file_are_shown_as_text(file, notes):
    """Whatever a bundle made by hand holds there."""
    result = run("explain", file(crashed_bundle(notes=notes)), "--json")

    assert result.exit_code == 0
    assert "\x1b" not in result.stderr


def test_secrets_in_a_file_are_not_shown(file):
    """A bundle made by hand may hold some."""
    bundle = crashed_bundle(message=f"{SIGKILL} password={SECRET}")
    bundle["logs"] = [{"level": 40, "message": f"token: {SECRET}", "name": "prefect.flow_runs"}]

    result = run("explain", file(bundle))

    assert result.exit_code == 0
    assert SECRET not in result.stdout


def test_a_person_reads_verdict_evidence_and_what_to_do(file):
    """And no control characters of whoever named the run."""
    path = file(crashed_bundle(name="\x1b[2Jbrave\u202e-fox"))

    result = run("explain", path)
    (explained,) = answer("explain", path)

    assert result.exit_code == 0
    assert result.stdout.startswith("CRASHED: ")
    for part in (explained["title"], explained["cause"], "brave", "status code: -9"):
        assert part in result.stdout
    for text in (*explained["remediation"], *explained["commands"]):
        assert text.split("\n")[0][:40] in result.stdout
    assert all(char.isprintable() or char == "\n" for char in result.stdout)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("no json at all", "no JSON"),
        ('{"flow_run": {"id": ', "no JSON"),
        ("", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[1, 2]", "holds no flow run"),
        ("null", "holds no flow run"),
        ('{"states": []}', "holds no flow run"),
        ('{"flow_run": null}', "holds no flow run"),
        (b"\xff\xfe\x00", "no JSON"),
    ],
)
def test_a_file_without_a_bundle_is_refused(file, content, words):
    """A clear message, exit 2, nothing on stdout."""
    result = run("explain", file(content), "--json")

    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr


def test_bytes_and_numbers_that_are_no_text_are_made_safe(file):
    """A log line in Latin-1, half a character, an infinite number and a byte order mark."""
    text = json.dumps(crashed_bundle(name="x")).replace(
        '"logs": []', '"logs": [{"message": "\\ud800 gr\xfc\xdfe", "level": 1e999, "x": NaN}]'
    )

    explained = answer("explain", file(b"\xef\xbb\xbf" + text.encode("latin-1")))

    assert explained[0]["verdict"] == "crashed"


@pytest.mark.parametrize("argument", ["nowhere.json", "not-an-id", "a" * 5_000, ""])
def test_what_is_neither_file_nor_id_is_refused(argument):
    """Before anything is asked of a server."""
    result = run("explain", argument)

    assert result.exit_code == 2
    assert "neither a file nor the id" in result.stderr


def test_a_folder_is_refused(tmp_path):
    """As what it is: not readable as a bundle."""
    result = run("explain", tmp_path)

    assert result.exit_code == 2
    assert "cannot be read" in result.stderr


@pytest.mark.server
def test_a_run_and_a_file_are_explained_together(world, file):
    """What was captured to a file is explained as the run itself is."""
    crashed = world.run(RUNNING, CRASHED, flow=unique("explain"))
    path = file(answer("capture", crashed))

    live, recorded = answer("explain", crashed, path)

    assert live == recorded
    assert live["flow_run_id"] == crashed
    assert live["verdict"] == "crashed"


@pytest.mark.server
def test_the_address_of_a_run_in_the_ui_will_do(world):
    """It is what people have at hand."""
    crashed = world.run(RUNNING, CRASHED, flow=unique("explain"))

    explained = answer("explain", f"http://127.0.0.1:4200/runs/flow-run/{crashed}")

    assert explained[0]["flow_run_id"] == crashed


@pytest.mark.server
def test_capture_writes_a_new_file_only(world, tmp_path):
    """A second capture to the same file changes nothing."""
    crashed = world.run(RUNNING, CRASHED | {"message": f"secret={SECRET}"}, flow=unique("capture"))
    path = tmp_path / "run.json"

    first = run("capture", crashed, "--output", path)
    written = path.read_text()
    second = run("capture", crashed, "--output", path)

    assert first.exit_code == 0
    assert f"Wrote {path}" in first.stdout.replace("\n", "")
    assert json.loads(written)["flow_run"]["id"] == crashed
    assert SECRET not in written
    assert second.exit_code == 2
    assert "exists" in second.stderr
    assert path.read_text() == written


@pytest.mark.server
def test_capture_without_a_file_prints_the_bundle(world):
    """With and without `--json` it is JSON."""
    crashed = world.run(RUNNING, CRASHED, flow=unique("capture"))

    assert json.loads(run("capture", crashed).stdout)["flow_run"]["id"] == crashed
    assert answer("capture", crashed)["flow_run"]["id"] == crashed


@pytest.mark.server
def test_capture_into_a_folder_that_is_not_there(world, tmp_path):
    """Exit 2 and a reason, not a traceback."""
    crashed = world.run(RUNNING, CRASHED, flow=unique("capture"))

    result = run("capture", crashed, "--output", tmp_path / "nowhere" / "x.json")

    assert result.exit_code == 2
    assert "cannot be written" in result.stderr


@pytest.mark.server
@pytest.mark.parametrize("command", ["explain", "capture"])
def test_ids_of_nothing_and_of_task_runs_are_refused(world, command):
    """Exit 2, and the flow run to ask about where there is one."""
    flow_run = world.run(RUNNING, flow=unique("task"))
    body = {"flow_run_id": flow_run, "task_key": "t", "dynamic_key": "0"}
    task_run = world.post("/task_runs/", body)["id"]

    unknown, of_task = run(command, uuid.uuid4()), run(command, task_run)

    assert (unknown.exit_code, unknown.stdout) == (2, "")
    assert "knows no flow run" in unknown.stderr
    assert (of_task.exit_code, of_task.stdout) == (2, "")
    assert flow_run in of_task.stderr


@pytest.mark.server
def test_a_deleted_run_is_explained_from_its_events(world, wait_until):
    """And it is said that the run is gone."""
    crashed = world.run(RUNNING, CRASHED, flow=unique("gone"))
    filter_ = {"any_resource": {"id": [f"prefect.flow-run.{crashed}"]}}
    wait_until(
        lambda: world.post("/events/filter", {"filter": filter_, "limit": 0})["total"] == 3,
        what="the run's events",
    )
    world.delete_run(crashed)

    result = run("explain", crashed, "--json")

    assert result.exit_code == 0
    assert json.loads(result.stdout)[0]["flow_run_id"] == crashed
    assert json.loads(result.stdout)[0]["verdict"] == "crashed"
    assert "deleted" in result.stderr


@pytest.mark.server
def test_a_server_that_is_gone_is_exit_3(world):
    """Not being able to look is not bad input."""
    from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    nowhere = {PREFECT_API_URL: "http://127.0.0.1:9/api", PREFECT_CLIENT_MAX_RETRIES: 0}
    with temporary_settings(nowhere):
        result = run("explain", uuid.uuid4(), "--json")

    assert (result.exit_code, result.stdout) == (3, "")
    assert "127.0.0.1:9" in result.stderr
